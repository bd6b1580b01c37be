"""Data sets of images without tags: candidates for out-of-distribution images."""

from typing import ClassVar, Literal

from pydantic import Field

from tags2masks.config.base import free
from tags2masks.config.dataset_base import ClassNames, Photographs


class Pool(Photographs):
    """Kinds without tags: all images are of split ood. No experiment may begin with one."""

    tagged: ClassVar[bool] = False

    images: str = free(description="Folder of the images, with its subfolders.")

    @property
    def has_truth(self) -> bool:
        """There are no masks."""
        return False

    @property
    def tables_root(self) -> str | None:
        """Files are described by their names."""
        return None

    def image_root(self, own: str) -> str:
        """The folder of the images."""
        return self.images


class Untagged(Pool):
    """A folder of images without tags: candidates for out-of-distribution images."""

    title: ClassVar[str] = "untagged images"

    kind: Literal["untagged"] = "untagged"
    names: str | None = free(
        None,
        description="A text file that names images of the folder, one a line; null: all that are "
        "there.",
    )

    def index_files(self, split: str) -> list[str]:
        """The list, if there is one."""
        return [self.names] if split == "ood" and self.names else []


class OpenImages(Pool):
    """OpenImages: images whose human-verified labels name none of some classes.

    The files are those that are published: labels of images and descriptions of classes. An image
    is a file `<ImageID>.jpg` of the folder. Images without a verified label are left out.
    """

    cites: ClassVar[tuple[str, ...]] = ("kuznetsova2020openimages",)

    title: ClassVar[str] = "OpenImages"

    kind: Literal["openimages"] = "openimages"
    labels: str = free(
        description="The CSV file of human-verified image labels: ImageID, Source, LabelName, "
        "Confidence, of which 1 says that the image shows the class."
    )
    descriptions: str = free(
        description="The CSV file of class descriptions: a label name and a display name a line, "
        "below a header or not."
    )
    without: ClassNames = Field(
        description="Display names of the classes that no candidate shows, all that mean one of "
        "the experiment's: for a person [Person, Man, Woman, Boy, Girl, Human face, …]."
    )

    def index_files(self, split: str) -> list[str]:
        """The labels and the descriptions."""
        return [self.labels, self.descriptions] if split == "ood" else []
