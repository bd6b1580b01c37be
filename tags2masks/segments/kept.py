"""Segments of images that are kept on disk until their shard is whole, for slow sources."""

import io
import json
import zipfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from tags2masks.files import remove, written_whole
from tags2masks.segments.sources import Work, entries
from tags2masks.store import Entry


@dataclass(frozen=True)
class Kept:
    """A file for each image, so that a killed run loses one image.

    fingerprint: of all that determines the segments; files of another one are not used.
    """

    folder: Path
    fingerprint: str

    def file(self, number: int) -> Path:
        """The file of an image of the shard, by its number."""
        return self.folder / f"segments-{number:06d}.npz"

    def read(self, number: int) -> Entry | None:
        """The store's entry of an image, if it is kept."""
        try:
            with np.load(self.file(number), allow_pickle=False) as kept:
                if str(kept["fingerprint"]) != self.fingerprint:
                    return None
                image, attributes = json.loads(str(kept["about"]))
                return image, kept["codes"], attributes
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            print(f"{self.file(number)}: not used ({str(error).partition(chr(10))[0]})", flush=True)
            return None

    def write(self, number: int, entry: Entry) -> None:
        """Keep the entry of an image."""
        image, codes, attributes = entry
        buffer, about = io.BytesIO(), json.dumps([image, attributes])
        np.savez(buffer, fingerprint=np.array(self.fingerprint), codes=codes, about=np.array(about))
        with written_whole(self.file(number)) as beside:
            beside.write_bytes(buffer.getbuffer())

    def end(self) -> None:
        """Remove the files, when the shard is written."""
        for path in self.folder.glob("segments-*.npz"):
            remove(path)
        for folder in (self.folder, self.folder.parent):
            with suppress(OSError):
                folder.rmdir()


def resumed(
    work: Work, find: Callable[[Work], Iterable[np.ndarray]], kept: Kept
) -> Iterator[Entry]:
    """`entries` of what `find` yields, without asking it for images that are kept."""
    known = [kept.read(number) for number in range(len(work.rows))]
    wanted = [entry is None for entry in known]
    rest = replace(work, rows=work.rows[wanted].reset_index(drop=True))
    found = entries(rest, find(rest)) if any(wanted) else iter(())
    for number, entry in enumerate(known):
        if entry is None:
            entry = next(found)
            kept.write(number, entry)
        yield entry
