"""BBAM: the smallest part of an image by which a detector finds an object (Lee et al., CVPR 2021).

Equation numbers are those of Lee, "Label-Efficient Learning for Object Recognition" (PhD thesis,
2023), section 5.3. For each true box a mask M in 0 to 1 on a coarse grid minimises λ·ΣM plus the
change of the detector's answers when the image is replaced by the mean colour where M is low
(eq. 5.1), as a mean over the box's proposals (eq. 5.3): jittered boxes of which the detector makes
the right class and nearly the true box.

The papers do not say the following; it is as in the public code. Half the mean of |Δt| over the
class's four offsets and half of |Δp| of the class alone are added (eq. 5.2: norms, and the vector
p). M starts as 1 in the boxes that the proposals lead to, and as 0 elsewhere. Its total variation
is added, with diagonals counted twice. M is clamped after each step of Adam. The grid has
⌊side / stride⌋ cells (the text: rounded up) of the resized image, and is upsampled with aligned
corners. λ weighs cells, so its effect depends on the stride. `maps/positives.py` has the proposals.

Here a cell starts as 1 if one of these boxes touches it; the share a in the stride s(a) is that of
the true box. Offsets are in the units of the regression head's output.

Proposals are given to the heads, without a proposal network. Batch norm is in evaluation mode and
Adam works on each number by itself, so objects that are optimised together do not influence each
other.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from tags2masks.config.object_maps import Bbam
from tags2masks.maps.objects import Size, Wanted, upsampled
from tags2masks.maps.positives import Positives, find_positives
from tags2masks.nets.detector import Detector, padded

Watch = Callable[[Tensor], object]
"""Gets [O, 2] before each step: of each object the changes of the box and of the class head."""


def localize(
    network: Detector,
    images: Tensor,
    objects: Sequence[Wanted],
    spec: Bbam,
    watch: Watch | None = None,
) -> list[tuple[Tensor, int]]:
    """The mask of each object on its grid, float32 [h, w] in 0 to 1, and its number of proposals.

    network: in evaluation mode, without gradients; images: [B, 3, H, W] in 0 to 1. An object
    without a proposal that counts has a mask of zeros, and is not watched.
    """
    size = tuple(images.shape[-2:])
    normalized = network.normalize(images)
    positives = find_positives(network, normalized, objects, spec)
    grids = [
        start(found.predicted, size, grid_size(wanted.box, size, spec.cell))
        for wanted, found in zip(objects, positives, strict=True)
    ]
    known = [number for number, found in enumerate(positives) if len(found.boxes)]
    if known:
        optimize(
            network,
            normalized[[objects[number].image for number in known]],
            [objects[number].number for number in known],
            [positives[number] for number in known],
            [grids[number] for number in known],
            spec,
            watch,
        )
    return [(grid.detach(), len(found.boxes)) for grid, found in zip(grids, positives, strict=True)]


def optimize(
    network: Detector,
    images: Tensor,
    numbers: Sequence[int],
    positives: Sequence[Positives],
    grids: Sequence[Tensor],
    spec: Bbam,
    watch: Watch | None = None,
) -> None:
    """Minimise eq. 5.1 for all objects at once, changing their grids in place.

    images: normalised, [O, 3, H, W], one for each object; numbers: the classes of the objects;
    watch: sees the changes of both heads, whichever are preserved.
    """
    size = tuple(images.shape[-2:])
    counts = [len(found.boxes) for found in positives]
    classes = torch.tensor(numbers, device=images.device).repeat_interleave(
        torch.tensor(counts, device=images.device)
    )
    rows = torch.arange(len(classes), device=images.device)
    boxes = [found.boxes for found in positives]
    probabilities = torch.cat([found.probabilities for found in positives])
    offsets = torch.cat([found.offsets for found in positives])
    adam = torch.optim.Adam([grid.requires_grad_() for grid in grids], lr=spec.lr)
    for _ in range(spec.steps):
        masks = torch.stack([upsampled(grid, size) for grid in grids])
        levels = network.pyramid(padded(images * masks[:, None]))
        p, t = network.answers(levels, boxes, [size] * len(grids))
        of_box = (t[rows, classes] - offsets).abs().mean(1) / 2
        of_class = (p[rows, classes] - probabilities).abs() / 2
        change = torch.zeros(len(classes), device=images.device)
        if spec.heads != "class":
            change = change + of_box
        if spec.heads != "box":
            change = change + of_class
        if watch is not None:
            both = torch.stack([of_box, of_class], 1).detach()
            watch(torch.stack([part.mean(0) for part in both.split(counts)]))
        loss = sum(part.mean() for part in change.split(counts))
        for grid in grids:
            variation = total_variation(grid, spec.smoothness_power)
            loss = loss + spec.sparsity * grid.sum() + spec.smoothness * variation
        adam.zero_grad()
        loss.backward()
        adam.step()
        with torch.no_grad():
            for grid in grids:
                grid.clamp_(0, 1)


def grid_size(box: Tensor, size: Size, cell: float | None) -> Size:
    """Rows and columns of the grid of an object's mask, one at least.

    box: [4] in an image of this (height, width); cell: the stride, None for s(a) = 16 + 48·√a.
    """
    width, height = (box[2:] - box[:2]).tolist()
    share = width * height / (size[0] * size[1])
    stride = 16 + 48 * share**0.5 if cell is None else cell
    return max(1, int(size[0] / stride)), max(1, int(size[1] / stride))


def start(boxes: Tensor, size: Size, cells: Size) -> Tensor:
    """The mask before the first step, float32 [rows, columns]: 1 where a box touches a cell.

    boxes: [P, 4] in an image of this (height, width), which the cells divide evenly.
    """
    found = []
    for low, high, side, count in (
        (boxes[:, 1], boxes[:, 3], size[0], cells[0]),
        (boxes[:, 0], boxes[:, 2], size[1], cells[1]),
    ):
        edges = torch.arange(count + 1, device=boxes.device) * (side / count)
        found.append((edges[:-1] < high[:, None]) & (edges[1:] > low[:, None]))
    rows, columns = found
    return (rows[:, :, None] & columns[:, None]).any(0).float()


def total_variation(grid: Tensor, power: float) -> Tensor:
    """The sum of |differences|^power of neighbours in rows, columns and, twice, both diagonals."""
    down, across = grid[1:] - grid[:-1], grid[:, 1:] - grid[:, :-1]
    diagonals = (grid[1:, 1:] - grid[:-1, :-1], grid[1:, :-1] - grid[:-1, 1:])
    plain, twice = (
        sum((part.abs() ** power).sum() for part in parts) for parts in ((down, across), diagonals)
    )
    return plain + 2 * twice
