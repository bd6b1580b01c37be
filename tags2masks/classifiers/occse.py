"""OC-CSE: erasing a class's map from the image must hide the class from an ordinary classifier.

Sources: Kweon et al., ICCV 2021; P-NOC paper, section 3.1, eq. 1, last term. For each image one of
its classes, r, is drawn. A trained classifier with fixed weights gets x∘(1 − ψ(A^r)) and should
predict all tags except r. The gradient flows through this classifier and the erased image.

The paper does not define ψ. As in P-NOC's public code, ψ(A) is ReLU of the map, resized to the
image and divided by its maximum in the batch plus 1e-5; the gradient flows through the maximum too.
Also as in the code, erased pixels get the mean colour (0 after the network's normalisation), and
label smoothing applies to all targets.

Differs from the public code: an image without a tag has no class to erase, and its loss is 0. With
several training processes, `erase_max: batch` takes the maximum over a process's own images.
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
    """The loss of the ordinary classifier on images without the drawn classes, and its weight.

    images: [B, 3, S, S] in 0 to 1; maps: [B, K, h, w]; drawn: [B, K] from `draw_class`.
    """
    share = soft_share(maps, drawn, images.shape[-2:], spec.erase_max)
    seen = moment.consult(erase(images, share, spec.backbone.mean))
    cse = drawn_loss(seen, tags - drawn, drawn, spec.label_smoothing)
    return cse, moment.weight(spec.lambda_cse, spec)


def draw_class(tags: Tensor, uniform: Tensor) -> Tensor:
    """Draw one of each image's tags, all equally likely: one-hot [B, K]; zeros without a tag.

    tags: multi-hot [B, K]; uniform: random numbers [B] in [0, 1).
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
    """1 where the drawn class's map, divided by the image's own maximum, is above `limit`, else 0.

    Shapes as in `soft_share`.
    """
    own = _drawn_map(maps, drawn, size)
    return (own / (own.amax((1, 2, 3), keepdim=True) + EPSILON) > limit).to(own.dtype)


def _drawn_map(maps: Tensor, drawn: Tensor, size: tuple[int, int]) -> Tensor:
    own = (maps * drawn[:, :, None, None]).sum(1, keepdim=True)
    return resized(own.relu(), size)  # in this order, as in the public code


def erase(images: Tensor, share: Tensor, mean: tuple[float, float, float]) -> Tensor:
    """Blend images [B, 3, H, W] towards the mean colour by this share [B, 1, H, W]."""
    middle = images.new_tensor(mean).view(1, 3, 1, 1)
    return middle + (images - middle) * (1 - share)


def drawn_loss(logits: Tensor, targets: Tensor, drawn: Tensor, smoothing: float) -> Tensor:
    """Mean tag loss over a batch; images with no class drawn count as 0."""
    return (tag_loss(logits, targets, smoothing, "none") * drawn.sum(1)).mean()
