"""Mask R-CNN: instances that are learned from pseudo-masks, or from true ones."""

from typing import ClassVar, Literal

from pydantic import Field

from tags2masks.config.base import Entry, free
from tags2masks.config.detectors import Anchors, ShortSides, Side, TwoStage
from tags2masks.config.inference import NetworkCrf
from tags2masks.config.training import Optimizer, Share


class InstanceInference(Entry):
    """How a trained network of instances is applied; a change trains nothing again."""

    memory_mb: ClassVar[int] = 12000
    uses_gpu: ClassVar[bool] = True

    short_side: Side = Field(512, description="Short side of the images in pixels.")
    longest: int = Field(
        800, ge=16, description="Longer images are resized to this long side instead, in pixels."
    )
    mask_score: float = Field(
        0.5, ge=0, lt=1, description="A pixel is the instance's if its probability is above this."
    )
    semantic_score: Share = Field(
        0.5,
        description="Only instances of this score or more are in the semantic masks, from which "
        "IoU is measured; average precision counts all instances.",
    )
    crf: NetworkCrf | None = Field(
        None,
        description="Refine each instance's probabilities on its box and half of the box's sides "
        "around it; `{}`: with the numbers of BBAM's code, null: don't. The code takes the whole "
        "image, raises each mask before, and enlarges small boxes.",
    )
    batch_size: int = free(8, ge=1, description="Images of equal size per forward pass.")

    @property
    def offers(self) -> frozenset[str]:
        """Instances, which are measured."""
        return frozenset({"instances"})


class MaskRcnn(TwoStage):
    """Mask R-CNN on the feature pyramid of any network of timm, as torchvision has it.

    It follows instances, or masks that have some (`irn` with `instances: true`). The defaults are
    those of BBAM's public code (maskrcnn-benchmark) on VOC. After epochs the boxes of val are
    measured at the largest size of `augment`; predictions are made at that of `test`.
    """

    cites: ClassVar[tuple[str, ...]] = (
        "he2017maskrcnn",
        "lin2017fpn",
        "lee2021bbam",
        "huang2018dsrg",
    )
    takes: ClassVar[tuple[str, ...]] = ("instances", "masks")
    needs: ClassVar[tuple[str, ...]] = ("instances",)
    minutes: ClassVar[int] = 1440

    method: Literal["maskrcnn"] = "maskrcnn"
    epochs: int = Field(15, ge=1, description="15 · 1,323 = 19,845 steps on VOC.")
    batch_size: int = Field(8, ge=1, description="Images per step, over all GPUs.")
    optimizer: Optimizer = Optimizer(
        lr=0.008, head_factor=1, momentum=0.9, poly_power=0, warmup=0.025, drops=(0.8,)
    )
    augment: ShortSides = ShortSides(short_sides=(416, 440, 464, 488, 512), longest=800)
    anchors: Anchors = Anchors(sizes=(21, 42, 84, 168, 332))
    mask_layers: int = Field(4, ge=1, description="Convolutions of the mask head.")
    mask_channels: int = Field(256, ge=1, description="Channels of the mask head.")
    mask_loss: Literal["halves", "cells"] = Field(
        "halves",
        description="Cross entropy of the mask head: halves: half the mean over foreground, half "
        "the mean over background, as BBAM's code; cells: the mean over both together, as Mask "
        "R-CNN.",
    )
    grow: bool = Field(
        True,
        description="Ignored cells learn, too, once the network is sure of them and of a "
        "neighbour. Only instances whose possible extent is larger than their mask have some.",
    )
    grow_above: Share = Field(
        0.9,
        description="With grow: a cell is sure foreground above this probability, and sure "
        "background below 1 less it.",
    )
    test: InstanceInference = InstanceInference()
