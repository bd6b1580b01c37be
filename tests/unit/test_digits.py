"""The embedded data set: scenes that hold what they say, always alike, with exact masks."""

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from tags2masks.config.digits import DIGIT_NAMES, Digits
from tags2masks.data import digits, scenes
from tags2masks.data.images import read_image
from tags2masks.data.index import build_index
from tags2masks.data.scenes import draw_scene
from tags2masks.data.truth import check_masks, read_mask
from tests.unit.splits import list_all

SMALL = Digits(train=12, val=4, ood=2)


def alike(one, other):
    return all(
        np.array_equal(getattr(one, name), getattr(other, name))
        for name in ("image", "mask", "instances")
    )


def test_a_scene_depends_on_its_number_split_and_seed_alone():
    more = Digits(train=5000, val=1, ood=0)
    first = draw_scene(SMALL, "train", 7, 3)
    assert alike(first, draw_scene(more, "train", 7, 3))
    for other in (("train", 8, 3), ("val", 7, 3), ("train", 7, 4)):
        assert not alike(first, draw_scene(SMALL, *other))


@pytest.mark.parametrize("split", ["train", "val"])
def test_mask_instances_and_boxes_tell_the_same(split):
    counts = set()
    for number in range(40):
        scene = draw_scene(SMALL, split, number, 0)
        assert scene.image.shape == (64, 64, 3)
        assert scene.image.dtype == scene.mask.dtype == scene.instances.dtype == np.uint8
        counts.add(len(scene.objects))
        np.testing.assert_array_equal(scene.mask > 0, scene.instances > 0)
        assert scene.instances.max() == len(scene.objects)
        for instance, (kind, box) in enumerate(scene.objects, start=1):
            rows, columns = np.nonzero(scene.instances == instance)
            assert box == (columns.min(), rows.min(), columns.max(), rows.max())
            assert set(scene.mask[scene.instances == instance]) == {kind + 1}
    assert counts == {1, 2, 3}


def test_digits_are_of_the_size_asked_for():
    for low, high in ((8, 8), (20, 24), (64, 64)):
        spec = Digits(digit_size=(low, high), most_digits=1)
        for number in range(15):
            [(_, (x1, y1, x2, y2))] = draw_scene(spec, "train", number, 0).objects
            longer = max(x2 - x1, y2 - y1) + 1
            # The last row of ink may cover less than half of its pixels.
            assert low - 2 <= longer <= high


def test_digits_keep_a_pixel_apart():
    taken = np.zeros((3, 3), np.uint8)
    taken[0, 0] = 1
    rng = np.random.default_rng(0)
    places = [scenes._free_place(rng, (1, 1), taken) for _ in range(200)]
    corners = {(rows.start, columns.start) for rows, columns in places}
    assert corners == {(0, 2), (1, 2), (2, 0), (2, 1), (2, 2)}
    assert scenes._free_place(rng, (2, 2), taken) is None


def test_splits_draw_different_classes():
    spec = Digits(most_digits=1)
    kinds = {
        split: [draw_scene(spec, split, number, 0).objects[0][0] for number in range(12)]
        for split in ("train", "val")
    }
    assert kinds["train"] != kinds["val"]


def test_the_mask_is_where_ink_covers_more_than_half_a_pixel(monkeypatch):
    coverage = np.array([[0.4, 0.6], [0.5, 0.51], [0.2, 1.0]], np.float32)
    monkeypatch.setattr(scenes, "_digit", lambda *_: coverage)
    scene = draw_scene(Digits(classes=("seven",), most_digits=1), "train", 0, 0)
    rows, columns = np.nonzero(scene.mask)
    assert len(rows) == 3
    assert np.ptp(columns) == 0
    assert np.ptp(rows) == 2
    assert scene.objects == [(0, (columns[0], rows[0], columns[0], rows[2]))]


@pytest.fixture
def flat_textures(monkeypatch):
    """Photographs of one grey each, 20 · digit on the left half and 20 more on the right."""

    def photograph(number):
        pixels = np.full((300, 400, 3), 20.0 * number, np.float32)
        pixels[:, 200:] += 20
        return pixels

    monkeypatch.setattr(scenes, "_photograph", photograph)
    monkeypatch.setattr(scenes, "_light", lambda rng, view: view)


def background(scene):
    """The most frequent grey outside the ink, in steps of 20."""
    values, counts = np.unique(scene.image[scene.mask == 0], return_counts=True)
    return values[counts.argmax()] / 20


@pytest.mark.parametrize(("split", "step"), [("train", 0), ("val", 1)])
def test_the_favourite_of_the_first_digit_lies_below(flat_textures, split, step):
    spec = Digits(classes=DIGIT_NAMES, favourite=1)
    for number in range(30):
        scene = draw_scene(spec, split, number, 0)
        assert background(scene) == scene.objects[0][0] + step


def test_otherwise_it_is_the_favourite_of_another_chosen_class(flat_textures):
    spec = Digits(classes=("nine", "two", "five"), favourite=0)
    seen = set()
    for number in range(40):
        scene = draw_scene(spec, "train", number, 0)
        below, first = background(scene), (9, 2, 5)[scene.objects[0][0]]
        assert below in {9, 2, 5} - {first}
        seen.add((first, below))
    assert len(seen) == 6


