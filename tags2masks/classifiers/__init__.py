"""Classifiers that learn from tags: one module per way to train them."""
