"""Ids of pixels in masks that stand for no class."""

IGNORED = 255
"""A pixel without a label: training skips it, and evaluation skips it where the truth has it."""
