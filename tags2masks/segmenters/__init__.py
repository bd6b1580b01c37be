"""Segmentation networks: one module each, their training and their use."""
