"""MNIST's files read, enlarged and listed; their ink as truth."""

import gzip

import numpy as np
import pytest
from PIL import Image

from tags2masks.config.digits import MNIST_FILES, Mnist
from tags2masks.data import mnist
from tags2masks.data.images import read_image
from tags2masks.data.index import build_index
from tags2masks.data.truth import check_masks, read_mask
from tags2masks.errors import UserError
from tests.unit.splits import list_all

LABELS = {"train": [7, 2, 7, 0, 2], "val": [2, 7]}


def idx(array):
    """The bytes of an idx file."""
    sides = b"".join(side.to_bytes(4, "big") for side in array.shape)
    return bytes([0, 0, 8, array.ndim]) + sides + array.tobytes()


@pytest.fixture
def files(tmp_path):
    """The four files, training gzipped and testing plain: random sparse digits."""
    folder, rng = tmp_path / "idx", np.random.default_rng(0)
    folder.mkdir()
    digits = {}
    for split, labels in LABELS.items():
        shape = (len(labels), 28, 28)
        digits[split] = (rng.random(shape) < 0.2) * rng.integers(1, 256, shape)
        digits[split] = digits[split].astype(np.uint8)
        for name, array in zip(
            MNIST_FILES[split], (digits[split], np.array(labels, np.uint8)), strict=True
        ):
            if split == "train":
                (folder / f"{name}.gz").write_bytes(gzip.compress(idx(array)))
            else:
                (folder / name).write_bytes(idx(array))
    return folder, digits


def test_enlarge_by_hand():
    found = mnist.enlarge(np.array([[1, 2], [3, 4]], np.uint8), 5)
    # Centres of 5 pixels over 2 lie at 0.2, 0.6, 1, 1.4, 1.8 pixels.
    assert found.tolist() == [[1, 1, 2, 2, 2]] * 2 + [[3, 3, 4, 4, 4]] * 3


def test_enlarge_is_pillows_nearest():
    digit = np.random.default_rng(1).integers(0, 256, (28, 28)).astype(np.uint8)
    for size in (28, 56, 128):
        expected = Image.fromarray(digit).resize((size, size), Image.Resampling.NEAREST)
        np.testing.assert_array_equal(mnist.enlarge(digit, size), expected)


def test_listing_and_truth(tmp_path, files):
    folder, digits = files
    spec = Mnist(root=str(folder), classes=("seven", "two"), train=3, val=1, size=56)
    listing, classes = list_all(mnist, spec, tmp_path)
    assert classes == ["seven", "two"]
    assert listing.to_numpy().tolist() == [
        ["train-00000", "images/train/train-00000.png", "train", ("seven",)],
        ["train-00001", "images/train/train-00001.png", "train", ("two",)],
        ["train-00002", "images/train/train-00002.png", "train", ("seven",)],
        ["val-00000", "images/val/val-00000.png", "val", ("two",)],
    ]
    index = build_index(listing, tmp_path, classes, 1, 1)
    pixels = read_image(tmp_path / "images/train/train-00002.png")
    assert pixels.shape == (56, 56, 3)
    np.testing.assert_array_equal(pixels[::2, 1::2, 0], digits["train"][2])

    # As the program has it: without the folder of the files.
    truth = mnist.list_masks(spec.model_copy(update={"root": ""}), tmp_path, index)
    table = mnist.mask_table(spec, classes)
    check_masks(truth, index, tmp_path, table, classes, 1)
    boxes = mnist.list_boxes(spec, tmp_path, index, classes).set_index("image")
    for row, number in zip(truth.itertuples(), (1, 2, 1, 2), strict=True):
        split, at = row.image.split("-")
        mask = read_mask(tmp_path / row.mask, table, (56, 56))
        np.testing.assert_array_equal(mask[1::2, ::2], (digits[split][int(at)] > 0) * number)
        box = boxes.loc[row.image]
        assert box["class"] == classes[number - 1]
        rows, columns = np.nonzero(mask)
        corners = (columns.min(), rows.min(), columns.max(), rows.max())
        assert tuple(box[["x1", "y1", "x2", "y2"]]) == corners


