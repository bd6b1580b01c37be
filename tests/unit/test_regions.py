"""Recall in discriminative regions and outside them: by hand, and against plain masks."""

from functools import partial

import numpy as np
import pytest
from PIL import Image

from tags2masks.data.truth import plain_table
from tags2masks.errors import UserError
from tags2masks.masks.seeds import seed, upsample
from tags2masks.metrics.curve import confusions, thresholds
from tags2masks.metrics.quality import Chunk, LabelQuality, label_confusion, map_confusions
from tags2masks.metrics.regions import (
    discriminative,
    high_counts,
    own_scores,
    recall_rows,
    region_recall,
    share_rows,
)
from tags2masks.metrics.rows import label_rows, map_rows
from tags2masks.parallel import fold
from tags2masks.store import write_shard

CLASSES = ["cat", "dog"]
TABLE = plain_table(2)
IDS = {"cat": 1, "dog": 2}


def test_own_scores_and_regions_by_hand():
    truth = np.array([[1, 2, 0, 255], [1, 2, 1, 2]], np.uint8)
    dog = np.array([[0.9, 0.25, 0.9, 0.9], [0.9, 0.24, 0.9, 0.5]], np.float32)
    own = own_scores(dog[None], [2], truth)  # no map of cat
    np.testing.assert_array_equal(own, np.float32([[0, 0.25, 0, 0], [0, 0.24, 0, 0.5]]))
    inside = discriminative(dog[None], [2], truth)
    assert inside.tolist() == [[False, True, False, False], [False, False, False, True]]


def test_recall_by_hand():
    # Of cat 3 pixels in DR, 2 found, and 4 outside, 1 found; dog outside alone, one unlabelled.
    outside = np.array([[9, 1, 0, 0], [3, 1, 0, 0], [1, 0, 1, 1]])
    inside = np.array([[0, 0, 0, 0], [0, 2, 1, 0], [0, 0, 0, 0]])
    np.testing.assert_array_equal(region_recall(inside), [2 / 3, np.nan])
    rows = recall_rows(np.stack([outside, inside]), CLASSES)
    assert [row[:2] for row in rows] == [
        ("dr_recall", "mean"), ("dr_recall", "cat"), ("dr_recall", "dog"),
        ("ndr_recall", "mean"), ("ndr_recall", "cat"), ("ndr_recall", "dog"),
    ]  # fmt: skip
    np.testing.assert_array_equal(
        [row[2] for row in rows], [2 / 3, 2 / 3, np.nan, (1 / 4 + 1 / 2) / 2, 1 / 4, 1 / 2]
    )


def test_shares_by_hand():
    truth = np.array([[1, 1, 1, 1, 2, 0, 255]], np.uint8)
    own = np.array([[0.15, 0.14, 0.9, 0.1, 0, 0.9, 0.9]], np.float32)
    inside = np.array([[True, True, False, False, False, False, False]])
    counts = high_counts(own, inside, truth, 2)
    assert counts[1, 1].tolist() == [0, 1, 0] and counts[0, 1].tolist() == [0, 1, 0]
    assert counts[1, 0].tolist() == [1, 1, 0] and counts[0, 0].tolist() == [0, 1, 1]
    values = {row[:2]: row[2] for row in share_rows(counts, CLASSES)}
    assert {key: value for key, value in values.items() if key[1] != "mean"} == {
        ("hsr_dr", "cat"): 0.25, ("lsr_dr", "cat"): 0.25,
        ("hsr_ndr", "cat"): 0.25, ("lsr_ndr", "cat"): 0.25,
        ("hsr_dr", "dog"): 0, ("lsr_dr", "dog"): 0,
        ("hsr_ndr", "dog"): 0, ("lsr_ndr", "dog"): 1,
    }  # fmt: skip
    assert values["lsr_ndr", "mean"] == 0.625


