"""What networks do, for figures: gradients, landscapes, climbs, untagged classes, heads."""
