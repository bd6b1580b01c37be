"""Score maps of the tagged classes: one module per localization method."""
