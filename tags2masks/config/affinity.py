"""Affinity networks, trained on certain labels: one block per method."""

from typing import ClassVar, Literal

from pydantic import Field

from tags2masks.config.base import added
from tags2masks.config.training import Augment, Backbone, Optimizer, Training


class AffinityTraining(Training):
    """Options that all affinity networks have."""

    init_from_classifier: bool = Field(
        False, description="Take the backbone's weights from the classifier of the experiment."
    )


class IrnTraining(AffinityTraining):
    """Class boundaries and displacements to the instances' centres (Ahn et al., CVPR 2019)."""

    cites: ClassVar[tuple[str, ...]] = ("ahn2019irn",)

    frozen: ClassVar[bool] = True  # its backbone must come with weights

    method: Literal["irn"] = "irn"
    backbone: Backbone = Field(
        Backbone(weights="pretrained"), description="It is not trained, so it needs weights."
    )
    epochs: int = Field(3, ge=1)
    batch_size: int = Field(32, ge=1, description="Images per step, over all GPUs.")
    optimizer: Optimizer = Optimizer(lr=0.1, head_factor=10, momentum=1e-4)
    augment: Augment = Augment(resize=(250, 750))
    displacement: bool = added(
        True,
        description="Learn displacements in addition to boundaries. false: boundaries only, as in "
        "P-NOC's public code; enough for the walk, but not for `instances`.",
    )
    radius: int = Field(
        10, ge=2, le=64, description="Train on pairs of cells nearer than this; a cell is 4 pixels."
    )


class PsaTraining(AffinityTraining):
    """Features that are similar where pixels belong together (AffinityNet; Ahn & Kwak, 2018)."""

    cites: ClassVar[tuple[str, ...]] = ("ahn2018psa",)

    method: Literal["psa"] = "psa"
    backbone: Backbone = Backbone(name="resnet38d", output_stride=8)
    epochs: int = Field(8, ge=1)
    batch_size: int = Field(8, ge=1, description="Images per step, over all GPUs.")
    optimizer: Optimizer = Optimizer(lr=0.1, head_factor=10, momentum=5e-4, weight_decay=5e-4)
    augment: Augment = Augment(resize=(500, 500), crop=448)
    radius: int = Field(
        5, ge=2, le=64, description="Train on pairs of cells nearer than this; a cell is 8 pixels."
    )
    cell_labels: Literal["mean", "middle"] = Field(
        "mean",
        description="Label of a cell. mean: from the mean of each CRF's probabilities over its "
        "pixels, as in the public code; middle: the label of its middle pixel. The paper does not "
        "say.",
    )


METHODS = {"irn": IrnTraining, "psa": PsaTraining}