def test_a_lone_class_has_the_other_textures_for_a_change(flat_textures):
    spec = Digits(classes=("four",), favourite=0)
    below = {background(draw_scene(spec, "train", number, 0)) for number in range(60)}
    assert below == {0, 1, 2, 3, 5, 6, 7, 8, 9}


def test_the_favourite_is_as_frequent_as_asked(flat_textures):
    spec = Digits(favourite=0.9)
    drawn = [draw_scene(spec, "train", number, 0) for number in range(200)]
    share = np.mean([background(scene) == scene.objects[0][0] for scene in drawn])
    assert abs(share - 0.9) < 0.064  # three standard deviations of a mean of 200


def test_ood_scenes_are_bare_textures_of_the_chosen_classes(flat_textures):
    spec = Digits(classes=("one", "six"))
    for number in range(20):
        scene = draw_scene(spec, "ood", number, 0)
        assert scene.objects == []
        assert not scene.mask.any()
        assert set(np.unique(scene.image)) <= {20, 120}
        assert len(np.unique(scene.image)) == 1


def test_ink_stands_out(flat_textures):
    spec = Digits(classes=DIGIT_NAMES)
    for number in range(40):
        scene = draw_scene(spec, "train", number, 0)
        for instance in range(1, len(scene.objects) + 1):
            ink = scene.image[scene.instances == instance].mean()
            assert abs(ink - 20 * background(scene)) > 45


def test_train_and_val_share_no_digit():
    images, labels = load_digits(return_X_y=True)
    for digit in range(10):
        train, val = (scenes._digit_pool(digit, split) for split in ("train", "val"))
        assert len(train) + len(val) == (labels == digit).sum()
        assert abs(len(train) - len(val)) <= 1
        whole = np.concatenate([train, val]).reshape(-1, 64) * 16
        np.testing.assert_array_equal(whole, images[labels == digit])


def test_every_photograph_is_in_the_package():
    for number in range(10):
        height, width, channels = scenes._photograph(number).shape
        assert channels == 3
        assert min(height, width // 2) >= 128


@pytest.mark.parametrize(("size", "digit"), [(24, (8, 24)), (400, (8, 400))])
def test_scenes_may_be_tiny_or_larger_than_the_photographs(size, digit):
    scene = draw_scene(Digits(size=size, digit_size=digit), "val", 0, 0)
    assert scene.image.shape == (size, size, 3)
    assert scene.objects


def test_images_are_drawn_listed_and_indexed(tmp_path):
    listing, classes = list_all(digits, SMALL, tmp_path, 5)
    assert classes == ["zero", "one", "two", "three", "four"]
    assert len(listing) == len(list((tmp_path / "images").glob("*/*.png"))) == 18
    assert listing["split"].value_counts().to_dict() == {"train": 12, "val": 4, "ood": 2}
    assert listing.loc[12, ["image", "path"]].tolist() == ["val-00000", "images/val/val-00000.png"]
    for row in listing.itertuples():
        scene = draw_scene(SMALL, row.split, int(row.image[-5:]), 5)
        np.testing.assert_array_equal(read_image(tmp_path / row.path), scene.image)
        shown = sorted({kind for kind, _ in scene.objects})
        assert row.tags == tuple(classes[kind] for kind in shown)
    index = build_index(listing, tmp_path, classes, 2, 2)
    assert index["height"].eq(64).all()


def test_drawing_again_gives_the_same_bytes_and_leaves_nothing_old(tmp_path):
    list_all(digits, SMALL, tmp_path)
    before = {path.name: path.read_bytes() for path in (tmp_path / "images").glob("*/*")}
    (tmp_path / "images/train/train-09999.png").write_text("from a larger set")
    list_all(digits, SMALL, tmp_path)
    assert {path.name: path.read_bytes() for path in (tmp_path / "images").glob("*/*")} == before


def test_images_are_whole_or_absent(tmp_path, monkeypatch):
    def draw(spec, split, number, seed):
        if number == 5:
            raise KeyboardInterrupt
        return draw_scene(spec, split, number, seed)

    monkeypatch.setattr(digits, "draw_scene", draw)
    with pytest.raises(KeyboardInterrupt):
        list_all(digits, SMALL, tmp_path)
    assert list((tmp_path / "images").iterdir()) == []


def test_truth_is_what_was_drawn(tmp_path):
    listing, classes = list_all(digits, SMALL, tmp_path, 5)
    index = build_index(listing, tmp_path, classes, 1, 2)
    index = index[index["split"] != "ood"]
    truth = digits.list_masks(SMALL, tmp_path, index, 5)
    boxes = digits.list_boxes(SMALL, tmp_path, index, classes, 5)
    table = digits.mask_table(SMALL, classes)
    check_masks(truth, index, tmp_path, table, classes, 2)
    assert len(truth) == 16
    for row in truth.itertuples():
        split, number = row.image.split("-")
        scene = draw_scene(SMALL, split, int(number), 5)
        mask = read_mask(tmp_path / row.mask, table, (64, 64))
        np.testing.assert_array_equal(mask, scene.mask)
        with Image.open(tmp_path / row.instances) as instances:
            np.testing.assert_array_equal(np.asarray(instances), scene.instances)
        mine = boxes[boxes["image"] == row.image].iloc[:, 1:].to_numpy().tolist()
        assert mine == [[classes[kind], *box, False] for kind, box in scene.objects]
