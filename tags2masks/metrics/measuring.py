"""Common parts of the measuring programs: arguments, chunks of images with truth, maps."""

import argparse
import operator
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from tags2masks.data.index import files_of, images_sha, read_classes, read_index, rows_of
from tags2masks.data.readers import dataset_block, reader_module
from tags2masks.data.tables import read_checked
from tags2masks.data.truth import read_truth
from tags2masks.errors import UserError
from tags2masks.files import written_whole
from tags2masks.metrics.curve import thresholds
from tags2masks.metrics.quality import Chunk, map_confusions
from tags2masks.metrics.rows import map_rows
from tags2masks.parallel import fold
from tags2masks.program import add_index, add_paths, parser
from tags2masks.score_file import score_for
from tags2masks.store import Shard

CHUNK = 32  # images that one worker measures at a time


class Work(NamedTuple):
    """The chunks of images to measure, and the mask table to read their masks with."""

    chunks: list[Chunk]
    table: np.ndarray
    classes: list[str]
    images: int


def arguments(doc: str) -> argparse.ArgumentParser:
    """An argument parser of measuring programs; their recipe is the data set's."""
    options = parser(doc)
    options.add_argument("--id", required=True, help="id of the artifact")
    options.add_argument("--split", required=True, choices=["train", "val"])
    add_paths(options, "classes", "truth", "root", "metrics")
    add_index(options)
    options.add_argument("--shards", type=Path, nargs="+", required=True, help="in order")
    options.add_argument("--only", type=int, default=None, help="images that have maps, if not all")
    options.add_argument("--left-out", type=Path, help="table of images that do not count")
    options.add_argument("--cam", default=None, help="id of the CAM that tells the regions apart")
    options.add_argument("--cams", type=Path, nargs="*", default=[], help="its shards, in order")
    return options


def work(args: argparse.Namespace) -> Work:
    """Read index and truth, and divide the images with masks into chunks, possibly none.

    Raises UserError if the split has no images.
    """
    index = read_index(*args.index)
    classes = read_classes(args.classes, index)
    spec = dataset_block(args.recipe["dataset"])
    masks = read_truth(args.truth).set_index("image")["mask"]
    learned = ()
    if args.left_out:
        learned = read_checked(args.left_out, ("image",), "run again")["image"]
    chunks, count, listed = [], 0, 0
    for number, shard in enumerate(args.shards):
        sha = images_sha(rows_of(index, args.split, number))
        rows = rows_of(index, args.split, number, args.only)
        if args.left_out:
            rows = rows[~rows["image"].isin(set(learned))]
            with Shard(shard, args.id, sha) as opened:
                if opened.partial:  # true masks of some images only
                    rows = rows[rows["image"].map(opened.holds).astype(bool)]
        listed += len(rows)
        rows = rows[rows["image"].isin(masks.index)]
        truths = [
            (image, str(args.root / masks[image]), (int(height), int(width)))
            for image, height, width in zip(
                rows["image"], rows["height"], rows["width"], strict=True
            )
        ]
        files = files_of(rows, "")
        cam = (str(args.cams[number]), args.cam) if args.cam else None
        parts = [slice(start, start + CHUNK) for start in range(0, len(truths), CHUNK)]
        chunks += [Chunk(str(shard), args.id, sha, truths[p], files[p], cam) for p in parts]
        count += len(truths)
    if not listed and len(learned):
        print(f"No mask of a {args.split} image that was not learned from: none is measured")
    elif not listed:
        raise UserError(
            f"{args.index[0]}: split '{args.split}' has no images to measure; tag some with it, or "
            "set evaluate_on: train in the data set"
        )
    if count < listed:
        print(
            f"{listed - count} of {listed} {args.split} images are not measured: "
            f"{args.truth} has no mask of them"
        )
    table = reader_module(spec.kind).mask_table(spec, classes)
    return Work(chunks, table, classes, count)


def add_score(options: argparse.ArgumentParser) -> None:
    """Add the options for the background score at which maps are measured."""
    options.add_argument("--background-score", type=float, help="a fixed one")
    options.add_argument("--score", type=Path, nargs="*", help="the file of a chosen one instead")
    options.add_argument("--score-id", help="its id")


def measured_at(args: argparse.Namespace) -> float:
    """The background score; args: with the options of `add_score`."""
    if args.score:
        return score_for(args.score[0], args.score_id)["background_score"]
    return args.background_score


def add_thresholds(options: argparse.ArgumentParser) -> None:
    """Add the option for the background scores of curves."""
    options.add_argument("--thresholds", type=int, required=True, help="steps from 0 to 1")


def maps_measured(
    args: argparse.Namespace, job: Work, desc: str
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The rows and the curve of maps, from `map_rows`.

    args: with the options of `add_score` and `add_thresholds`.
    """
    at = measured_at(args)
    limits = thresholds(args.thresholds, at)
    quality = fold(
        partial(
            map_confusions,
            table=job.table,
            classes=job.classes,
            limits=limits,
            contours_at=at,
        ),
        job.chunks,
        operator.add,
        workers=args.threads,
        scheduler=args.dask,
        desc=desc,
        total=len(job.chunks),
    )
    return map_rows(quality, limits, at, job.classes, args.split, job.images)


def write_empty(path: Path, columns: Sequence[str]) -> None:
    """Write a table without rows, for images without masks."""
    with written_whole(path) as beside:
        beside.write_text(",".join(columns) + "\n", encoding="utf-8")
