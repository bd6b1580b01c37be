"""Masks seen without true masks: figures computed by hand, of images, classes and doubts."""

import math
import sys

import numpy as np
import pandas as pd
import pytest

from tags2masks.data.index import (
    COLUMNS,
    images_sha,
    read_index,
    rows_of,
    write_classes,
    write_index,
)
from tags2masks.data.tables import read_checked, write_table
from tags2masks.errors import UserError
from tags2masks.plausibility import (
    ANY,
    DOUBTS,
    PLAUSIBILITY,
    SHARES,
    Chunk,
    Masks,
    Measured,
    class_agreement,
    class_shares,
    class_table,
    doubt_table,
    measure,
    mid_ranks,
    share_table,
)
from tags2masks.report.plausibility import (
    doubt_correlations,
    plausibility_warnings,
    stage_rows,
    tidy_plausibility,
    with_numbers,
)
from tags2masks.store import write_shard
from workflow_scripts import measure_plausibility

NAN = np.nan
CLASSES = ["cat", "dog"]
TAGS = {"a": ("cat",), "b": ("cat", "dog"), "c": ("cat",), "d": ("dog",), "e": ()}
MASK = np.array([[1, 1, 0, 0], [1, 2, 0, 255]], np.uint8)
OTHER = np.array([[1, 0, 0, 0], [1, 1, 255, 0]], np.uint8)


def seen(image: str, shares: list[float], agreement: list[float], whole: float) -> Measured:
    return Measured(image, np.array(shares), np.array(agreement), whole)


# Shares of cat and dog; agreement of background, cat and dog, and of the whole image.
IMAGES = [
    seen("a", [0.5, 0.0], [0.9, 0.8, NAN], 0.85),
    seen("b", [0.1, 0.0], [0.9, 0.4, 0.0], 0.45),
    seen("c", [0.0, 0.002], [1.0, NAN, 0.5], 0.75),
    seen("d", [0.0, 0.2], [0.8, NAN, 0.6], 0.7),
    seen("e", [0.0, 0.0], [1.0, NAN, NAN], 1.0),
]


def tables() -> tuple[pd.DataFrame, pd.DataFrame]:
    """The classes' table, by class, and that of the doubts, by image."""
    shares = share_table(IMAGES, TAGS, CLASSES)
    classes = class_table(IMAGES, shares, CLASSES, "train")
    return classes.set_index("class"), doubt_table(IMAGES, shares).set_index("image")


def test_shares_are_of_all_pixels():
    # Eight pixels: three of cat, one of dog, one that is ignored.
    assert class_shares(MASK, 2).tolist() == [3 / 8, 1 / 8]
    with pytest.raises(ValueError, match="hold the id 2; valid are 0 to 1"):
        class_shares(MASK, 1)


def test_agreement_is_iou_where_both_have_a_label():
    # Six such pixels. Background: 2 in both, 3 in either. Cat: 2 of 4. Dog: 0 of 1.
    assert class_agreement(MASK, OTHER, 2).tolist() == [2 / 3, 2 / 4, 0.0]
    assert class_agreement(OTHER, MASK, 2).tolist() == [2 / 3, 2 / 4, 0.0]
    # A class that neither shows has no agreement.
    flat = np.zeros((2, 4), np.uint8)
    assert np.isnan(class_agreement(flat, flat, 2)[1:]).all()


def written(folder, artifact_id, masks, rows, about=None):
    path = folder / artifact_id / "0.zarr.zip"
    entries = [(image, mask, {"size": [2, 4]}) for image, mask in masks.items()]
    write_shard(path, {"id": artifact_id} | (about or {}), images_sha(rows), entries)
    return Masks(str(path), artifact_id)


def index_of(folder, tags, split="train"):
    rows = [(i, f"{i}.png", split, named, 2, 4, f"sha {i}", 0) for i, named in tags.items()]
    write_index(folder / "index.csv", pd.DataFrame(rows, columns=list(COLUMNS)))
    return rows_of(read_index(folder / "index.csv"), split)


