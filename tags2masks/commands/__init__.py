"""The commands of `tags2masks`, by what they are for."""
