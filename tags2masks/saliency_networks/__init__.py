"""Networks that tell objects of any class from the background: one module per method."""
