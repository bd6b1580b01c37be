"""Findings on tags, and on regions or boxes that contradict them."""

from collections import Counter
from collections.abc import Collection, Sequence

import pandas as pd

from tags2masks.checking.findings import NOTE, WARNING, Finding, some_of
from tags2masks.data.warnings import FEWEST, listed

NO_TAGS = {"none", "nan", "null", "n/a", "nothing"}
"""Tags that are more likely to say that there is none."""


def tag_findings(index: pd.DataFrame, classes: Sequence[str]) -> list[Finding]:
    """Findings beyond the workflow's own warnings: images without a tag, classes that val lacks or
    hardly has, and classes that are never tagged alone.

    index: columns split and tags.
    """
    train, val = (index.loc[index["split"] == split, "tags"] for split in ("train", "val"))
    findings = [
        Finding(
            WARNING,
            f"'{name}' is a class like any other; an image that shows none has an empty cell: take "
            "the word out, or go on if it is meant",
        )
        for name in classes
        if name.casefold() in NO_TAGS
    ]
    for split, tags in (("train", train), ("val", val)):
        if untagged := sum(not image_tags for image_tags in tags):
            text = (
                f"{some_of(untagged, len(tags), split)} have no tag and count as showing none of "
                "the classes"
            )
            level = WARNING if untagged > len(tags) / 2 else NOTE
            findings.append(Finding(level, f"{text}; tag those that show one"))
    if len(val):
        findings += _val_findings(_counts(train, classes), _counts(val, classes))
    return findings + _never_alone(train, classes)


def _counts(tags: pd.Series, classes: Sequence[str]) -> dict[str, int]:
    counts = Counter(name for image_tags in tags for name in image_tags)
    return {name: counts[name] for name in classes}


def _val_findings(train: dict[str, int], val: dict[str, int]) -> list[Finding]:
    absent = [name for name, count in val.items() if not count and train[name]]
    few = [f"{name} ({count})" for name, count in val.items() if 0 < count < FEWEST]
    findings = []
    if absent:
        text = f"no val image is tagged with {listed(absent)}, so nothing measures these classes"
        findings.append(Finding(WARNING, f"{text}; move some of their images to val"))
    if few:
        text = f"fewer than {FEWEST} val images are tagged with {listed(few)}, so that one image"
        findings.append(
            Finding(WARNING, f"{text} decides these classes' figures; move more to val")
        )
    return findings


def _never_alone(tags: pd.Series, classes: Sequence[str]) -> list[Finding]:
    """Classes all of whose training images have another tag: the same one, or several."""
    inseparable, never = [], []
    for name in classes:
        others = [set(image_tags) - {name} for image_tags in tags if name in image_tags]
        if not others or not all(others):
            continue
        if always := sorted(set.intersection(*others)):
            inseparable.append(f"{name} (always with {', '.join(always)})")
        else:
            never.append(name)
    findings = []
    if inseparable:
        findings.append(
            Finding(
                WARNING,
                f"no training image is tagged with one of these without the other: "
                f"{listed(inseparable)}; a classifier cannot tell which pixels are whose: add "
                "images that show it without the other",
            )
        )
    if never:
        findings.append(
            Finding(
                WARNING,
                f"no training image is tagged with {listed(never)} alone: its regions are mixed up "
                "more easily; add images that show nothing else",
            )
        )
    return findings


def contradictions(
    shown: Sequence[Collection[str]], rows: pd.DataFrame, split: str, what: str
) -> list[Finding]:
    """Findings on images whose masks or boxes show other classes than their tags.

    shown: the classes that each image's mask or boxes show; rows: columns image and tags; what:
    `mask` or `boxes`.
    """
    pairs = list(zip(rows["image"], shown, rows["tags"], strict=True))
    untagged = [f"{name} ({_names(set(s) - set(t))})" for name, s, t in pairs if set(s) - set(t)]
    unshown = [f"{name} ({_names(set(t) - set(s))})" for name, s, t in pairs if set(t) - set(s)]
    findings = []
    for names, text in (
        (untagged, f"show in their {what} a class that their tags lack"),
        (unshown, f"have a tag that their {what} {'lacks' if what == 'mask' else 'lack'}"),
    ):
        if names:
            start = some_of(len(names), len(rows), split)
            findings.append(
                Finding(WARNING, f"{start} {text}: {listed(names)}; correct the tags or the {what}")
            )
    return findings


def _names(names: set[str]) -> str:
    return ", ".join(sorted(names))
