"""Networks that tell which pixels belong together, one module per method; the walk along them."""
