"""The storage format between stages: one zip file per shard, one Zarr array per image.

A shard is a Zarr v3 group in a zip store. One process writes it image by image under a temporary
name and renames it, so a shard is complete or absent. Members have a fixed date: equal arrays give
equal bytes.

An image may have further arrays of some kind, `<kind>/<image>`, without attributes.

Any reader of Zarr takes an absent chunk for zeros. So every chunk is written, and the group's
attributes `members` and `directory` are the number and a digest of the archive's other members:
their names, sizes and CRCs. zipfile checks the bytes of a member against its CRC.
"""

import hashlib
import lzma
import struct
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from urllib.parse import quote, unquote

import numpy as np

from tags2masks.errors import UserError
from tags2masks.files import written_whole
from tags2masks.given import check_given
from tags2masks.zarr_members import METADATA, array_members, group_members, read_array, read_group

# The kinds of further arrays. They are names of groups, so image arrays must not have these names.
KINDS = ("grids", "instances", "passes", "probabilities", "restricted", "singles", "steps")

_GROUPS = (METADATA, *KINDS)  # members of the root that are no images

Entry = tuple[str, np.ndarray, dict] | tuple[str, np.ndarray, dict, dict[str, np.ndarray]]


def write_shard(
    path: Path | str,
    about: dict,
    images_sha: str,
    entries: Iterable[Entry],
) -> int:
    """Write a shard from (image, array, attributes) tuples and return their number.

    about: the provenance of the artifact (`provenance.provenance`), at least its `id`.
    An entry may have a fourth part: further arrays of the image by kind, {"steps": array}.
    images_sha: fingerprint of the shard's images (`data.index.images_sha`), checked on reading.
    Only one array is in memory at a time.
    """
    count, kinds = 0, set()
    with written_whole(path) as beside, zipfile.ZipFile(beside, "w") as archive:
        for image, array, attributes, *more in entries:
            name = _array_name(image)
            _add_members(archive, f"{name}/", array_members(array, attributes))
            for kind, further in (more[0] if more else {}).items():
                _add_members(archive, f"{kind}/{name}/", array_members(further, {}))
                kinds.add(kind)
            count += 1
        for kind in sorted(kinds):
            _add_members(archive, f"{kind}/", group_members({}))
        attributes = about | {"n": count, "images_sha": images_sha} | _directory(archive)
        _add_members(archive, "", group_members(attributes))
    return count


def _directory(archive: zipfile.ZipFile) -> dict[str, int | str]:
    """The number and a digest of an archive's members, without the group's metadata."""
    members = [m for m in archive.infolist() if m.filename != METADATA]
    lines = sorted(f"{m.CRC:08x} {m.file_size} {m.filename}\n" for m in members)
    digest = hashlib.sha256("".join(lines).encode("utf-8", "surrogatepass")).hexdigest()
    return {"members": len(members), "directory": digest[:16]}


def _add_members(archive: zipfile.ZipFile, prefix: str, members: dict[str, bytes]) -> None:
    for key in sorted(members):
        info = zipfile.ZipInfo(prefix + key, date_time=(1980, 1, 1, 0, 0, 0))
        info.external_attr = 0o644 << 16
        archive.writestr(info, members[key])


def _array_name(image: str) -> str:
    """The image's id, quoted as a single path segment that differs from the names of kinds."""
    return f"%{ord(image[0]):02X}{image[1:]}" if image in KINDS else quote(image, safe=" ")


# Exceptions of zipfile and `zarr_members` for damaged files.
DAMAGE = (
    OSError,
    zipfile.BadZipFile,
    KeyError,
    TypeError,
    ValueError,
    RuntimeError,
    NotImplementedError,
    OverflowError,
    EOFError,
    struct.error,
    zlib.error,
    lzma.LZMAError,
)


class Shard:
    """An open shard; a context manager.

    Raises UserError naming the file if it is damaged, belongs to another artifact (`artifact_id`)
    or was made from other images (`images_sha`). Shards of earlier versions have no `directory`,
    which is then not checked.
    """

    def __init__(self, path: Path | str, artifact_id: str, images_sha: str):
        self.path = Path(path)
        try:
            check_given(self.path)
            self._archive = zipfile.ZipFile(self.path)
            self._members = set(self._archive.namelist())
            attributes, directory = read_group(self._archive.read), _directory(self._archive)
        except FileNotFoundError:
            raise UserError(
                f"{self.path}: is not there; make it again: snakemake --cores 2 {self.path}"
            ) from None
        except DAMAGE as error:
            raise UserError(
                f"{self.path}: not a whole shard ({error}); delete it and run again"
            ) from None
        if "directory" in attributes and any(
            attributes[key] != directory[key] for key in directory
        ):
            self.close()
            raise UserError(
                f"{self.path}: damaged: what is in it is not what was written "
                f"({directory['members']} parts, {attributes['members']} written); delete it and "
                "run again"
            )
        for name, expected in (("id", artifact_id), ("images_sha", images_sha)):
            if attributes.get(name) != expected:
                self.close()
                raise UserError(
                    f"{self.path}: its {name} is {attributes.get(name)}, expected {expected}; "
                    "it was made from something else: delete it and run again"
                )
        self.n: int = attributes["n"]
        self.partial: bool = attributes.get("partial", False)

    def read(self, image: str) -> tuple[np.ndarray, dict]:
        """The array of an image, and its attributes. Raises UserError if it is absent."""
        return self._read(image, _array_name(image), "nothing")

    def read_further(self, kind: str, image: str) -> np.ndarray:
        """An image's array of a kind, such as "steps". Raises UserError if it is absent."""
        return self._read(image, f"{kind}/{_array_name(image)}", f"no {kind}")[0]

    def _read(self, image: str, name: str, absent: str) -> tuple[np.ndarray, dict]:
        if f"{name}/{METADATA}" not in self._members:
            raise UserError(
                f"{self.path}: holds {absent} for image '{image}'; delete it and run again"
            )
        try:
            return read_array(lambda key: self._archive.read(f"{name}/{key}"))
        except DAMAGE as error:
            raise UserError(
                f"{self.path}: damaged at image '{image}' ({error}); delete it and run again"
            ) from None

    def holds(self, image: str, kind: str = "") -> bool:
        """Whether the image is in the shard; a `partial` shard may lack images of the index.

        With a kind, whether a further array of that kind is.
        """
        name = f"{kind}/{_array_name(image)}" if kind else _array_name(image)
        return f"{name}/{METADATA}" in self._members

    @property
    def images(self) -> list[str]:
        """The images that it holds, in the order in which they were written."""
        names = [name.removesuffix(f"/{METADATA}") for name in self._archive.namelist()]
        return [unquote(name) for name in names if "/" not in name and name not in _GROUPS]

    def read_all(self, images: Iterable[str]) -> Iterator[tuple[str, np.ndarray, dict]]:
        """The entries of the images, one at a time."""
        for image in images:
            yield image, *self.read(image)

    def close(self) -> None:
        """Close the file."""
        self._archive.close()

    def __enter__(self) -> "Shard":
        return self

    def __exit__(self, *_) -> None:
        self.close()
