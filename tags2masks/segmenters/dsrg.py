"""Deep Seeded Region Growing (Huang et al., CVPR 2018): labels grow while a network learns.

At every step the seeds, which are the labels of the pseudo-masks, spread anew to the places that
the network is sure of; the network then learns from the grown labels (the paper's balanced seeding
loss) and from its own output after a dense random field (the boundary loss of Kolesnikov &
Lampert, ECCV 2016). Nothing of the growing is kept from one step to the next.

Differs from the paper: an image's classes are those that its seeds show, not its tags, which a
segmenter's training does not see; the padding of a view takes part in nothing. The boundary loss is
over all classes and cells, as Kolesnikov & Lampert have it.
Differs from the authors' public code: there the thresholds are 0.85 for classes and 0.99 for
background; the seeds grow on the field's output (our `grow_on: field`), through another class's
seeds too; the field's unary term is the network's probability, not its logarithm; probabilities are
kept above 1e-4 and ratios within 0.05 to 20 in the boundary loss, whose gradient also goes through
the field, as an approximation. Here the field's output is a constant.
"""

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from scipy.ndimage import label
from torch import Tensor, nn

from tags2masks.config.growing import Growing
from tags2masks.config.segmenters import Segmenter
from tags2masks.mask_ids import IGNORED
from tags2masks.masks.dense_crf import on_probabilities
from tags2masks.training import Moment

EIGHT_NEIGHBOURS = np.ones((3, 3), bool)


def step(
    network: nn.Module, batch: list[Tensor], moment: Moment, spec: Segmenter
) -> dict[str, Tensor]:
    """`growing_step` on a batch: uint8 images [B, 3, S, S] and labels [B, S, S], 255 for none."""
    images, labels = batch
    logits = network(images.float() / 255).float()
    return growing_step(logits, images, labels, spec.growing, spec.backbone.mean)


def growing_step(
    logits: Tensor, images: Tensor, labels: Tensor, spec: Growing, fill: Sequence[float]
) -> dict[str, Tensor]:
    """What a network with these logits is to descend, "loss", and what it is made of.

    logits: [B, K+1, H, W]; images: uint8 [B, 3, H, W]; labels: uint8 [B, H, W], 255 for none;
    fill: the colour of a view's padding, 0 to 1.
    Everything happens on cells of `stride` pixels: logits and colours are averaged over them, and
    the label in the middle of a cell is its seed. "seeding" and "boundary" are the losses before
    their weights; "grown" is the share of cells with a label after growing, padding not counted.
    Without `boundary_weight` no field is made unless the growing needs it, and "boundary" is 0.
    Raises ValueError when logits, images and labels differ in size.
    """
    if not logits.shape[-2:] == images.shape[-2:] == labels.shape[-2:]:
        raise ValueError(
            f"logits, images and labels of sizes {tuple(logits.shape[-2:])}, "
            f"{tuple(images.shape[-2:])}, {tuple(labels.shape[-2:])}; they must be the same"
        )
    log_probabilities = _means(logits, spec.stride).log_softmax(1)
    seeds = _middles(labels, spec.stride).cpu().numpy()
    inside = _middles(view_inside(images, labels, fill), spec.stride)
    known = inside.cpu().numpy()
    probabilities = log_probabilities.detach().exp().cpu().numpy()
    trusted, boundary = probabilities, torch.zeros((), device=logits.device)
    if spec.boundary_weight or spec.grow_on == "field":
        colours = _means(images.float(), spec.stride).round().byte().permute(0, 2, 3, 1)
        refined = refine_cells(colours.cpu().numpy(), probabilities, known, spec)
        boundary = boundary_loss(
            log_probabilities, torch.from_numpy(refined).to(logits.device), inside
        )
        trusted = refined if spec.grow_on == "field" else probabilities
    grown = grow(
        seeds,
        trusted * known[:, None],  # nothing grows where there is no image
        classes_seeded(seeds, logits.shape[1]),
        spec.foreground,
        spec.background,
    )
    seeding = seeding_loss(log_probabilities, torch.from_numpy(grown).to(logits.device))
    labelled = (grown != IGNORED).sum() / max(1, known.sum())
    return {
        "loss": spec.seeding_weight * seeding + spec.boundary_weight * boundary,
        "seeding": seeding,
        "boundary": boundary,
        "grown": torch.tensor(float(labelled), device=logits.device),
    }


def grow(
    seeds: np.ndarray,
    probabilities: np.ndarray,
    tagged: np.ndarray,
    foreground: float,
    background: float,
) -> np.ndarray:
    """The seeds and what can be reached from them over cells that suit: uint8 [B, h, w].

    seeds: uint8 [B, h, w], 0 background, 1 to K classes, 255 none; probabilities: [B, K+1, h, w];
    tagged: bool [B, K+1], the classes that may grow, background being one of them.
    A cell without a seed joins a class when the class is the likeliest of the tagged ones there,
    its probability is above the threshold, and one of the eight cells around it is in the class
    already. Repeated until nothing joins, that is: the connected regions of seeds and such cells
    that hold a seed. No cell suits two classes, so their order does not matter. Seeds stay.
    """
    grown = seeds.copy()
    for image, shares, own, out in zip(seeds, probabilities, tagged, grown, strict=True):
        classes = np.flatnonzero(own)
        likeliest = classes[shares[classes].argmax(axis=0)]
        sure = shares[classes].max(axis=0) > np.where(likeliest == 0, background, foreground)
        open_to_growth = sure & (image == IGNORED)
        for number in classes:
            seeded = image == number
            if not seeded.any():
                continue
            regions, count = label(
                seeded | (open_to_growth & (likeliest == number)), EIGHT_NEIGHBOURS
            )
            reached = np.zeros(count + 1, bool)
            reached[regions[seeded]] = True
            out[reached[regions]] = number
    return grown


