"""What trained networks do, for figures: gradients, loss landscapes, climbs, untagged classes."""
