"""A background score chosen without masks: one module per method."""
