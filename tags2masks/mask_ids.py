"""Ids of pixels in masks that stand for no class."""

IGNORED = 255
"""The pixel does not count: nothing is learned from it, and truth that holds it is not measured."""
