"""A folder of images without tags: candidates for out-of-distribution images."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import pandas as pd

from tags2masks.config.pools import Untagged
from tags2masks.data.images import image_files
from tags2masks.errors import UserError, raise_together
from tags2masks.given import is_given, leads_outside, read_text
from tags2masks.user_tables import clean_path, image_id


def list_classes(spec: Untagged, root: Path | str) -> list[str]:
    """There are no tags."""
    return []


def list_images(
    spec: Untagged, root: Path | str, split: str, classes: Sequence[str], seed: int = 0
) -> pd.DataFrame:
    """The images of the folder root, or those that `spec.names` lists.

    Raises UserError naming the folder, or the list and the line of every mistake.
    """
    root = folder_of(root)
    if spec.names is None:
        return listing(path.relative_to(root).as_posix() for path in image_files(root))
    return listing(_named(Path(spec.names), root))


def folder_of(root: Path | str) -> Path:
    """The folder as a path; raises UserError if it does not exist."""
    if not Path(root).is_dir():
        raise UserError(f"{root}: no such folder of images; correct `images` in the config")
    return Path(root)


def listing(paths: Iterable[str]) -> pd.DataFrame:
    """The images of these paths below the folder, sorted, all of split ood."""
    rows = [(image_id(path), path, "ood", ()) for path in sorted(paths)]
    return pd.DataFrame(rows, columns=["image", "path", "split", "tags"])


def _named(table: Path, root: Path) -> list[str]:
    try:
        lines = read_text(table).splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{table}: cannot be read ({error}); correct `names`") from None
    names = [(number, clean_path(line.strip())) for number, line in enumerate(lines, start=1)]
    names = [(number, name) for number, name in names if name]
    raise_together(
        [
            f"{table}, line {number}: no image '{name}' below {root}; correct the name"
            for number, name in names
            if leads_outside(name) or not is_given(root / name)
        ]
    )
    return list(dict.fromkeys(name for _, name in names))
