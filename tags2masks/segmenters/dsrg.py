"""Deep Seeded Region Growing (Huang et al., CVPR 2018): labels grow while a network learns.

At every training step the seeds (the labels of the pseudo-masks) grow into cells where the network
is confident. The network then learns from the grown labels (the paper's balanced seeding loss) and
from its own output after a dense CRF (the boundary loss of Kolesnikov & Lampert, ECCV 2016).
Growing starts again from the seeds at every step.

Differs from the paper: an image's classes are those of its seeds, not its tags, which a segmenter's
training does not get; the padding of a view is left out. The boundary loss is over all classes and
cells, as in Kolesnikov & Lampert.
Differs from the authors' public code: there the thresholds are 0.85 for classes and 0.99 for
background; seeds grow on the CRF's output (our `grow_on: field`), also through seeds of other
classes; the CRF's unary term is the network's probability, not its logarithm; in the boundary loss
probabilities are at least 1e-4 and ratios within 0.05 to 20, and an approximate gradient flows
through the CRF. Here the CRF's output is a constant.
"""

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from scipy.ndimage import label
from torch import Tensor, nn

from tags2masks.config.crf import on_device
from tags2masks.config.growing import Growing
from tags2masks.config.segmenters import CrossEntropySegmenter
from tags2masks.mask_ids import IGNORED
from tags2masks.masks.dense_crf import on_probabilities
from tags2masks.training import Moment

EIGHT_NEIGHBOURS = np.ones((3, 3), bool)


def step(
    network: nn.Module, batch: list[Tensor], moment: Moment, spec: CrossEntropySegmenter
) -> dict[str, Tensor]:
    """`growing_step` on a batch: uint8 images [B, 3, S, S] and labels [B, S, S], 255 for none."""
    images, labels = batch
    logits = network(images.float() / 255).float()
    return growing_step(logits, images, labels, spec.growing, spec.backbone.mean)


def growing_step(
    logits: Tensor, images: Tensor, labels: Tensor, spec: Growing, fill: Sequence[float]
) -> dict[str, Tensor]:
    """The loss of growing for given logits, and its parts.

    logits: [B, K+1, H, W]; images: uint8 [B, 3, H, W]; labels: uint8 [B, H, W], 255 for none;
    fill: the colour of a view's padding, 0 to 1.
    All is computed on cells of `stride` pixels: logits and colours are averaged over a cell, and
    the label at its middle is its seed. "seeding" and "boundary" are the losses before their
    weights; "grown" is the share of cells with a label after growing, without padding. With
    `boundary_weight` 0 the CRF runs only if growing needs it, and "boundary" is 0.
    Raises ValueError if logits, images and labels differ in size.
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
        of_crf = on_device(spec, logits.device.type)
        refined = refine_cells(colours.cpu().numpy(), probabilities, known, of_crf)
        boundary = boundary_loss(
            log_probabilities, torch.from_numpy(refined).to(logits.device), inside
        )
        trusted = refined if spec.grow_on == "field" else probabilities
    grown = grow(
        seeds,
        trusted * known[:, None],  # labels do not grow into padding
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
    """Grow seeds over neighbouring cells of the same class: uint8 [B, h, w].

    seeds: uint8 [B, h, w], 0 background, 1 to K classes, 255 none; probabilities: [B, K+1, h, w];
    tagged: bool [B, K+1], the classes that may grow, including background.
    A cell without a seed joins a class if the class is the most probable of the tagged ones there,
    its probability is above the threshold, and one of the eight neighbours is in the class. This is
    repeated until no cell joins: the result is the connected components, of seeds and such cells,
    that contain a seed. A cell can join only one class, so the order of classes does not matter.
    Seeds keep their label.
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
    """Whether an image has seeds of a class, bool [B, count]; background counts as seeded.

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
    """Divergence KL(CRF || network), averaged over an image's cells, then over the batch.

    log_probabilities: of the network; refined: probabilities of the CRF, detached; both [B, K+1, h,
    w].
    inside: bool [B, h, w], the cells that count.
    """
    refined = refined.detach()
    divergence = (torch.xlogy(refined, refined) - refined * log_probabilities).sum(1)
    return _mean_where(divergence, inside).mean()


def refine_cells(
    colours: np.ndarray, probabilities: np.ndarray, inside: np.ndarray, spec: Growing
) -> np.ndarray:
    """The CRF's probabilities inside each image: float32 [B, K+1, h, w].

    colours: uint8 [B, h, w, 3]; inside: bool [B, h, w], a rectangle; probabilities outside it are
    not changed. Kolesnikov & Lampert run the CRF on the small map with distances multiplied by
    twelve; `cell` is this factor.
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
    """The rectangle of each view that is image, not padding: bool [B, H, W].

    images: uint8 [B, 3, H, W]; labels: uint8 [B, H, W]; fill: the padding's colour, 0 to 1.
    Outer rows and columns that have only this colour and no label count as padding, even if they
    are part of the image.
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