@pytest.fixture
def dataset(tmp_path):
    """Maps, CAMs (other classes present, another stride) and truths of five images, in shards."""
    rng = np.random.default_rng(0)
    images, truths = {}, []
    for number, names in enumerate([["cat"], ["cat", "dog"], ["dog"], [], ["dog", "cat"]]):
        size = (13 + number, 10 + 3 * number)
        truth = rng.choice(np.array([0, 1, 2, 255], np.uint8), size)
        maps, cams = (
            rng.random((len(names), -(-size[0] // stride), -(-size[1] // stride)))
            .astype(np.float16)
            for stride in (4, 2)
        )  # fmt: skip
        images[f"i{number}"] = maps, cams * np.float16(0.5), names, truth
        Image.fromarray(truth).save(tmp_path / f"i{number}.png")
        truths.append((f"i{number}", str(tmp_path / f"i{number}.png"), size))
    for at, name in enumerate(("maps", "cam")):
        entries = [
            (image, one[at], {"classes": one[2], "size": list(one[3].shape)})
            for image, one in images.items()
        ]
        write_shard(tmp_path / f"{name}.zarr.zip", {"id": f"{name}-1"}, "sha", entries)
    cam = (str(tmp_path / "cam.zarr.zip"), "cam-1")
    chunks = [
        Chunk(str(tmp_path / "maps.zarr.zip"), "maps-1", "sha", part, cam=cam)
        for part in (truths[:2], truths[2:])
    ]
    return images, chunks


def plain_figures(images, masks):
    """dr_recall and ndr_recall of each class with loops over images and classes."""
    found, there = np.zeros((2, 2)), np.zeros((2, 2))
    for (_, cams, names, truth), mask in zip(images.values(), masks, strict=True):
        full = upsample(cams, truth.shape)
        for number, name in enumerate(CLASSES):
            cam = full[names.index(name)] if name in names else np.zeros(truth.shape, np.float32)
            for region, chosen in enumerate((cam >= 0.25, cam < 0.25)):
                pixels = (truth == number + 1) & chosen
                there[region, number] += pixels.sum()
                found[region, number] += (pixels & (mask == number + 1)).sum()
    return found / there


def test_one_pass_is_the_plain_loop_over_thresholds_classes_and_images(tmp_path, dataset):
    images, chunks = dataset
    limits = thresholds(10, 0.45)
    measure = partial(map_confusions, table=TABLE, classes=CLASSES, limits=limits)
    quality = fold(measure, chunks, lambda a, b: a + b, workers=1)
    outside, inside = (confusions(part) for part in quality.histogram)
    all_expected = []
    for at, limit in enumerate(limits):
        masks = [
            seed(upsample(maps, truth.shape), [IDS[name] for name in names], limit)
            for maps, _, names, truth in images.values()
        ]
        expected = plain_figures(images, masks)
        np.testing.assert_allclose(region_recall(inside[at]), expected[0])
        np.testing.assert_allclose(region_recall(outside[at]), expected[1])
        all_expected.append(expected)
        # The same masks, measured as masks.
        entries = [
            (image, mask, {"size": list(mask.shape)})
            for image, mask in zip(images, masks, strict=True)
        ]
        path = tmp_path / "masks.zarr.zip"
        write_shard(path, {"id": "masks-1"}, "sha", entries)
        parts = [chunk._replace(shard=str(path), artifact_id="masks-1") for chunk in chunks]
        labels = fold(
            partial(label_confusion, table=TABLE, classes=CLASSES),
            parts, lambda a, b: a + b, workers=1,
        )  # fmt: skip
        np.testing.assert_array_equal(labels.regions[..., :3], [outside[at], inside[at]])
        np.testing.assert_array_equal(labels.regions.sum(axis=0), labels.matrix)

    rows, curve = map_rows(quality, limits, 0.45, CLASSES, "train", 5)
    iou = curve[curve["class"] == "mean"].set_index("threshold")["iou"]
    fixed = value(rows, "ndr_recall", "cat", tuned=False)
    best = value(rows, "dr_recall", "dog", tuned=True)
    at = {round(float(limit), 6): number for number, limit in enumerate(limits)}
    assert fixed["value"] == pytest.approx(all_expected[at[0.45]][1, 0])
    assert fixed["threshold"] == 0.45
    assert best["value"] == pytest.approx(all_expected[at[iou.idxmax()]][0, 1])
    assert best["threshold"] == iou.idxmax()
    shares = [
        value(rows, m, "mean", tuned=False) for m in ("hsr_dr", "lsr_dr", "hsr_ndr", "lsr_ndr")
    ]
    assert sum(one["value"] for one in shares) == pytest.approx(1)
    assert {one["threshold"] for one in shares} == {0.15}


def value(rows, metric, name, tuned):
    [found] = rows[
        (rows["metric"] == metric) & (rows["class"] == name) & (rows["tuned_on_masks"] == tuned)
    ].to_dict("records")
    return found


def test_shares_look_at_the_true_classs_own_map(dataset):
    images, chunks = dataset
    limits = thresholds(2, 0.5)
    quality = fold(
        partial(map_confusions, table=TABLE, classes=CLASSES, limits=limits),
        chunks, lambda a, b: a + b, workers=1,
    )  # fmt: skip
    expected = np.zeros((2, 2, 2))
    for maps, cams, names, truth in images.values():
        for at, name in enumerate(names):
            own, cam = (upsample(part, truth.shape)[at] for part in (maps, cams))
            true = truth == IDS[name]
            for high in (0, 1):
                for inside in (0, 1):
                    pixels = true & ((own >= 0.15) == high) & ((cam >= 0.25) == inside)
                    expected[high, inside, IDS[name] - 1] += pixels.sum()
        for name in set(CLASSES) - set(names):
            expected[0, 0, IDS[name] - 1] += (truth == IDS[name]).sum()
    np.testing.assert_array_equal(quality.high[..., 1:], expected)


def test_without_a_cam_there_are_no_rows_of_regions(dataset):
    _, chunks = dataset
    plain = [chunk._replace(cam=None) for chunk in chunks]
    quality = fold(
        partial(map_confusions, table=TABLE, classes=CLASSES, limits=thresholds(2, 0.5)),
        plain, lambda a, b: a + b, workers=1,
    )  # fmt: skip
    rows, _ = map_rows(quality, thresholds(2, 0.5), 0.5, CLASSES, "train", 5)
    assert not {"dr_recall", "ndr_recall", "hsr_dr"} & set(rows["metric"])
    masks = LabelQuality(np.eye(3, 4), [], np.zeros((4, 2)))
    assert "dr_recall" not in set(label_rows(masks, CLASSES, "train", 1)["metric"])


def test_a_cam_of_other_images_is_refused(tmp_path, dataset):
    _, chunks = dataset
    write_shard(tmp_path / "other.zarr.zip", {"id": "cam-1"}, "other", [])
    chunk = chunks[0]._replace(cam=(str(tmp_path / "other.zarr.zip"), "cam-1"))
    with pytest.raises(UserError, match=r"other\.zarr\.zip: its images_sha is other"):
        map_confusions(chunk, TABLE, CLASSES, thresholds(2, 0.5))


def test_rows_of_masks_with_regions():
    regions = np.zeros((2, 3, 4), np.int64)
    regions[1, 1] = [1, 3, 0, 0]
    masks = LabelQuality(regions.sum(axis=0), [], np.zeros((4, 2), np.int64), regions)
    frame = label_rows(masks, CLASSES, "train", 1)
    found = frame[frame["metric"].str.endswith("dr_recall")]
    assert found[["metric", "class", "value"]].to_numpy().tolist() == [
        ["dr_recall", "mean", 0.75],
        ["dr_recall", "cat", 0.75],
    ]
    assert found["threshold"].isna().all()
