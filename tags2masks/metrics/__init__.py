"""How good an artifact is: counts over pixels, and the rows of its figures."""
