"""Masks of objects of any class: one module per method."""
