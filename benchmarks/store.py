"""A shard of maps against a pickled file per image, and against zarr-python."""

import statistics
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import zarr
from zarr.codecs import ZstdCodec
from zarr.storage import ZipStore

from benchmarks.material import smooth_maps
from benchmarks.timing import Row, alternate, compared, counted
from tags2masks.masks.seeds import upsample
from tags2masks.store import Shard, write_shard

TITLE = "Stored maps"
HEADINGS = ("one shard", "other")
ABOUT = (
    "Maps of two classes of 375 × 500 images, in a Zarr zip at float16 and stride 4. Plain: a "
    "`.npy` per image, which pickles a dict of float32 maps at stride 4, or also at full size as "
    "the public code has it. All files are in the page cache of a local disk, where many small "
    "ones cost least. zarr-python writes the same Zarr zip by its group's arrays. The floor is one "
    "plain file of the float16 numbers and nothing else."
)
CLASSES = ["cat", "dog"]


def write_one(path: Path, names: Sequence[str], maps: Sequence[np.ndarray]) -> None:
    """All maps as a shard."""
    entries = (
        (name, array.astype(np.float16), {"classes": CLASSES, "size": [375, 500]})
        for name, array in zip(names, maps, strict=True)
    )
    write_shard(path, {"id": "cam-00000000"}, "0" * 16, entries)


def read_one(path: Path, names: Sequence[str]) -> list[np.ndarray]:
    """What `write_one` wrote."""
    with Shard(path, "cam-00000000", "0" * 16) as shard:
        return [array for _, array, _ in shard.read_all(names)]


def write_by_zarr(path: Path, names: Sequence[str], maps: Sequence[np.ndarray]) -> None:
    """All maps in a Zarr zip, as a user of zarr-python writes one."""
    with ZipStore(path, mode="w") as store:
        group = zarr.create_group(store)
        for name, array in zip(names, maps, strict=True):
            group.create_array(
                name,
                data=array.astype(np.float16),
                chunks=array.shape,
                compressors=ZstdCodec(level=3),
                attributes={"classes": CLASSES, "size": [375, 500]},
            )


def read_by_zarr(path: Path, names: Sequence[str]) -> list[np.ndarray]:
    """The maps of a shard or of what `write_by_zarr` wrote."""
    with ZipStore(path, mode="r") as store:
        group = zarr.open_group(store, mode="r")
        return [group[name][...] for name in names]


def write_many(folder: Path, names: Sequence[str], **maps: Sequence[np.ndarray]) -> None:
    """A pickled dict per image, with an entry for each keyword."""
    folder.mkdir(exist_ok=True)
    for number, name in enumerate(names):
        arrays = {key: arrays[number] for key, arrays in maps.items()}
        np.save(folder / f"{name}.npy", {"keys": CLASSES, **arrays}, allow_pickle=True)


def read_many(folder: Path, names: Sequence[str], key: str) -> list[np.ndarray]:
    """One entry of what `write_many` wrote."""
    return [np.load(folder / f"{name}.npy", allow_pickle=True).item()[key] for name in names]


def write_raw(path: Path, maps: Sequence[np.ndarray]) -> None:
    """The float16 numbers and nothing else."""
    path.write_bytes(np.stack(maps).astype(np.float16).tobytes())


def megabytes(path: Path) -> float:
    """Size of a file, or of all files in a folder."""
    files = path.iterdir() if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files) / 1e6


def measure(quick: bool) -> list[Row]:
    """Megabytes, files, and seconds for all images."""
    count, size = (4, (30, 40)) if quick else (300, (375, 500))
    rng = np.random.default_rng(0)
    names = [f"2007_{number:06}" for number in range(count)]
    cells = (-(-size[0] // 4), -(-size[1] // 4))
    cam = [smooth_maps(rng, len(CLASSES), *cells) for _ in names]
    full = [upsample(maps, size) for maps in cam]
    with tempfile.TemporaryDirectory() as folder:
        return _rows(Path(folder), names, cam, full, 2 if quick else 5)


def _rows(folder: Path, names, cam, full, repeats: int) -> list[Row]:
    files = ("0.zarr.zip", "zarr.zip", "both", "small", "raw")
    shard, by_zarr, both, small, raw = (folder / name for name in files)

    def read_to_full_size() -> list[np.ndarray]:
        return [upsample(array, full[0].shape[1:]) for array in read_one(shard, names)]

    actions = [
        lambda: write_one(shard, names, cam),
        lambda: write_by_zarr(by_zarr, names, cam),
        lambda: write_many(both, names, cam=cam, high_res=full),
        lambda: write_many(small, names, cam=cam),
        lambda: write_raw(raw, cam),
        lambda: read_one(shard, names),
        lambda: read_by_zarr(by_zarr, names),
        lambda: read_many(both, names, "cam"),
        lambda: read_many(small, names, "cam"),
        read_to_full_size,
        lambda: read_many(both, names, "high_res"),
        lambda: raw.read_bytes(),
    ]
    for action in actions[:5]:
        action()
    for stored, in_zarr, in_both, in_small in zip(*(read() for read in actions[5:9]), strict=True):
        np.testing.assert_array_equal(stored, in_zarr)
        np.testing.assert_array_equal(stored, in_both.astype(np.float16))
        np.testing.assert_array_equal(in_both, in_small)
    for stretched, stored in zip(read_to_full_size(), full, strict=True):
        np.testing.assert_allclose(stretched, stored, atol=2**-12)  # half of float16's last bit
    (write, write_zarr, write_both, write_small, write_floor, read, read_zarr, read_both,
     read_small, to_full, read_full, read_floor) = alternate(actions, repeats)  # fmt: skip
    of = f"{len(names)} images"

    def each(seconds: Sequence[float]) -> str:
        return f"{statistics.median(seconds) / len(names) * 1000:.2g} ms an image"

    ours = megabytes(shard)
    return [
        counted(f"size of {of}; stride 4 and full size", ours, megabytes(both), "MB"),
        counted("size; zarr-python", ours, megabytes(by_zarr), "MB"),
        counted("size; stride 4 alone", ours, megabytes(small), "MB"),
        counted("size; the float16 numbers, not compressed", ours, megabytes(raw), "MB"),
        counted("number of files", 1, len(list(both.iterdir())), ""),
        compared("write; zarr-python", write, write_zarr, note=each(write)),
        compared("write; stride 4 and full size", write, write_both),
        compared("write; stride 4 alone", write, write_small),
        compared("write; floor", write, write_floor),
        compared("read; zarr-python", read, read_zarr, note=each(read)),
        compared("read the maps at stride 4; of both", read, read_both),
        compared("read the maps at stride 4; alone", read, read_small),
        compared("read and stretch, or read full size", to_full, read_full, note=each(to_full)),
        compared("read; floor", read, read_floor),
    ]
