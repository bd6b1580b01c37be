"""Embeddings of the texts of classes and background: one module per way to make them."""
