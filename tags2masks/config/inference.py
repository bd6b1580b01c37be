"""How a trained segmentation network is applied."""

from typing import ClassVar

from pydantic import Field

from tags2masks.config.base import Entry, added, free
from tags2masks.config.crf import Bilateral, DenseCrf, Gaussian
from tags2masks.config.map_base import Scales
from tags2masks.config.tiles import Tiles


class NetworkCrf(DenseCrf):
    """Dense conditional random field on a network's probabilities, as in DeepLab-v2.

    Values of its public code: Gaussian weight 3 and deviation 1; bilateral weight 4 and deviations
    67 and 3.
    """

    gaussian: Gaussian = Gaussian(sxy=1, compat=3)
    bilateral: Bilateral = Bilateral(sxy=67, srgb=3, compat=4)


class Inference(Entry):
    """How a trained network is applied; a change trains nothing again."""

    memory_mb: ClassVar[int] = 12000
    uses_gpu: ClassVar[bool] = True

    scales: Scales = Field((1.0,), description="Sizes relative to the image, averaged.")
    flip: bool = Field(False, description="Average with the mirrored image.")
    crf: NetworkCrf | None = Field(
        None, description="Refine the averaged probabilities; `{}`: as DeepLab-v2, null: don't."
    )
    tiles: Tiles | None = added(
        None,
        description="Apply the network to overlapping tiles of each image, and average the "
        "probabilities where they overlap: for images too large for memory, up to 2^30 pixels. "
        "`{}`: tiles of 512 pixels. A CRF still sees the whole image. null: whole images.",
    )
    batch_size: int = free(8, ge=1, description="Images of equal size per forward pass, or tiles.")
