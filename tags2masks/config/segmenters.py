"""Segmentation networks trained on pseudo-masks: one block per method."""

from typing import Literal

from pydantic import Field

from tags2masks.config.base import Block, free
from tags2masks.config.maps import Scales
from tags2masks.config.training import Augment, Optimizer, Training


class Test(Block):
    """How a trained network is applied; changing it trains nothing again."""

    scales: Scales = Field((1.0,), description="Sizes relative to the image, averaged.")
    flip: bool = Field(False, description="Average with the mirrored image.")
    batch_size: int = free(8, ge=1, description="Images of like size per forward pass.")


class DeepLabV3Plus(Training):
    """DeepLabV3+ of segmentation-models-pytorch on a timm encoder."""

    method: Literal["deeplabv3plus"] = "deeplabv3plus"
    epochs: int = Field(15, ge=1)
    optimizer: Optimizer = Optimizer(lr=0.007, head_factor=1, momentum=0.9)
    augment: Augment = Augment(resize=(256, 1024))
    freeze_bn: bool = False
    init_from_classifier: bool = Field(
        False, description="Start the encoder from the classifier of the same experiment."
    )
    decoder_channels: int = Field(256, ge=8)
    test: Test = Test()


METHODS = {"deeplabv3plus": DeepLabV3Plus}
