"""Localization: per-class score maps from a classifier, one block per method."""

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, model_validator

from tags2masks.config.base import InFolder, added, free, user_folder
from tags2masks.config.chains import ChainPath, chain_ending_in
from tags2masks.config.climbing import AdvCam, Rib
from tags2masks.config.map_base import PER_PASS, GradientPrecision, Maps, MultiScale, Scales
from tags2masks.config.object_maps import Bbam, BoxGrad, BoxGradCam, BoxSmoothGrad
from tags2masks.config.prototypes import Prototypes
from tags2masks.config.saliency_maps import (
    BinaryMask,
    DiscCrop,
    DiscPatch,
    RandomCrop,
    RandomPatch,
    Saliency,
    SmoothGrad,
)
from tags2masks.config.training import Precision
from tags2masks.supervision import SOURCES


class Cam(MultiScale):
    """Class activation maps over scales and flips; of `amn` its own maps, as of method `amn`."""

    cites: ClassVar[tuple[str, ...]] = ("zhou2016cam",)

    method: Literal["cam"] = "cam"
    network: Literal["own", "noc"] = added(
        "own",
        description="own: the classifier. noc: the not-so-ordinary classifier, which `pnoc` trains "
        "beside its own (P-NOC, figure 2).",
    )

    @property
    def needs(self) -> tuple[str, ...]:
        """The second network, where it is the one."""
        return ("noc",) if self.network == "noc" else ()


class AmnMaps(MultiScale):
    """Probabilities of a classifier of method `amn`, each class's from 0 to 1 in an image."""

    cites: ClassVar[tuple[str, ...]] = ("lee2022amn",)

    needs: ClassVar[tuple[str, ...]] = ("label_gate",)
    rule: ClassVar[str] = "amn_maps"

    method: Literal["amn"] = "amn"
    sure_background: Literal["stretched", "raw"] = Field(
        "stretched",
        description="Probabilities where the masks that the classifier learned from are "
        "background: stretched from their minimum to their maximum as everywhere, or raw, as in "
        "the public code, so that they stay low.",
    )

    @property
    def helpers(self) -> tuple[str, ...]:
        """These masks, where they count."""
        return ("masks",) if self.sure_background == "raw" else ()


class Pcm(MultiScale):
    """Maps refined by the pixel correlation module of a `seam` or `sampling` classifier."""

    cites: ClassVar[tuple[str, ...]] = ("wang2020seam",)

    needs: ClassVar[tuple[str, ...]] = ("pixel_correlation",)

    method: Literal["pcm"] = "pcm"


class Lpcam(MultiScale):
    """Local prototype CAM (Chen & Sun, CVPR 2023)."""

    cites: ClassVar[tuple[str, ...]] = ("chen2023lpcam",)

    helpers: ClassVar[tuple[str, ...]] = ("prototypes",)

    method: Literal["lpcam"] = "lpcam"
    prototypes: Prototypes = Prototypes()
    context: bool = Field(
        True, description="Subtract the similarity to the context; false: the paper's LPCAM-F."
    )
    flip_features: bool = Field(
        False,
        description="Sum the features of the image and its mirror image before the comparison, as "
        "in the public code; false: sum the maps, as in CAM.",
    )
    relu: Literal["scale", "sum"] = added(
        "scale",
        description="Where the ReLU of eq. 6 is applied: to the map of each scale (and view), as "
        "in the public code, or to their sum.",
    )


class MctFormerMaps(MultiScale):
    """Attention of an `mctformer` classifier's class tokens times its patches' scores (CVPR 2022).

    The paper's maps are of the image at its size and its mirror image.
    """

    cites: ClassVar[tuple[str, ...]] = ("xu2022mctformer",)

    needs: ClassVar[tuple[str, ...]] = ("class_tokens",)
    rule: ClassVar[str] = "mctformer_maps"

    method: Literal["mctformer"] = "mctformer"
    scales: Scales = Field((1.0,), description="Sizes relative to the image.")
    kind: Literal["fused", "attention", "patch"] = Field(
        "fused",
        description="fused: class-to-patch attention times the patches' map; attention or patch: "
        "one of them alone, as in the paper's ablation.",
    )
    layers: int = Field(
        3, ge=1, description="K: class-to-patch attention is summed over the last K blocks."
    )
    refine: bool = Field(
        True,
        description="Spread the maps once by the attention between patches of all blocks.",
    )
    patch_map: Literal["cam", "lpcam"] = Field(
        "cam",
        description="The patches' map: cam, the classifier's score map (PatchCAM); lpcam, likeness "
        "of the patches' tokens to `prototypes`.",
    )
    prototypes: Prototypes = Field(
        Prototypes(), description="With `patch_map: lpcam`; else none are made."
    )
    context: bool = Field(
        True, description="With `patch_map: lpcam`: subtract the similarity to the context."
    )

    @property
    def helpers(self) -> tuple[str, ...]:
        """The prototypes, where they count."""
        return ("prototypes",) if self.patch_map == "lpcam" else ()

    def cited(self) -> list[str]:
        """LPCAM's paper too, where its maps count."""
        return [*self.cites, *(self.prototypes.cites if self.helpers else ())]

    def key(self) -> dict[str, Any]:
        """As for all blocks, without what only `lpcam` uses where it is not used."""
        unused = () if self.helpers else ("prototypes", "context")
        return {name: value for name, value in super().key().items() if name not in unused}


class GradCam(MultiScale):
    """Feature maps weighted by the gradient of a class's logit, over scales and flips."""

    cites: ClassVar[tuple[str, ...]] = ("selvaraju2017gradcam",)

    method: Literal["gradcam"] = "gradcam"


