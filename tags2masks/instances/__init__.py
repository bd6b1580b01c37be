"""Objects one by one, each with a box and a mask: one module per method."""
