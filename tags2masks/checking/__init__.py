"""Checks of data sets before anything is trained: images, tags, masks, boxes, their agreement."""