class ClipEs(Maps):
    """Maps of `clip`, without a training (CLIP-ES; Lin et al., CVPR 2023).

    Grad-CAM of the softmax over the image's tags and background texts, then spread along the
    attention of the image tower.
    """

    cites: ClassVar[tuple[str, ...]] = ("lin2023clipes", "selvaraju2017gradcam")

    needs: ClassVar[tuple[str, ...]] = ("texts",)

    method: Literal["clip_es"] = "clip_es"
    affinity: bool = Field(
        True, description="Spread maps along attention; false: the maps of softmax Grad-CAM."
    )
    layers: int = Field(8, ge=1, description="Last layers whose attention is averaged.")
    rounds: int = Field(
        3, ge=1, description="Times that columns and then rows of the attention sum to 1."
    )
    steps: int = Field(2, ge=1, description="t: how often a map is spread.")
    box_score: float = Field(
        0.4,
        ge=0,
        lt=1,
        description="λ: maps are spread from the boxes around what is above this share of their "
        "maximum.",
    )
    stride: int = Field(4, ge=1, le=32, description="Image pixels per stored map pixel.")
    precision: GradientPrecision = Field("32-true", description="Autocast of the image tower.")
    batch_size: int = free(8, ge=1, description=PER_PASS)


class FickleNetMaps(Maps):
    """Maps of many random passes of a `ficklenet` classifier, averaged (Lee et al., CVPR 2019).

    Needs no `scales`: the image is seen at its size. Mean and highest value of the passes are
    stored too, for masks of method `any_pass`.
    """

    cites: ClassVar[tuple[str, ...]] = ("lee2019ficklenet",)

    needs: ClassVar[tuple[str, ...]] = ("random_windows",)
    rule: ClassVar[str] = "ficklenet_maps"

    method: Literal["ficklenet"] = "ficklenet"
    passes: Annotated[int, Field(ge=1)] | Literal["expected"] = Field(
        200,
        description="N, the number of passes; expected: the map of the expected pass, without "
        "random numbers.",
    )
    keep_passes: int = added(
        0, ge=0, description="Also store the maps of so many single passes, for pictures."
    )
    stride: int = Field(4, ge=1, le=32, description="Image pixels per stored map pixel.")
    precision: Precision = Field("32-true", description="Autocast of the features.")
    batch_size: int = free(16, ge=1, description=PER_PASS)

    @model_validator(mode="after")
    def _enough(self) -> "FickleNetMaps":
        if self.keep_passes > (0 if self.passes == "expected" else self.passes):
            raise ValueError(
                f"keep_passes: {self.keep_passes} of passes: {self.passes}; keep no more than that"
            )
        return self

    @property
    def offers(self) -> frozenset[str]:
        """Its passes' mean and highest values."""
        return frozenset() if self.passes == "expected" else frozenset({"passes"})


class MeanMaps(Maps):
    """The mean of the maps of several chains.

    What it follows is the classifier by whose features a background score is chosen for the mean.
    """

    for_parts: ClassVar[tuple[str, ...]] = ("classifier",)
    program: ClassVar[str] = "average_maps"
    memory_mb: ClassVar[int] = 4000
    uses_gpu: ClassVar[bool] = False

    method: Literal["mean"] = "mean"
    of: Annotated[tuple[ChainPath, ...], Field(min_length=2)] = chain_ending_in(
        "maps",
        description="The chains, without the data set, such as `[vanilla/cam, vanilla/lpcam]`.",
    )


class GivenMaps(InFolder, Maps):
    """Maps from elsewhere, such as another program's CAMs: a folder with a file for each image.

    It follows a classifier if a background score is to be chosen by that one's features.
    """

    takes: ClassVar[tuple[str, ...]] = ("dataset", "classifier")
    for_parts: ClassVar[tuple[str, ...]] = ("classifier",)
    made_elsewhere: ClassVar[bool] = True
    program: ClassVar[str] = "read_maps"
    rule: ClassVar[str] = "given_maps"
    memory_mb: ClassVar[int] = 4000
    uses_gpu: ClassVar[bool] = False

    method: Literal["given"] = "given"
    folder: str = user_folder(
        "With `<image>.npz`, as `numpy.savez` writes it: an array of floats [h, w] from 0 to 1 for "
        "each tag of the image, by its name, all of one size. Other arrays are not read."
    )
    learned_from: tuple[Literal[SOURCES], ...] = Field(
        ("tags",), description="The supervision that the maps were made with."
    )
    stride: int = Field(
        4,
        ge=1,
        le=32,
        description="Image pixels per stored map pixel. Larger maps are averaged; smaller ones "
        "stay as they are.",
    )

    @property
    def learns_from(self) -> tuple[str, ...]:
        """What the maps were made with."""
        return self.learned_from


METHODS = {
    "cam": Cam,
    "amn": AmnMaps,
    "pcm": Pcm,
    "lpcam": Lpcam,
    "gradcam": GradCam,
    "ficklenet": FickleNetMaps,
    "mctformer": MctFormerMaps,
    "saliency": Saliency,
    "smoothgrad": SmoothGrad,
    "binarymask": BinaryMask,
    "randompatch": RandomPatch,
    "discpatch": DiscPatch,
    "randomcrop": RandomCrop,
    "disccrop": DiscCrop,
    "advcam": AdvCam,
    "rib": Rib,
    "mean": MeanMaps,
    "given": GivenMaps,
    "bbam": Bbam,
    "boxgrad": BoxGrad,
    "boxsmoothgrad": BoxSmoothGrad,
    "boxgradcam": BoxGradCam,
    "clip_es": ClipEs,
}
