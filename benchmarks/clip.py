"""CLIP-ES: maps per image against the bare passes of the image tower, and spreading along A."""

from functools import partial

import torch
from torch import Tensor

from benchmarks.timing import Row, alternate, compared
from tags2masks.allocator import keep_freed_memory
from tags2masks.classifiers import clip
from tags2masks.config.clip import Clip as Spec
from tags2masks.config.maps import ClipEs
from tags2masks.maps.batch import Batch
from tags2masks.maps.clip_es import affinity, in_boxes, localize, spread, stretched
from tags2masks.nets.clip import Clip

TITLE = "Maps without a training: CLIP-ES"
HEADINGS = ("ours", "beside it")
ABOUT = (
    "Maps of one image and two tags by an image tower of random weights. Bare passes: one forward "
    "pass, and a backward pass through the last block for each tag; ours also keep the attention "
    "of eight blocks, normalise it, find boxes and spread. Spreading, two maps: products of A with "
    "maps against the power of A, as the public code has it."
)
TINY = {"name": "test_vit", "weights": None, "args": {"num_classes": 8}}
LARGE = {"name": "vit_base_patch16_clip_quickgelu_224.openai", "weights": None}


def bare(network: Clip, images: Tensor, tags: int) -> None:
    """One forward pass, and backward passes through the last block."""
    with torch.enable_grad():
        held = []
        block = network.backbone.blocks[-1]

        def cut(_, __, tokens: Tensor) -> Tensor:
            held.append(tokens.detach().requires_grad_())
            return held[-1]

        hook = block.norm1.register_forward_hook(cut)
        logits = network(images)
        hook.remove()
    for tag in range(tags):
        torch.autograd.grad(logits[:, tag].sum(), held[0], retain_graph=True)


def by_power(maps: Tensor, along: Tensor, spec: ClipEs) -> Tensor:
    """What `spread` gives, by the power of A."""
    power = torch.linalg.matrix_power(along, spec.steps)
    found = [(power * in_boxes(map_, spec.box_score).flatten()) @ map_.flatten() for map_ in maps]
    return stretched(torch.stack(found)).unflatten(1, maps.shape[1:])


def measure(quick: bool) -> list[Row]:
    """Seconds per image."""
    keep_freed_memory()  # as every program that runs a network does
    backbone, size = (TINY, (48, 64)) if quick else (LARGE, (384, 512))
    rounds, cells = (2 if quick else 3), tuple(side // 16 for side in size)
    torch.manual_seed(0)
    network = clip.build(Spec(backbone=backbone), 3).eval().requires_grad_(False)
    images, tagged = torch.rand(1, 3, *size), torch.tensor([[True, False, True]])
    ours = partial(localize, network, Batch(images, tagged, [0]), ClipEs())
    passes = partial(bare, network, images, 2)
    ours(), passes()
    found, single = alternate([ours, passes], rounds)
    maps, spec = torch.rand(2, *cells), ClipEs()
    looks = torch.randn(cells[0] * cells[1], 8)  # of which cells attend to those like them
    along = affinity((looks @ looks.T / 2).softmax(1), spec.rounds)
    quickly, plainly = partial(spread, maps, along, spec), partial(by_power, maps, along, spec)
    torch.testing.assert_close(quickly(), plainly(), atol=1e-3, rtol=1e-3)
    spreading = alternate([quickly, plainly], rounds)
    rate = f"{len(found) / sum(found):.3g} images/s"
    what = f"{backbone['name'].partition('.')[0]}, {size[0]} × {size[1]}"
    return [
        compared(f"{what}; its bare passes", found, single, note=rate),
        compared(f"spreading on {cells[0]} × {cells[1]} cells; by the power", *spreading),
    ]
