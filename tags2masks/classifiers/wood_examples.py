"""Out-of-distribution images as W-OoD learns from them, for the report.

Source: Lee, "Label-Efficient Learning for Object Recognition" (PhD thesis, 2023), figure 4.8:
random images, hard ones, and hard ones from which the CAM of their class is erased.
"""

from collections.abc import Iterator

from tags2masks.classifiers.wood import images_of, ranked_of, used_rows
from tags2masks.data.index import spaced
from tags2masks.store import Entry
from tags2masks.task import Task


def examples(task: Task, count: int) -> Iterator[Entry]:
    """The store's entries of `count` of the images, evenly spaced: uint8 [H, W, 3].

    Attributes: `class` and `score`, by the ordinary classifier, or None for images that it does not
    rank. Raises UserError as `wood.used_rows`.
    """
    used, _ = used_rows(task)
    names = spaced(used["image"].tolist(), count)
    rows = used[used["image"].isin(names)].reset_index(drop=True)
    images, ranked = images_of(task, rows), ranked_of(task).set_index("image")
    for number, name in enumerate(rows["image"]):
        known = name in ranked.index
        about = {"class": ranked.at[name, "class"] if known else None}
        about["score"] = float(ranked.at[name, "score"]) if known else None
        yield name, images.read(number), about
