"""Which pictures of analyses a data set's part of the page has."""

from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

from tags2masks.report.analysis_pictures import ShownPictures, gradient_pictures
from tags2masks.report.lineage import ShownArtifact
from tags2masks.report.proposal_pictures import proposal_pictures
from tags2masks.report.region_pictures import region_pictures
from tags2masks.report.stored import Dataset


def analysis_pictures(
    key: str, maps: Sequence[ShownArtifact], dataset: Dataset, asked: Collection[Path]
) -> Iterator[ShownPictures]:
    """The pictures of each artifact of maps whose files of analyses are in `asked`."""
    for place, artifact in enumerate(maps):
        if artifact.folder / "gradients.zarr.zip" in asked:
            yield gradient_pictures(artifact, dataset)
        if artifact.folder / "regions.zarr.zip" in asked:
            yield region_pictures(f"{key}-regions{place}", artifact, dataset)
        if artifact.folder / "proposals.zarr.zip" in asked:
            yield proposal_pictures(artifact, dataset)
