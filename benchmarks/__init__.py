"""What the fast formulations gain over the plain ones, and what they cost: `make bench`."""
