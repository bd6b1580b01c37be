"""Which names are timm's plain vision transformers, and their patches: known without timm.

Plain are the networks whose features are one token for each patch, in one stride: ViT, DeiT, DINO,
CLIP, SigLIP, EVA-02, DINOv3 and others of timm's modules `vision_transformer`, `deit` and `eva`.
"""

import re

_PATCH = re.compile(r"(?:vit|deit3?|eva02|eva|aimv2|beit3)_.*patch(\d+)")
_OTHERS = re.compile(r"vit_s?relpos_")  # position biases for one image size
_UNNAMED = re.compile(r"(?:test_vit\d?|flexivit_\w+)(?:\.|$)")


def patch_of(name: str) -> int | None:
    """The side of a plain vision transformer's patches in pixels; None for other networks.

    name: a model's name in timm, with or without the tag of its weights.
    """
    if _UNNAMED.match(name):
        return 16
    found = None if _OTHERS.match(name) else _PATCH.match(name)
    return int(found[1]) if found else None


def near_multiples(size: int, cell: int) -> list[int]:
    """The multiples of a cell's side below and above a size, without 0."""
    below = size // cell * cell
    return [multiple for multiple in (below, below + cell) if multiple]