def test_an_image_is_compared_with_each_of_the_others(tmp_path):
    rows = index_of(tmp_path, {"a": ("cat",), "b": ()})
    flat = np.zeros((2, 4), np.uint8)
    mine = written(tmp_path, "crf-00000000", {"a": MASK, "b": flat}, rows)
    same = written(tmp_path, "crf-00000001", {"a": MASK, "b": flat}, rows)
    other = written(tmp_path, "crf-00000002", {"a": OTHER}, rows, {"partial": True})
    chunk = Chunk(mine, [same, other], images_sha(rows), ["a", "b"])
    first, second = measure(chunk, 2)
    # The same mask agrees fully; the other as above: its mean is 7/18 over the three classes.
    assert first.agreement.tolist() == pytest.approx([5 / 6, 3 / 4, 1 / 2])
    assert first.image_agreement == pytest.approx((1 + 7 / 18) / 2)
    # `b` is not in the partial shard.
    assert second.image_agreement == 1 and second.agreement[0] == 1
    alone = measure(chunk._replace(others=[]), 2)
    assert all(np.isnan(one.image_agreement) for one in alone)
    # Images without a mask in a partial shard are left out.
    partial = Chunk(other, [mine], images_sha(rows), ["a", "b"])
    assert [one.image for one in measure(partial, 2)] == ["a"]
    with pytest.raises(UserError, match=r"crf-00000000/0\.zarr\.zip: image 'a': labels hold the"):
        measure(chunk, 1)


def test_figures_of_a_class_by_hand():
    classes, _ = tables()
    cat = classes.loc["cat"]
    # Tagged in a, b, c with shares 0.5, 0.1, 0: one is absent, hardly there, and one is large.
    assert (cat["images"], cat["share"]) == (3, pytest.approx(0.2))
    assert cat["share_q10"] == pytest.approx(0.02) and cat["share_q50"] == pytest.approx(0.1)
    assert cat["share_q90"] == pytest.approx(0.42)  # four fifths of the way from 0.1 to 0.5
    assert (cat["absent_images"], cat["large_images"], cat["untagged_images"]) == (1, 1, 0)
    assert cat[["absent", "hardly", "large"]].tolist() == pytest.approx([1 / 3] * 3)
    assert cat["agreement"] == pytest.approx((0.8 + 0.4) / 2)
    dog = classes.loc["dog"]
    # Tagged in b and d with 0 and 0.2; seen without its tag in c.
    assert dog[["images", "absent_images", "large_images", "untagged_images"]].tolist() == [
        2,
        1,
        0,
        1,
    ]
    assert dog["share"] == pytest.approx(0.1) and dog["hardly"] == 0.5
    assert dog["agreement"] == pytest.approx((0.0 + 0.5 + 0.6) / 3)


def test_a_class_that_only_other_masks_show_counts_in_the_agreement():
    more = [*IMAGES, seen("f", [0.0, 0.0], [0.5, 0.0, NAN], 0.25)]
    tags = {**TAGS, "f": ()}
    table = class_table(more, share_table(more, tags, CLASSES), CLASSES, "train")
    cat = table.set_index("class").loc["cat"]
    assert cat["agreement"] == pytest.approx((0.8 + 0.4 + 0.0) / 3)


def test_figures_of_any_class_by_hand():
    classes, _ = tables()
    both = classes.loc[ANY]
    # Of a, b, c, d, which have tags: any class covers 0.5, 0.1, 0.002, 0.2.
    assert both["images"] == 4 and both["share"] == pytest.approx(0.802 / 4)
    # b has no dog, c no cat; a is large; c shows a dog without its tag.
    assert both[["absent_images", "large_images", "untagged_images"]].tolist() == [2, 1, 1]
    assert both[["absent", "hardly", "large"]].tolist() == [0.5, 0.5, 0.25]
    assert both["agreement"] == pytest.approx((0.85 + 0.45 + 0.75 + 0.7 + 1) / 5)
    assert (classes["split"] == "train").all()


def test_ranks_by_hand():
    assert mid_ranks([0.1, 0.4, 0.2, 0.3]).tolist() == [1 / 8, 7 / 8, 3 / 8, 5 / 8]
    assert mid_ranks([0.1, 0.1]).tolist() == [1 / 2, 1 / 2]
    assert mid_ranks([0.7]).tolist() == [1 / 2]


