"""Pseudo-masks from maps: one module per method."""
