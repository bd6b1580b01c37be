"""Data sets: a reader per kind, their tables, and images as networks see them."""
