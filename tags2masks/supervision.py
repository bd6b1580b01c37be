"""Sources of supervision, and the cost of labels."""

from collections.abc import Iterable

# In the order of listing. Config blocks declare in `learns_from` which they read.
SOURCES = ("tags", "ood", "saliency", "segments", "boxes", "masks")

# The tables of a data set with supervision beyond tags: boxes.csv, labelled.csv.
SOURCE_FILES = {"boxes": "boxes", "masks": "labelled"}

# Seconds of work per image (Lee, "Label-Efficient Learning for Object Recognition", PhD thesis,
# 2023, table 2.1). Drawing boxes or masks includes the tags. The table has no figure for
# out-of-distribution images, saliency maps and segments.
SECONDS = {"tags": 20.0, "boxes": 38.1, "masks": 239.7}


def supervision_text(sources: Iterable[str], labelled: int, images: int) -> str:
    """The text for a leaderboard: `tags`, `tags + ood`, `boxes`, `tags + 12 masks`, or `none`.

    labelled: number of training images with masks to learn from; images: of all training images.
    """
    words = [source for source in sources if source != "masks"]
    if "masks" in sources:
        words.append("masks" if labelled >= images else f"{labelled} masks")
    if "boxes" in words and "tags" in words:
        words.remove("tags")  # boxes include the classes
    return " + ".join(words) or "none"


def label_cost(sources: Iterable[str], labelled: int, images: int) -> float:
    """Seconds of labelling per training image; an image counts with its most expensive label.

    Sources without a figure count as 0.
    """
    sources = set(sources)
    base = max((SECONDS[s] for s in sources if s in SECONDS and s != "masks"), default=0.0)
    if "masks" not in sources or not images:
        return base
    share = min(1.0, labelled / images)
    return share * SECONDS["masks"] + (1 - share) * base
