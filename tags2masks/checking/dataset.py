"""Checks of a data set of the config, by its reader and as the workflow reads it."""

from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from types import ModuleType
from typing import NamedTuple

import numpy as np
import pandas as pd

from tags2masks.checking.findings import (
    ERROR,
    NOTE,
    Finding,
    errors_of,
    some_of,
    warnings_as_findings,
)
from tags2masks.checking.images import size_findings, stored_findings, twin_findings
from tags2masks.checking.tags import contradictions, tag_findings
from tags2masks.config.dataset_base import Dataset
from tags2masks.data.images import Inspected, read_stored
from tags2masks.data.index import (
    apart,
    check_listing,
    files_of,
    inspect_all,
    multi_hot,
    refuse_no_images,
    with_inspected,
    with_reading,
)
from tags2masks.data.readers import reader_module
from tags2masks.data.truth import mask_problems, refuse_no_mask, shown_ids
from tags2masks.data.warnings import split_warnings
from tags2masks.errors import UserError
from tags2masks.metrics.agreement import agreement_warnings, unseen_warnings
from tags2masks.user_tables import SPLITS

COLUMNS = ("image", "path", "split", "tags", "height", "width", "sha", "opacity", "stored")


class Checked(NamedTuple):
    """What a check saw of a data set.

    index: the images that can be read, with `COLUMNS`. unreadable: their number by split, where
    there are any. masks: number of images with a valid mask by split; None if there are no masks,
    or they were not read. shown: the same for each class, int [K] by split.
    """

    classes: list[str]
    index: pd.DataFrame
    unreadable: dict[str, int]
    masks: dict[str, int] | None
    shown: dict[str, np.ndarray]
    findings: list[Finding]

    @property
    def stops(self) -> bool:
        """Whether the workflow would stop."""
        return any(finding.level == ERROR for finding in self.findings)


def check_dataset(
    spec: Dataset, seed: int, needed: str | None, *, masks: bool, threads: int
) -> Checked:
    """Look at the images, tags, boxes and masks of a data set; what a reader draws is deleted.

    needed: the split that experiments are evaluated on, if there are such experiments. masks:
    whether to read the masks, of which methods see nothing by this.
    """
    reader = reader_module(spec.kind)
    findings: list[Finding] = []

    def tried(look: Callable, *arguments):
        """What `look` returns; None, with its mistakes among the findings, if it raises them."""
        try:
            return look(*arguments)
        except UserError as error:
            findings.extend(errors_of(error))
            return None

    with TemporaryDirectory(prefix="tags2masks-check-") as own:
        root = spec.image_root(own)
        classes = tried(reader.list_classes, spec, root) if spec.tagged else []
        if classes is None:
            return Checked([], _no_images(), {}, None, {}, findings)
        parts, unreadable = [], {}
        for split in SPLITS if spec.tagged else ("ood",):
            listing = tried(reader.list_images, spec, root, split, classes, seed)
            if listing is None:
                continue
            if parts:
                moved = tried(apart, listing, parts[0])
                listing = listing if moved is None else moved
            if split == "train" or split == needed:
                tried(refuse_no_images, listing, split, split == needed)
            if not spec.makes_images:  # else they are written as they were read
                listing = with_reading(listing, spec.reading)
            tried(check_listing, listing, classes, spec.shards)
            results = inspect_all(files_of(listing, root), threads)
            for error in (result for result in results if isinstance(result, UserError)):
                findings += errors_of(error)
            good = np.array([isinstance(result, Inspected) for result in results], bool)
            if not good.all():
                unreadable[split] = int((~good).sum())
            seen = [result for result in results if isinstance(result, Inspected)]
            rows = with_inspected(listing[good].reset_index(drop=True), seen)
            rows["stored"] = [read_stored(Path(root) / path) for path in rows["path"]]
            parts.append(rows)
        # Columns of empty tables have no type.
        filled = [rows for rows in parts if len(rows)]
        index = pd.concat(filled or [_no_images()], ignore_index=True)
        located = spec.has_truth or spec.offers_boxes
        for split, rows in index.groupby("split", sort=False):
            findings += warnings_as_findings(split_warnings(spec, reader, rows, classes))
            findings += stored_findings(rows, split, located=located)
            findings += size_findings(rows, split)
        findings += tag_findings(index, classes) if spec.tagged else []
        findings += twin_findings(index)
        for split in ("train", "val"):
            rows = index[index["split"] == split].reset_index(drop=True)
            if spec.offers_boxes and len(rows):
                boxes = tried(reader.list_boxes, spec, root, rows, classes, seed)
                if boxes is not None:
                    shown = _shown_by_boxes(boxes, rows)
                    findings += contradictions(shown, rows, split, "boxes")
        count, shown = None, {}
        if spec.has_truth and masks:
            count, shown = _check_masks(spec, reader, own, index, classes, seed, threads, findings)
    return Checked(classes, index, unreadable, count, shown, list(dict.fromkeys(findings)))


