"""Ranking of candidates for out-of-distribution images: one module per method."""
