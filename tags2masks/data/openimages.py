"""OpenImages: images whose human-verified labels name none of some classes."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from tags2masks.config.mistakes import choices
from tags2masks.config.pools import OpenImages
from tags2masks.data.images import image_files
from tags2masks.data.untagged import folder_of, listing
from tags2masks.errors import UserError, raise_together
from tags2masks.given import open_given

COLUMNS = ("ImageID", "LabelName", "Confidence")
ROWS = 1_000_000
"""Rows that are read at a time: the published file of training images has 57 million."""


def list_classes(spec: OpenImages, root: Path | str) -> list[str]:
    """There are no tags: labels say what candidates do not show."""
    return []


def list_images(
    spec: OpenImages, root: Path | str, split: str, classes: Sequence[str], seed: int = 0
) -> pd.DataFrame:
    """The images of the folder root with a verified label, and none of the classes `without`.

    Images without a verified label are left out, as nobody looked at them; their number is printed.
    Raises UserError naming a file that cannot be read, and unknown names of classes.
    """
    found = {path.stem: path for path in image_files(folder_of(root))}
    shown, verified = _verified(Path(spec.labels), _labels_of(spec), set(found))
    if unseen := len(found.keys() - verified):
        print(f"{unseen} of {len(found)} images have no verified label and are left out")
    print(f"{len(shown)} of {len(found)} images show one of the classes and are left out")
    kept = sorted(verified - shown)
    return listing(found[name].relative_to(root).as_posix() for name in kept)


def _labels_of(spec: OpenImages) -> set[str]:
    """The label names of the classes `without`; several may have one display name."""
    pairs = _read(Path(spec.descriptions), "descriptions", header=None, dtype=str)
    if pairs.shape[1] < 2:
        raise UserError(f"{spec.descriptions}: no second column; correct `descriptions`")
    names: dict[str, set[str]] = {}
    for label, name in zip(pairs[0], pairs[1], strict=True):
        names.setdefault(name, set()).add(label)
    raise_together(
        [
            f"{spec.descriptions}: no class '{name}'; {_near(name, names)} in `without`"
            for name in spec.without
            if name not in names
        ]
    )
    return set().union(*(names[name] for name in spec.without))


def _near(name: str, names: dict) -> str:
    """A hint that does not list all of thousands of names."""
    return choices(name, names) if len(names) < 50 else choices(name, names).partition("choose")[0]


def _verified(labels: Path, without: set[str], images: set[str]) -> tuple[set[str], set[str]]:
    """Of these images those that show one of the labels, and those with any verified label."""
    shown: set[str] = set()
    verified: set[str] = set()
    chunks = _read(labels, "labels", usecols=list(COLUMNS), chunksize=ROWS, dtype=str)
    with chunks:
        for chunk in _checked(chunks, labels):
            chunk = chunk[chunk["ImageID"].isin(images)]
            verified |= set(chunk["ImageID"])
            positive = pd.to_numeric(chunk["Confidence"], errors="coerce") == 1
            shown |= set(chunk["ImageID"][positive & chunk["LabelName"].isin(without)])
    return shown, verified


def _read(path: Path, key: str, **options):
    try:
        return pd.read_csv(open_given(path), na_filter=False, **options)
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; correct `{key}` in the config") from None
    except (OSError, ValueError) as error:
        said = " ".join(str(error).split())
        raise UserError(f"{path}: no readable table ({said}); correct `{key}`") from None


def _checked(chunks, path: Path):
    try:
        yield from chunks
    except ValueError as error:
        said = " ".join(str(error).split())
        raise UserError(f"{path}: no readable table ({said}); correct `labels`") from None
