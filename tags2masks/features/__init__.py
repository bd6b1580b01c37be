"""Features of training images by a backbone that is not trained: one module per kind of them."""