def classes_seeded(seeds: np.ndarray, count: int) -> np.ndarray:
    """bool [B, count]: whether an image has seeds of a class; background counts as seeded.

    seeds: uint8 [B, h, w], 255 for none.
    """
    seeded = np.stack([np.bincount(image.ravel(), minlength=256)[:count] > 0 for image in seeds])
    seeded[:, 0] = True
    return seeded


def seeding_loss(log_probabilities: Tensor, grown: Tensor) -> Tensor:
    """Mean of -log p over an image's background labels, plus that over its other labels.

    log_probabilities: [B, K+1, h, w]; grown: uint8 [B, h, w], 255 for none. The paper's equation is
    for one image and its own labels; here the mean over the batch is taken. Without labels of one
    kind, that part of an image's loss is 0.
    """
    labels = grown.long()
    costs = F.nll_loss(log_probabilities, labels, ignore_index=IGNORED, reduction="none")
    of_background = labels == 0
    of_classes = (labels != 0) & (labels != IGNORED)
    return (_mean_where(costs, of_background) + _mean_where(costs, of_classes)).mean()


def boundary_loss(log_probabilities: Tensor, refined: Tensor, inside: Tensor) -> Tensor:
    """Divergence KL(field || network), averaged over an image's cells, then over the batch.

    log_probabilities, refined: [B, K+1, h, w], the network's and the field's, the latter no longer
    logarithms and taken as a constant; inside: bool [B, h, w], the cells that count.
    """
    refined = refined.detach()
    divergence = (torch.xlogy(refined, refined) - refined * log_probabilities).sum(1)
    return _mean_where(divergence, inside).mean()


def refine_cells(
    colours: np.ndarray, probabilities: np.ndarray, inside: np.ndarray, spec: Growing
) -> np.ndarray:
    """The random field's probabilities in each image's own cells: float32 [B, K+1, h, w].

    colours: uint8 [B, h, w, 3]; inside: bool [B, h, w], a rectangle, beyond which the
    probabilities are left as they are. Kolesnikov & Lampert run the field on the small map with
    distances twelve times as long; `cell` is that twelve.
    """
    gaussian = spec.gaussian.model_copy(update={"sxy": spec.gaussian.sxy / spec.cell})
    bilateral = spec.bilateral.model_copy(update={"sxy": spec.bilateral.sxy / spec.cell})
    of_cells = spec.model_copy(update={"gaussian": gaussian, "bilateral": bilateral})
    refined = probabilities.astype(np.float32)
    for image, shares, cells in zip(colours, refined, inside, strict=True):
        if not cells.any():
            continue
        rows, columns = (_extent(cells.any(axis=axis)) for axis in (1, 0))
        shares[:, rows, columns] = on_probabilities(
            image[rows, columns], shares[:, rows, columns], of_cells
        )
    return refined


def view_inside(images: Tensor, labels: Tensor, fill: Sequence[float]) -> Tensor:
    """bool [B, H, W]: the rectangle of each view that is image, not padding.

    images: uint8 [B, 3, H, W]; labels: uint8 [B, H, W]; fill: the padding's colour, 0 to 1.
    Padding is the outermost rows and columns with that colour alone and no label. An image's own
    border that looks so is taken for padding too.
    """
    colour = torch.from_numpy(np.round(np.asarray(fill) * 255).astype(np.uint8)).to(images.device)
    blank = (images == colour[:, None, None]).all(1) & (labels == IGNORED)
    rows, columns = (_from_first_to_last(~blank.all(axis)) for axis in (2, 1))
    return rows[:, :, None] & columns[:, None, :]


def _means(values: Tensor, stride: int) -> Tensor:
    return F.avg_pool2d(values, stride, ceil_mode=True)


def _middles(values: Tensor, stride: int) -> Tensor:
    """[B, h, w] of [B, H, W]: the value in the middle of each cell, the last cells being cut."""
    for axis in (1, 2):
        side = values.shape[axis]
        middle = torch.arange(stride // 2, side + stride // 2, stride, device=values.device)
        values = values.index_select(axis, middle.clamp(max=side - 1))
    return values


def _mean_where(values: Tensor, chosen: Tensor) -> Tensor:
    """[B]: each image's mean over its chosen cells, 0 where there are none."""
    return (values * chosen).sum((1, 2)) / chosen.sum((1, 2)).clamp(min=1)


def _extent(marked: np.ndarray) -> slice:
    places = np.flatnonzero(marked)
    return slice(places[0], places[-1] + 1)


def _from_first_to_last(marked: Tensor) -> Tensor:
    """bool [B, n]: true from each row's first true to its last."""
    return (marked.cumsum(1) > 0) & (marked.flip(1).cumsum(1) > 0).flip(1)
