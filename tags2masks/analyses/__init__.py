"""What trained networks do, for figures: gradients, loss landscapes, features of climbs."""
