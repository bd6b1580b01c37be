"""FickleNet's random passes: masked sums against expanded maps with a backward pass each."""

from collections.abc import Sequence
from functools import partial

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from benchmarks.timing import Row, alternate, compared
from tags2masks.allocator import keep_freed_memory
from tags2masks.maps.ficklenet import random_passes
from tags2masks.nets.random_windows import RandomWindows, offset_scores
from tags2masks.nets.score_maps import normalize

TITLE = "Random passes: FickleNet"
HEADINGS = ("masked sums", "beside it")
ABOUT = (
    "Mean and highest value of the maps of an image's random passes from its last features, two "
    "classes, windows of 9 × 9 cells of which 0.9 are dropped. Plain: for each pass the map "
    "expanded so that windows do not overlap, the convolution of stride 9, and a backward pass for "
    "each class. The floor is drawing the masks."
)


def by_window(mask: Tensor, size: tuple[int, int], kernel: int) -> Tensor:
    """A mask by the cell that it keeps, [h·w, s²], as one of the expanded map: [h, s, w, s]."""
    planes = mask.T.reshape(1, kernel**2, *size)
    shifted = F.unfold(planes, kernel, padding=kernel // 2).unflatten(1, (kernel**2, kernel**2))
    windows = shifted[0].diagonal()  # offset a of what is kept at offset a: [cells, s²]
    return windows.reshape(*size, kernel, kernel).permute(0, 2, 1, 3)


def expanded_passes(features: Tensor, weight: Tensor, masks: Sequence[Tensor]) -> Tensor:
    """What `random_passes` gives, as the paper has it. masks: of each pass, [h, s, w, s]."""
    (channels, *size), kernel = features.shape, weight.shape[-1]
    maps = []
    for mask in masks:
        learning = features.clone().requires_grad_()
        copies = F.unfold(learning[None], kernel, padding=kernel // 2)
        copies = copies.view(channels, kernel, kernel, *size).permute(0, 3, 1, 4, 2)
        large = (copies * mask).reshape(1, channels, *(side * kernel for side in size))
        logits = F.conv2d(large, weight, stride=kernel).sum((0, 2, 3))
        gradients = [torch.autograd.grad(logit, learning, retain_graph=True)[0] for logit in logits]
        maps.append(torch.stack([(part * features).sum(0) for part in gradients]).relu())
    over_maximum = normalize(torch.stack(maps))
    return torch.stack([over_maximum.mean(0), over_maximum.amax(0)])


def measure(quick: bool) -> list[Row]:
    """Seconds per image."""
    keep_freed_memory()  # as every program that runs a network does
    channels, size, passes = (8, (4, 5), 3) if quick else (512, (24, 32), 200)
    torch.manual_seed(0)
    features = torch.rand(channels, *size)
    weight = torch.randn(2, channels, 9, 9)
    windows = RandomWindows(9, 0.9)

    def ours() -> Tensor:
        scores = offset_scores(features, weight)
        return random_passes(scores, size, windows, passes, Generator().manual_seed(1))

    def draws() -> None:
        generator = Generator().manual_seed(1)
        for _ in range(passes):
            windows.draw((size[0] * size[1],), generator)

    few = 2 if quick else 1  # the plain way takes minutes for all
    generator, scale = Generator().manual_seed(1), windows.scale(size)
    kept = [windows.draw((size[0] * size[1],), generator) for _ in range(few)]
    masks = [by_window(one * scale, size, windows.kernel) for one in kept]
    scores = offset_scores(features, weight)
    fast = random_passes(scores, size, windows, few, Generator().manual_seed(1))
    plain = partial(expanded_passes, features, weight, masks)
    torch.testing.assert_close(plain(), fast, atol=1e-4, rtol=1e-3)
    ours()
    together, single, drawn = alternate([ours, plain, draws], 2 if quick else 3)
    all_ = [seconds * passes / few for seconds in single]
    what = f"{passes} passes of {channels} channels of {size[0]} × {size[1]} cells"
    return [
        compared(f"{what}; expanded", together, all_, note=f"measured for {few}, without drawing"),
        compared("floor: drawing the masks", together, drawn),
    ]
