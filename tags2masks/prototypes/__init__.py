"""Prototypes of the classes: one module per way to find them, and their store."""
