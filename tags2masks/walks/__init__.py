"""Maps after a random walk: one module per affinity network."""
