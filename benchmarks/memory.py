"""Peak memory of whole programs, at a few images and at ten times as many."""

import io
import json
import sys
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from benchmarks.material import smooth_maps, smooth_mask
from benchmarks.peak import watched
from benchmarks.timing import Row, compared
from tags2masks.config.folders import Folder
from tags2masks.config.masks import Threshold
from tags2masks.data.index import COLUMNS, images_sha, write_classes, write_index
from tags2masks.data.truth import write_truth
from tags2masks.store import write_shard
from tags2masks.workflow.ids import artifact_id

TITLE = "Memory of whole programs"
HEADINGS = ("few images", "many images")
ABOUT = (
    "Peak resident memory of a program with two worker processes, pages that they share counted "
    "in each, on one shard of 256 × 192 images. Plain would be all images at once: ten times as "
    "many would take ten times as much. The floor, give or take a tenth, is the libraries: three "
    "times what the program needs to show its help."
)
CLASSES = ["cat", "dog"]
SIZE = (256, 192)
MAPS = "cam-00000000"
DATASET = {
    "seed": 0,
    "dataset": Folder(images="images", tags="tags.csv", masks="masks", classes=CLASSES).key(),
}
RECIPE = DATASET | {
    "stage": "masks",
    "method": "threshold",
    "spec": Threshold(background_score=0.3).key(),
    "upstream": {"maps": MAPS},
}
PROGRAMS = ("make_masks", "measure_maps", "measure_labels")  # the last reads the first's masks


def make_data_set(folder: Path, count: int) -> None:
    """Index, classes, truth, masks and one shard of maps. No image: no program here reads one."""
    names = [f"{number:06}" for number in range(count)]
    index = pd.DataFrame({"image": names, "path": [f"{name}.jpg" for name in names]})
    index = index.assign(
        split="train", tags=[tuple(CLASSES)] * count, height=SIZE[0], width=SIZE[1], sha="0" * 16
    )
    index = index.assign(shard=0)[list(COLUMNS)]
    folder.mkdir()
    write_index(folder / "index.csv", index)
    write_classes(folder / "classes.txt", CLASSES)
    truth = pd.DataFrame({"image": names, "mask": [f"{name}.png" for name in names]})
    write_truth(folder / "truth.csv", truth.assign(instances=""))
    rng = np.random.default_rng(0)
    kinds = [smooth_maps(rng, len(CLASSES), SIZE[0] // 4, SIZE[1] // 4) for _ in range(8)]
    files = [_png(smooth_mask(maps, [1, 2], SIZE)) for maps in kinds]
    (folder / "masks").mkdir()
    for number, name in enumerate(names):
        (folder / "masks" / f"{name}.png").write_bytes(files[number % len(files)])
    about = {"classes": CLASSES, "size": list(SIZE)}
    entries = (
        (name, kinds[number % len(kinds)].astype(np.float16), about)
        for number, name in enumerate(names)
    )
    write_shard(folder / "maps.zarr.zip", {"id": MAPS}, images_sha(index), entries)


def _png(mask: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(mask).save(file, "PNG")
    return file.getvalue()


def arguments(program: str, threads: int) -> list[str]:
    """The arguments of a program that runs in a data set's folder."""
    paths = ["--index", "index.csv", "--classes", "classes.txt", "--threads", str(threads)]
    truth = ["--recipe", json.dumps(DATASET), "--truth", "truth.csv", "--root", "masks"]
    truth += ["--split", "train", "--metrics", f"{program}.csv"]
    match program:
        case "make_masks":
            own = [
                "--recipe",
                json.dumps(RECIPE),
                "--root",
                ".",
                "--split",
                "train",
                "--shard",
                "0",
            ]
            own += ["--maps", "maps.zarr.zip", "--output", "masks.zarr.zip"]
        case "measure_maps":
            own = [*truth, "--id", MAPS, "--shards", "maps.zarr.zip", "--curve", "curve.csv"]
            own += ["--background-score", "0.3", "--thresholds", "100"]
        case "measure_labels":
            own = [*truth, "--id", artifact_id(RECIPE), "--shards", "masks.zarr.zip"]
            own += ["--images", "images.csv"]
    return [*paths, *own]


def check(folder: Path, count: int) -> None:
    """All images were measured, and the curve agrees with the masks at their threshold."""
    maps, labels = (pd.read_csv(folder / f"{name}.csv") for name in PROGRAMS[1:])
    assert set(maps["images"]) == set(labels["images"]) == {count}
    fixed = maps[~maps["tuned_on_masks"]].set_index(["metric", "class"])["value"]
    of_masks = labels.set_index(["metric", "class"])["value"]
    assert fixed["iou", "mean"] == of_masks["iou", "mean"]


def measure(quick: bool) -> list[Row]:
    """Megabytes of each program."""
    few, many = (40, 80) if quick else (200, 2000)
    rows = []
    with tempfile.TemporaryDirectory() as place:
        folders = {count: Path(place) / str(count) for count in (few, many)}
        for count, folder in folders.items():
            make_data_set(folder, count)
        for program in PROGRAMS:
            start = [sys.executable, "-m", f"workflow_scripts.{program}"]
            command = [*start, *arguments(program, threads=2)]
            peaks: dict[int, list[float]] = {few: [], many: []}
            floor = []
            for _ in range(1 if quick else 3):
                for count, folder in folders.items():
                    peaks[count].append(watched(command, folder).megabytes)
                floor.append(3 * watched([*start, "--help"], folders[few]).megabytes)
            what = f"{program}, {few:,} and {many:,} images"
            rows.append(compared(what, peaks[few], peaks[many], "MB"))
            rows.append(compared(f"{program}, floor: its libraries alone", peaks[few], floor, "MB"))
        for count, folder in folders.items():
            check(folder, count)
    return rows