def test_too_few_images_are_told(tmp_path, files):
    spec = Mnist(root=str(files[0]), classes=("seven",), train=3, val=0)
    with pytest.raises(UserError, match=r"idx: 2 train images of these classes, fewer than 3; "):
        list_all(mnist, spec, tmp_path)
    assert not (tmp_path / "images/train").exists()


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda path: path.unlink(), r"train-images-idx3-ubyte\.gz: cannot be read"),
        (lambda path: path.write_bytes(path.read_bytes()[:99]), "cannot be read"),
        (lambda path: path.write_bytes(gzip.compress(b"\0\0\x08\x03abc")), "no whole idx file"),
        (lambda path: path.write_bytes(gzip.compress(b"")), "no whole idx file"),
    ],
)
def test_damaged_files_are_named(tmp_path, files, damage, message):
    damage(files[0] / f"{MNIST_FILES['train'][0]}.gz")
    with pytest.raises(UserError, match=message):
        list_all(mnist, Mnist(root=str(files[0]), train=1, val=0), tmp_path)


def test_planted_shapes_stand_beside_the_digits_and_instances_tell_them_apart(tmp_path, files):
    folder, digits = files
    spec = Mnist(root=str(folder), classes=("seven", "two"), train=4, val=0, size=80, planted=1.0)
    listing, classes = list_all(mnist, spec, tmp_path)
    index = build_index(listing, tmp_path, classes, 1, 1)
    truth = mnist.list_masks(spec, tmp_path, index).set_index("image")
    boxes = mnist.list_boxes(spec, tmp_path, index, classes).set_index("image")
    spots = set()
    for image, tag in zip(listing["image"], listing["tags"], strict=True):
        pixels = read_image(tmp_path / f"images/train/{image}.png")[::2, ::2, 0]
        digit = digits["train"][int(image[-5:])]
        np.testing.assert_array_equal(pixels[6:34, 6:34], digit)
        parts = np.asarray(Image.open(tmp_path / truth.loc[image, "instances"]))
        shape = parts[::2, ::2] == 2
        # A square of 25 pixels, or without its corners 21; all of it in the frame, all white.
        assert shape.sum() == (21 if tag == ("seven",) else 25)
        assert not shape[6:34, 6:34].any() and (pixels[shape] == 255).all()
        rows, columns = np.nonzero(shape)
        assert np.ptp(rows) == np.ptp(columns) == 4
        spots.add((rows.min(), columns.min()))
        np.testing.assert_array_equal(parts[::2, ::2] == 1, np.pad(digit > 0, 6))
        mask = np.asarray(Image.open(tmp_path / truth.loc[image, "mask"]))
        np.testing.assert_array_equal(mask, (parts > 0) * (1 + (tag == ("two",))))
        assert boxes.loc[image, "x1"] >= 12 and boxes.loc[image, "y2"] < 68
    assert len(spots) == 4


def test_a_share_of_the_images_is_planted_and_all_are_framed():
    digit, seen = np.zeros((28, 28), np.uint8), []
    for seed in range(400):
        framed = mnist.planted(digit, 1, 0.1, np.random.default_rng(seed))
        assert framed.shape == (40, 40)
        seen.append(int((framed > 0).sum()))
    assert set(seen) == {0, 25} and 25 <= seen.count(25) <= 56  # 40 ± 2.7 deviations of 6


def test_planted_is_in_the_id_only_if_set_and_wants_two_classes():
    assert "planted" not in Mnist(root="").key()
    assert Mnist(root="", classes=("two", "six"), planted=0.1).key()["planted"] == 0.1
    with pytest.raises(ValueError, match="planted: a shape goes with each of two classes; name"):
        Mnist(root="", planted=0.1)
