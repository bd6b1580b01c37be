"""Seeds that depend on an image's name, not on the other images of a batch."""

import hashlib


def image_seed(seed: int, image: str) -> int:
    """The seed of an image, 0 to 2^63 − 1, from the run's seed and the image's name."""
    digest = hashlib.sha256(f"{seed}:{image}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1