def _no_images() -> pd.DataFrame:
    return pd.DataFrame({name: [] for name in COLUMNS})


def _shown_by_boxes(boxes: pd.DataFrame, rows: pd.DataFrame) -> list[set[str]]:
    shown: dict[str, set[str]] = {image: set() for image in rows["image"]}
    for image, name in zip(boxes["image"], boxes["class"], strict=True):
        shown[image].add(name)
    return list(shown.values())


def _check_masks(
    spec: Dataset,
    reader: ModuleType,
    own: str,
    index: pd.DataFrame,
    classes: Sequence[str],
    seed: int,
    threads: int,
    findings: list[Finding],
) -> tuple[dict[str, int], dict[str, np.ndarray]]:
    """Read the masks of train and val, and add what is found; `masks` and `shown` of `Checked`."""
    root, count, shown = spec.truth_root(own), {}, {}
    index = index[index["split"] != "ood"].reset_index(drop=True)
    try:
        if hasattr(reader, "measured_images"):
            index = reader.measured_images(spec, root, index)
        if index.empty:
            return count, shown
        listed = reader.list_masks(spec, root, index, seed, "truth")
        refuse_no_mask(listed)
        table = reader.mask_table(spec, classes)
    except UserError as error:
        findings += errors_of(error)
        return count, shown
    there = (listed["lacks"] == "").to_numpy()
    together = np.zeros((len(classes), len(classes)), int)
    tagged = np.zeros(len(classes), int)
    for split in ("train", "val"):
        mine = (index["split"] == split).to_numpy()
        if not mine.any():
            continue
        if absent := (mine & ~there).sum():
            first = listed.loc[mine & ~there, "lacks"].iloc[0]
            start = some_of(absent, mine.sum(), split)
            text = f"{start} have no mask and are not measured; the first lacks {first}"
            findings.append(Finding(NOTE, text))
        truth = listed[mine & there].reset_index(drop=True)
        rows = index[mine & there].reset_index(drop=True)
        results = shown_ids(truth, rows, root, table, threads)
        problems = mask_problems(results, truth, rows, root, table, classes)
        findings += [Finding(ERROR, problem) for problem in problems]
        good = np.array([isinstance(result, set) for result in results], bool)
        rows = rows[good].reset_index(drop=True)
        names = [
            {name for number, name in enumerate(classes, start=1) if number in result}
            for result in results
            if isinstance(result, set)
        ]
        regions, tags = multi_hot(names, classes), multi_hot(rows["tags"], classes)
        count[split], shown[split] = len(rows), regions.sum(axis=0).astype(int)
        together += (tags.T @ regions).astype(int)
        tagged += tags.sum(axis=0).astype(int)
        if problems:  # what is left of a class says nothing
            continue
        findings += warnings_as_findings(unseen_warnings(shown[split], classes, split))
        findings += contradictions(names, rows, split, "mask")
    total = sum(shown.values(), np.zeros(len(classes), int))
    findings += warnings_as_findings(agreement_warnings(together, total, tagged, classes))
    return count, shown
