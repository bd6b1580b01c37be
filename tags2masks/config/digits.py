"""Data sets of digits: the embedded scenes, and MNIST."""

from pathlib import Path
from typing import ClassVar, Literal

from pydantic import Field, model_validator

from tags2masks.config.base import added, free
from tags2masks.config.dataset_base import ClassNames, Dataset, refuse_others

DIGIT_NAMES = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")

# For each split, the published files of images and labels, without .gz.
MNIST_FILES = {
    "train": ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
    "val": ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
}


class Digits(Dataset):
    """Embedded: real handwritten digits on photographed textures, with exact masks and boxes."""

    cites: ClassVar[tuple[str, ...]] = ("alpaydin1998digits",)

    title: ClassVar[str] = "embedded digits"
    has_boxes: ClassVar[bool] = True
    makes_images: ClassVar[bool] = True
    makes_masks: ClassVar[bool] = True

    kind: Literal["digits"] = "digits"
    classes: ClassNames = Field(
        ("zero", "one", "two", "three", "four"),
        description="Digits to place, by their English names.",
    )
    train: int = Field(1200, ge=1, description="Training scenes.")
    val: int = Field(300, ge=0, description="Evaluation scenes.")
    ood: int = Field(60, ge=0, description="Bare textures, without a digit or tag.")
    size: int = Field(64, ge=24, le=1024, description="Side of a scene, pixels.")
    digit_size: tuple[int, int] = Field((18, 33), description="Smallest and largest digit, pixels.")
    most_digits: int = Field(3, ge=1, le=9, description="A scene holds one to this many digits.")
    favourite: float = Field(
        0.9,
        ge=0,
        le=1,
        description="Probability that the background is the favourite texture of the first "
        "digit's class.",
    )

    @property
    def has_instances(self) -> bool:
        """Every digit is one."""
        return True

    @model_validator(mode="after")
    def _placeable(self):
        refuse_others(self.classes, DIGIT_NAMES)
        low, high = self.digit_size
        if not 8 <= low <= high <= self.size:
            raise ValueError(f"digit_size must lie in 8 to size ({self.size}), smallest first")
        return self


class Mnist(Dataset):
    """MNIST's digits, scaled up; pixels of ink are the truth (Maruf et al., 2023, section 5.1)."""

    cites: ClassVar[tuple[str, ...]] = ("lecun1998mnist",)

    title: ClassVar[str] = "MNIST"
    has_boxes: ClassVar[bool] = True
    makes_images: ClassVar[bool] = True
    makes_masks: ClassVar[bool] = True

    kind: Literal["mnist"] = "mnist"
    root: str = free(description="Folder of the four idx files, gzipped as published or plain.")
    classes: ClassNames = Field(DIGIT_NAMES, description="Digits to take, by their English names.")
    train: int = Field(2000, ge=1, le=60000, description="Training images, from the file's start.")
    val: int = Field(
        500, ge=0, le=10000, description="Evaluation images, from the start of MNIST's test file."
    )
    size: int = Field(
        128, ge=28, le=1024, description="Side of the images after nearest-neighbour upscaling."
    )
    planted: float | None = added(
        None,
        gt=0,
        le=1,
        description="Share of the images that get a shape beside the digit, as in the toy "
        "experiment of Lee's thesis (section 3.4.2): a disc with the first class, a square with "
        "the second. All digits then stand in frames of 40 × 40 pixels; masks of instances tell "
        "digit and shape apart.",
    )

    def index_files(self, split: str) -> list[str]:
        """The files of images and labels of a split, unpacked if they exist, else gzipped."""
        plain = [Path(self.root) / name for name in MNIST_FILES.get(split, ())]
        return [str(path) if path.is_file() else f"{path}.gz" for path in plain]

    @model_validator(mode="after")
    def _known_digits(self):
        refuse_others(self.classes, DIGIT_NAMES)
        if self.planted is not None and len(self.classes) != 2:
            raise ValueError(
                "planted: a shape goes with each of two classes; name two in `classes`"
            )
        return self
