"""Which images the report shows."""

import pandas as pd
import pytest

from tags2masks.data.index import spaced
from tags2masks.errors import UserError
from tags2masks.report.examples import choose, choose_groups


def images_table(folder, ious):
    path = folder / "images.csv"
    pd.DataFrame({"image": list(ious), "iou": list(ious.values())}).to_csv(path, index=False)
    return path


def rows_of_images(names, untagged=()):
    tags = [() if name in untagged else ("cat",) for name in names]
    return pd.DataFrame({"image": list(names), "tags": pd.Series(tags, dtype=object)})


def test_spaced_takes_the_middle_of_equal_stretches():
    assert spaced("abcdefghij", 2) == ["c", "h"]  # stretches of five: the third of each
    assert spaced("abcdefghi", 3) == ["b", "e", "h"]
    assert spaced("ab", 5) == ["a", "b"]
    assert spaced("", 3) == []


def test_choose_by_hand(tmp_path):
    # 20 images, i00 the best: the best fifth is i00-i03, the worst i16-i19.
    names = [f"i{number:02}" for number in range(20)]
    quality = images_table(tmp_path, {name: 1 - at / 20 for at, name in enumerate(names)})
    rows = rows_of_images(names[::-1])
    groups = choose_groups(rows, quality, 2)
    assert groups == {"well": ["i01", "i03"], "badly": ["i17", "i19"]}
    # In the order of the rows, whatever the group.
    assert choose(rows, quality, 2) == ["i19", "i17", "i03", "i01"]


def test_choose_prefers_images_with_a_tag(tmp_path):
    names = [f"i{number}" for number in range(10)]
    quality = images_table(tmp_path, {name: 1 - at / 10 for at, name in enumerate(names)})
    # The best one has no tag. Of the other nine a fifth is two images.
    groups = choose_groups(rows_of_images(names, untagged=["i0"]), quality, 2)
    assert groups == {"well": ["i1", "i2"], "badly": ["i8", "i9"]}
    # With three tagged images two groups of two are not to be had from them: all count.
    groups = choose_groups(rows_of_images(names, untagged=names[:7]), quality, 2)
    assert groups == {"well": ["i0", "i1"], "badly": ["i8", "i9"]}


def test_choose_from_few_images_takes_each_once(tmp_path):
    quality = images_table(tmp_path, {"a": 0.5, "b": 0.9, "c": 0.1})
    groups = choose_groups(rows_of_images("abc"), quality, 3)
    assert groups == {"well": ["b", "a"], "badly": ["c"]}
    assert choose_groups(rows_of_images("a"), quality, 3) == {"well": ["a"]}


def test_choose_leaves_out_what_was_not_measured_and_orders_ties_by_name(tmp_path):
    quality = images_table(tmp_path, {"007": 0.5, "b": None, "a": 0.5, "elsewhere": 1.0})
    rows = rows_of_images(["b", "a", "007", "unmeasured"])
    assert choose_groups(rows, quality, 1) == {"well": ["007"], "badly": ["a"]}


def test_choose_without_masks_is_even(tmp_path):
    rows = rows_of_images("abcdefghij")
    assert choose_groups(rows, None, 1) == {"evenly": ["c", "h"]}
    assert choose(rows, images_table(tmp_path, {}), 1) == ["c", "h"]  # nothing was measured
    assert choose(rows_of_images(""), None, 1) == []


def test_a_table_of_images_without_a_byte_is_named(tmp_path):
    (tmp_path / "images.csv").touch()
    with pytest.raises(UserError, match=r"images\.csv: no readable table .* delete it and run"):
        choose(rows_of_images("ab"), tmp_path / "images.csv", 1)
