"""Object detectors, which learn from boxes: one module per method."""
