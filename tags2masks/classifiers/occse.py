"""OC-CSE: erasing a class's map from the image must hide the class from an ordinary classifier.

Sources: Kweon et al., ICCV 2021; P-NOC paper, section 3.1, eq. 1, last term. For each image one of
its classes, r, is drawn; x∘(1 − ψ(A^r)) is shown to a classifier that is trained already and stays
as it is, and which is to see all tags but r. The erasing is learned through both.

ψ(A), as in P-NOC's public code, is ReLU of the map, then taken to the image's size, over its
maximum in the batch plus 1e-5, which the gradient goes through, too; the paper leaves it open. As
there, what is erased takes the mean colour (0 after the network's normalisation), and label
smoothing is for all targets.

Differs from the public code: an image without a tag has no class to erase; it counts as one without
a loss. Where several processes train, `erase_max: batch` looks at a process's own images.
"""

from torch import Tensor

from tags2masks.classifiers import vanilla
from tags2masks.classifiers.vanilla import tag_loss
from tags2masks.config.classifiers import Occse
from tags2masks.nets.classifier import Classifier
from tags2masks.nets.resize import resized
from tags2masks.training import Moment

build = vanilla.build

EPSILON = 1e-5


def step(
    network: Classifier, batch: list[Tensor], moment: Moment, spec: Occse
) -> dict[str, Tensor | float]:
    """The losses on a batch: images [B, 3, S, S] in 0 to 255 and multi-hot tags [B, K]."""
    images, tags = batch
    images = images.float() / 255
    (maps,) = network.score_all(images)
    cls = tag_loss(maps.mean((2, 3)), tags, spec.label_smoothing)
    drawn = draw_class(tags, moment.uniform(len(tags)))
    cse, weight = erasing_loss(images, maps, tags, drawn, moment, spec)
    return {"loss": cls + weight * cse, "cls": cls, "cse": cse, "lambda_cse": weight}


def erasing_loss(
    images: Tensor, maps: Tensor, tags: Tensor, drawn: Tensor, moment: Moment, spec: Occse
) -> tuple[Tensor, float]:
    """What the ordinary classifier still sees of the drawn classes; and the weight of this loss.

    images: [B, 3, S, S] in 0 to 1; maps: [B, K, h, w]; drawn: [B, K] of `draw_class`.
    """
    share = soft_share(maps, drawn, images.shape[-2:], spec.erase_max)
    seen = moment.consult(erase(images, share, spec.backbone.mean))
    cse = drawn_loss(seen, tags - drawn, drawn, spec.label_smoothing)
    return cse, moment.weight(spec.lambda_cse, spec)


def draw_class(tags: Tensor, uniform: Tensor) -> Tensor:
    """One of each image's tags, all equally likely: one-hot [B, K], zero for an image without.

    tags: multi-hot [B, K]; uniform: [B] in 0 to less than 1, which decides.
    """
    chosen = (uniform.to(tags.device) * tags.sum(1)).floor()
    return tags * (tags.cumsum(1) - 1 == chosen[:, None])


def soft_share(maps: Tensor, drawn: Tensor, size: tuple[int, int], maximum: str) -> Tensor:
    """How much of each pixel is erased: ψ of the drawn class's map, [B, 1, *size] in 0 to 1.

    maps: [B, K, h, w]; drawn: [B, K], zero where nothing is erased; maximum: `batch` or `image`.
    """
    own = _drawn_map(maps, drawn, size)
    largest = own.max() if maximum == "batch" else own.amax((1, 2, 3), keepdim=True)
    return own / (largest + EPSILON)


def hard_share(maps: Tensor, drawn: Tensor, size: tuple[int, int], limit: float) -> Tensor:
    """1 where ψ of the drawn class's map, over each image's own maximum, is above `limit`, else 0.

    The shapes are those of `soft_share`.
    """
    own = _drawn_map(maps, drawn, size)
    return (own / (own.amax((1, 2, 3), keepdim=True) + EPSILON) > limit).to(own.dtype)


def _drawn_map(maps: Tensor, drawn: Tensor, size: tuple[int, int]) -> Tensor:
    own = (maps * drawn[:, :, None, None]).sum(1, keepdim=True)
    return resized(own.relu(), size)  # in this order, as in the public code


def erase(images: Tensor, share: Tensor, mean: tuple[float, float, float]) -> Tensor:
    """Images [B, 3, H, W] with this share [B, 1, H, W] of their difference from the mean gone."""
    middle = images.new_tensor(mean).view(1, 3, 1, 1)
    return middle + (images - middle) * (1 - share)


def drawn_loss(logits: Tensor, targets: Tensor, drawn: Tensor, smoothing: float) -> Tensor:
    """The mean over a batch of the loss against the targets, 0 for images with no class drawn."""
    return (tag_loss(logits, targets, smoothing, "none") * drawn.sum(1)).mean()