def test_doubts_by_hand():
    _, doubts = tables()
    # One of the classes in tags or mask is in both: all in a; cat in b, not dog; none in c.
    assert doubts["mismatch"].tolist() == [0, 0.5, 1, 0, 0]
    # Cats are seen in a and b, of 0.5 and 0.1: ranks 3/4 and 1/4, both in the middle 80 %.
    assert doubts["extreme"].fillna(-1).tolist() == [0, 0, -1, 0, -1]
    assert doubts["disagreement"].tolist() == pytest.approx([0.15, 0.55, 0.25, 0.3, 0])
    expected = [0.15 / 3, (0.5 + 0.55) / 3, (1 + 0.25) / 2, 0.3 / 3, 0]
    assert doubts["doubt"].tolist() == pytest.approx(expected)


def test_unusual_sizes_are_doubted():
    names = "abcdefghij"
    measured = [seen(name, [at / 20, 0], [NAN] * 3, NAN) for at, name in enumerate(names, start=1)]
    shares = share_table(measured, dict.fromkeys(names, ("cat",)), CLASSES)
    doubts = doubt_table(measured, shares)
    # Ranks 1/20, 3/20, …, 19/20: 10 · 9/20 - 4 at the ends, nothing in the middle 80 %.
    assert doubts["extreme"].tolist() == pytest.approx([0.5] + [0] * 8 + [0.5])
    assert doubts["disagreement"].isna().all()  # no other masks: the mean of what is known
    assert doubts["doubt"].tolist() == pytest.approx([0.25] + [0] * 8 + [0.25])


def test_images_without_tags_have_no_doubt_and_classes_without_images_no_figure():
    measured = [seen("a", [0, 0], [NAN] * 3, NAN)]
    shares = share_table(measured, {"a": ()}, CLASSES)
    assert doubt_table(measured, shares)["doubt"].tolist() == [0]
    table = class_table(measured, shares, CLASSES, "val")
    assert table["images"].tolist() == table["untagged_images"].tolist() == [0, 0, 0]
    assert table[["share", "share_q50", "absent", "large", "agreement"]].isna().all(axis=None)


@pytest.fixture
def made(tmp_path, monkeypatch):
    """The three tables that the program writes of two masks of two images, in a folder."""
    rows = index_of(tmp_path, {"a": ("cat",), "b": ("dog",)})
    write_classes(tmp_path / "classes.txt", CLASSES)
    flat = np.zeros((2, 4), np.uint8)
    masks = written(tmp_path, "crf-00000000", {"a": MASK, "b": flat}, rows)
    other = written(tmp_path, "crf-00000001", {"a": OTHER, "b": flat}, rows)
    arguments = ["--id", masks.artifact_id, "--split", "train", "--threads", "1"]
    arguments += ["--index", tmp_path / "index.csv", "--classes", tmp_path / "classes.txt"]
    arguments += ["--shards", masks.shard, "--others", other.artifact_id]
    home = tmp_path / "results" / "pets" / "masks" / "crf-00000000"
    for name in ("plausibility", "doubts", "shares"):
        arguments += [f"--{name}", home / f"{name}.csv"]
    monkeypatch.setattr(sys, "argv", ["measure_plausibility", *map(str, arguments)])
    measure_plausibility.main()
    return home


def test_the_program_writes_what_was_measured(made):
    shares = read_checked(made / "shares.csv", SHARES, "run again")
    assert shares.to_numpy().tolist() == [
        ["a", "cat", "True", "0.375", "0.5"],
        ["a", "dog", "False", "0.125", "0.0"],
        ["b", "dog", "True", "0.0", ""],
    ]
    doubts = read_checked(made / "doubts.csv", DOUBTS, "run again").set_index("image")
    # One cat is at the middle of one. a: tags and mask have one class of two in common.
    assert float(doubts.loc["a", "doubt"]) == pytest.approx((1 / 2 + 0 + 11 / 18) / 3)
    assert doubts.loc["b"].tolist() == ["0.5", "1.0", "", "0.0"]
    table = with_numbers(read_checked(made / "plausibility.csv", PLAUSIBILITY, "run again"))
    assert table["class"].tolist() == [ANY, "cat", "dog"]
    assert table["absent_images"].tolist() == [1, 0, 1]


