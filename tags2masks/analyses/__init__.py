"""What trained networks do, for figures: gradients, loss landscapes, climbs, a detector's heads."""
