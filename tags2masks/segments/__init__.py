"""Segments of an image, of no class, which may overlap: one module per source of them."""