def experiment(**about) -> dict:
    steps = [[3, "masks", "crf-00000000"]]
    common = {"experiment": "pets/vanilla/cam/crf", "dataset": "pets", "has_truth": True}
    return common | {"steps": steps, "artifacts": {"masks": "crf-00000000"}} | about


def test_tables_of_all_experiments(made):
    results = made.parents[2]
    (made / "images.csv").write_text("image,iou\na,0.4\nb,0.3\n")
    table = tidy_plausibility([experiment(), experiment(experiment="again")], results)
    assert table["experiment"].tolist() == ["pets/vanilla/cam/crf"] * 3 + ["again"] * 3
    assert table["share"].tolist() == pytest.approx([0.25, 0.375, 0] * 2)
    assert set(table["artifact"]) == {"crf-00000000"} and set(table["stage"]) == {"masks"}
    nothing = experiment(steps=[[1, "classifier", "vanilla-00000000"]])
    assert tidy_plausibility([nothing], results).empty
    # Two images are too few for a correlation.
    related = doubt_correlations([experiment()], results)
    assert related["part"].tolist() == ["doubt", "mismatch", "extreme", "disagreement"]
    assert related["spearman"].isna().all() and related["images"].tolist() == [2, 2, 1, 2]
    assert doubt_correlations([experiment(has_truth=False)], results).empty


def test_doubts_in_the_order_of_the_iou_correlate(made):
    measured = [seen(f"i{n}", [n / 10, 0], [NAN] * 3, [0.9, 0.8, 0.6, 0.2][n]) for n in range(4)]
    shares = share_table(measured, {one.image: () for one in measured}, CLASSES)
    doubts = doubt_table(measured, shares)
    write_table(made / "doubts.csv", doubts, DOUBTS)
    (made / "images.csv").write_text("image,iou\ni0,0.9\ni1,0.7\ni2,0.8\ni3,0.1\nelse,0.3\n")
    related = doubt_correlations([experiment()], made.parents[2]).set_index("part")
    # Ranks of disagreement 1, 2, 3, 4 and of the IoU 4, 2, 3, 1: 1 - 6 · (9 + 0 + 0 + 9) / 60.
    assert related.loc["disagreement", "spearman"] == pytest.approx(1 - 6 * 18 / 60)
    assert related.loc["disagreement", "images"] == 4
    assert math.isnan(related.loc["extreme", "spearman"])  # no image has a tag


def rows(**figures) -> pd.DataFrame:
    """Rows of one class beside those of any class, without anything odd but these figures."""
    plain = dict.fromkeys(PLAUSIBILITY, 0.1) | {"class": "cat", "agreement": 0.9, "images": 20}
    plain |= {"absent_images": 1, "large_images": 0, "untagged_images": 0, "hardly": 0.1}
    return pd.DataFrame([plain | {"class": ANY} | figures, plain | figures])


@pytest.mark.parametrize(
    ("figures", "said"),
    [
        ({"absent": 0.3, "hardly": 0.3, "absent_images": 6}, r"absent .* cat \(6 of 20\)"),
        ({"hardly": 0.25}, r"hardly a pixel \(below 0\.5 % .* cat$"),
        ({"share": 0.46}, "covers more than 45% of its images on average: cat"),
        ({"agreement": 0.4}, r"disagree \(mean IoU below 50 %\) on cat"),
        ({"untagged_images": 6}, r"without its tag: cat \(6\)"),
    ],
)
def test_warnings(figures, said):
    (warning,) = plausibility_warnings(rows(**figures))
    assert pd.Series([warning]).str.contains(said).item(), warning


def test_no_warnings():
    assert plausibility_warnings(rows(absent=0.25, share=0.45, agreement=0.5)) == []
    assert plausibility_warnings(rows(absent=1, images=2)) == []  # too few images
    assert plausibility_warnings(rows(agreement=NAN)) == []


def test_figures_are_shown_in_percent():
    classes, _ = tables()
    shown = dict(stage_rows(classes.reset_index()))
    assert shown["cat"] == [
        "3", "20.0", "2.0 to 42.0", "1 (33.3\N{NO-BREAK SPACE}%)", "33.3",
        "1 (33.3\N{NO-BREAK SPACE}%)", "0", "60.0",
    ]  # fmt: skip
