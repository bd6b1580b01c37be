"""Findings on image files: how they are stored, their sizes, and equal files."""

from collections import Counter

import pandas as pd

from tags2masks.checking.findings import NOTE, WARNING, Finding, some_of
from tags2masks.data.images import Stored
from tags2masks.data.warnings import listed

SMALLEST = 64
"""Pixels of a shorter side; below, an image has fewer than 4 × 4 features at output stride 16."""
LARGEST = 4_000_000
"""Pixels of an image; above, the maps of one at several scales take gigabytes of memory."""

WITHOUT_PROFILE = ("CMYK", "YCbCr", "LAB", "HSV")


def stored_findings(rows: pd.DataFrame, split: str, *, located: bool) -> list[Finding]:
    """Findings on how the images of a split are stored.

    rows: columns image and stored (`data.images.Stored`). located: whether the data set has masks
    or boxes, which must be upright.
    """

    def those(chosen: pd.Series, level: str, text: str) -> list[Finding]:
        names = rows.loc[chosen, "image"].tolist()
        start = some_of(len(names), len(rows), split)
        return [Finding(level, f"{start} {text}: {listed(names)}")] if names else []

    stored = rows["stored"]
    turned = stored.map(lambda one: one.turned)
    wide = stored.map(lambda one: one.mode == "I" or one.mode.startswith("I;16"))
    unusual = stored.map(lambda one: one.mode in WITHOUT_PROFILE)
    # A phone's MPO has previews behind the photograph.
    frames = stored.map(lambda one: one.frames > 1 and one.format != "MPO")
    also = "; masks and boxes must be upright too" if located else ""
    return [
        *those(turned, NOTE, f"are turned by EXIF and read upright{also}"),
        *those(
            wide,
            WARNING,
            "hold 16-bit grey, read as 65,535 = white; stretch them first if a camera of 10 or 12 "
            "bits made them, or they are nearly black",
        ),
        *those(
            unusual,
            WARNING,
            "are in CMYK, YCbCr, LAB or HSV, and read without their colour profile; save them as "
            "RGB if colours look wrong",
        ),
        *those(
            frames,
            WARNING,
            "have several frames or pages, of which the first is read; save the others as images "
            "of their own",
        ),
    ]


def size_findings(rows: pd.DataFrame, split: str) -> list[Finding]:
    """Findings on very small and very large images; rows: columns image, height and width."""
    findings = []
    small = rows[["height", "width"]].min(axis=1) < SMALLEST
    large = rows["height"] * rows["width"] > LARGEST
    if small.any():
        names = listed(rows.loc[small, "image"].tolist())
        findings.append(
            Finding(
                WARNING,
                f"{some_of(small.sum(), len(rows), split)} have a side below {SMALLEST} pixels, "
                f"less than 4 features at output stride 16: {names}; use an output stride of 8, "
                "larger scales, or enlarge them",
            )
        )
    if large.any():
        names = listed(rows.loc[large, "image"].tolist())
        findings.append(
            Finding(
                WARNING,
                f"{some_of(large.sum(), len(rows), split)} have more than {LARGEST / 1e6:g} "
                f"megapixels, and maps of such an image take gigabytes of memory: {names}; make "
                "copies of about 1,000 pixels a side, or cut them into tiles",
            )
        )
    return findings


def twin_findings(index: pd.DataFrame) -> list[Finding]:
    """Findings on images with the same bytes.

    index: columns image, split, tags and sha. Images in several splits make figures of val too
    good; images of one split with other tags contradict each other.
    """
    across, contrary = [], []
    for _, same in index[index["sha"].duplicated(keep=False)].groupby("sha", sort=False):
        if same["split"].nunique() > 1:
            across.append(_pair(same.drop_duplicates("split")))
        elif same["tags"].map(frozenset).nunique() > 1:
            contrary.append(_pair(same))
    findings = []
    if across:
        findings.append(
            Finding(
                WARNING,
                f"{len(across):,} image{' is' if len(across) == 1 else 's are'} in several splits "
                f"under other names (equal bytes): {listed(across)}; keep each in one, or figures "
                "of val are too good",
            )
        )
    if contrary:
        findings.append(
            Finding(
                WARNING,
                f"{len(contrary):,} image{' is' if len(contrary) == 1 else 's are'} listed again "
                f"with other tags (equal bytes): {listed(contrary)}; correct the tags, keep one",
            )
        )
    return findings


def _pair(same: pd.DataFrame) -> str:
    first, second = (f"{row.image} ({row.split})" for row in list(same.itertuples())[:2])
    return f"{first} = {second}"


def formats_of(stored: pd.Series) -> str:
    """How many images have each format and mode: "JPEG RGB 398, PNG RGBA 2"."""
    counts = Counter(_kind(one) for one in stored)
    return ", ".join(f"{kind} {count:,}" for kind, count in counts.most_common())


def _kind(stored: Stored) -> str:
    return f"{stored.format} {stored.mode}"
