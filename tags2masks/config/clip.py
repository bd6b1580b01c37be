"""CLIP as a classifier that nothing trains."""

from typing import Any, ClassVar, Literal

from pydantic import Field, model_validator

from tags2masks.config.base import Entry
from tags2masks.config.texts import PromptFields, Prompts
from tags2masks.config.training import Augment, Backbone


class Clip(PromptFields):
    """CLIP's image tower and texts of the classes, as they are: nothing is trained.

    Logits are cosines of the mean token of the patches and the classes' texts, times `logit_scale`.
    The texts are an artifact of their own. Maps: `clip_es`.
    """

    cites: ClassVar[tuple[str, ...]] = ("radford2021clip", "lin2023clipes")
    learns_from: ClassVar[tuple[str, ...]] = ("tags",)
    program: ClassVar[str] = "store_clip"
    memory_mb: ClassVar[int] = 8000
    uses_gpu: ClassVar[bool] = True
    derived: ClassVar[dict[str, type[Entry]]] = {"texts": Prompts}
    frozen: ClassVar[bool] = True  # so it needs weights
    keep_states: ClassVar[bool] = False  # there are no epochs

    method: Literal["clip"] = "clip"
    backbone: Backbone = Field(
        Backbone(
            name="vit_base_patch16_clip_quickgelu_224.openai",
            weights="pretrained",
            mean=(0.4815, 0.4578, 0.4082),
            std=(0.2686, 0.2613, 0.2758),
        ),
        description="An image tower of CLIP, EVA-CLIP or SigLIP in timm.",
    )
    logit_scale: float = Field(
        100, gt=0, description="By which cosines are multiplied; CLIP's is 100, SigLIP's about 117."
    )
    side: int = Field(
        224, ge=16, description="Long side of val's images for their mAP, in pixels; not of maps."
    )

    @model_validator(mode="after")
    def _tower(self):
        if not self.backbone.patch:
            raise ValueError(
                f"backbone.name: {self.backbone.name} is no vision transformer; take an image "
                "tower of CLIP such as vit_base_patch16_clip_quickgelu_224.openai"
            )
        if self.backbone.freeze:
            raise ValueError("backbone.freeze: nothing of clip is trained; leave it out")
        return self

    @property
    def texts(self) -> Prompts:
        """The block of the embedded texts."""
        return Prompts(**{name: getattr(self, name) for name in PromptFields.model_fields})

    @property
    def augment(self) -> Augment:
        """The view of val's images."""
        return Augment(resize=(self.side, self.side), crop=self.side, flip=0)

    @property
    def offers(self) -> frozenset[str]:
        """It compares images with texts."""
        return frozenset({"texts"})

    def key(self) -> dict[str, Any]:
        """As for all blocks; of the fields that the texts are made of only their key."""
        values = super().key()
        own = {name: v for name, v in values.items() if name not in PromptFields.model_fields}
        return own | {"background": values["background"], "texts": self.texts.key()}
