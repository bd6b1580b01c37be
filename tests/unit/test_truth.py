"""Truth tables and mask files: what the ids become, and every mask that is refused."""

import pickle
import re
import struct
import zlib

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from tags2masks.data.truth import (
    INVALID,
    check_masks,
    mask_files,
    plain_table,
    read_mask,
    read_truth,
    value_table,
    with_masks,
    write_truth,
)
from tags2masks.errors import UserError

IDS = np.array([[0, 1, 2], [3, 3, 255]], np.uint8)


def grey(path, ids=IDS):
    Image.fromarray(ids).save(path)


def palette(path, ids=IDS, colours=256):
    image = Image.frombytes("P", ids.shape[::-1], ids.tobytes())
    image.putpalette([200, 100, 50] * colours)
    image.save(path)


@pytest.mark.parametrize("save", [grey, palette])
def test_ids_go_through_the_table(tmp_path, save):
    save(tmp_path / "mask.png")
    table = np.full(256, INVALID, np.uint8)
    table[[0, 1, 2, 3, 255]] = [0, 5, 255, 6, 255]
    mask = read_mask(tmp_path / "mask.png", table, (2, 3))
    assert mask.dtype == np.uint8
    np.testing.assert_array_equal(mask, [[0, 5, 255], [6, 6, 255]])


def test_palette_of_two_bits(tmp_path):
    palette(tmp_path / "mask.png", IDS % 4, colours=4)
    assert (tmp_path / "mask.png").read_bytes()[24] == 2
    mask = read_mask(tmp_path / "mask.png", plain_table(3), (2, 3))
    np.testing.assert_array_equal(mask, [[0, 1, 2], [3, 3, 3]])


def test_plain_table():
    table = plain_table(2)
    assert table[[0, 1, 2, 255]].tolist() == [0, 1, 2, 255]
    assert (table[3:255] == INVALID).all()
    assert plain_table(253)[253] == 253
    with pytest.raises(UserError, match="254 classes, but masks hold 253"):
        plain_table(254)


def save_as_jpeg(path):
    Image.fromarray(IDS).save(path, format="JPEG")


def write_text(path):
    path.write_text("no mask")


def write_half(path):
    grey(path, np.random.default_rng(0).integers(0, 3, (2, 3000), np.uint8))
    path.write_bytes(path.read_bytes()[:300])


@pytest.mark.parametrize(
    ("save", "said"),
    [
        (lambda path: None, "no such file"),
        (write_text, "not an image"),
        (write_half, "damaged or truncated"),
        (lambda path: path.write_bytes(b""), "empty file"),
        (save_as_jpeg, "a JPEG file; expected a PNG of palette or 8-bit grey ids"),
        (
            lambda path: Image.new("RGB", (3, 2)).save(path),
            "RGB colours (#000000); expected a PNG of palette or 8-bit grey ids",
        ),
        (lambda path: Image.new("RGBA", (3, 2)).save(path), "RGBA colours (#000000); expected"),
        (lambda path: Image.fromarray(IDS.astype(np.uint16)).save(path), "mode I;16; expected"),
        (
            lambda path: grey(path, np.zeros((3, 2), np.uint8)),
            "2 × 3 pixels, but its image has 3 × 2",
        ),
        (
            lambda path: grey(path, np.array([[0, 4, 9], [1, 2, 9]], np.uint8)),
            "holds id 4, 9, not among 0-3, 255",
        ),
    ],
)
def test_masks_that_are_refused(tmp_path, save, said):
    path = tmp_path / "mask.png"
    save(path)
    with pytest.raises(UserError, match=rf"{re.escape(str(path))}: {re.escape(said)}"):
        read_mask(path, plain_table(3), (2, 3))


def test_grey_of_few_bits_is_refused_as_its_ids_would_be_stretched(tmp_path):
    # A 1 × 4 PNG of 2-bit grey holding 0, 1, 2, 3, put together by hand.
    def chunk(kind, data):
        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    header = struct.pack(">IIBBBBB", 4, 1, 2, 0, 0, 0, 0)
    pixels = zlib.compress(bytes([0, 0b00011011]))
    path = tmp_path / "mask.png"
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")
    )
    assert np.asarray(Image.open(path)).tolist() == [[0, 85, 170, 255]]
    with pytest.raises(UserError, match=r"mask\.png: grey of 2 bits; expected"):
        read_mask(path, plain_table(3), (1, 4))


def test_truth_is_written_and_read_back_alike(tmp_path):
    truth = pd.DataFrame(
        {
            "image": ["007", "NA"],
            "mask": ["m/007.png", "m/NA.png"],
            "instances": ["i/007.png", ""],
        }
    )
    write_truth(tmp_path / "truth.csv", truth)
    assert (tmp_path / "truth.csv").read_text() == (
        "image,mask,instances,crc\n007,m/007.png,i/007.png,027efe84\nNA,m/NA.png,,79634d09\n"
    )
    assert read_truth(tmp_path / "truth.csv").to_dict("list") == truth.to_dict("list")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "no such file"),
        ("image,mask\na,b\n", "no column instances"),
    ],
)
def test_files_that_are_no_truth_are_refused(tmp_path, text, said):
    path = tmp_path / "truth.csv"
    if text is not None:
        path.write_text(text)
    with pytest.raises(UserError, match=rf"truth\.csv: {said}"):
        read_truth(path)


@pytest.fixture
def index():
    return pd.DataFrame(
        {
            "image": ["a", "b", "c", "d", "o"],
            "split": ["train", "train", "val", "val", "ood"],
            "height": 2,
            "width": 3,
            "tags": [("cat",), (), ("cat",), (), ()],
        }
    )


PATHS = ["a.png", "b.png", "c.png", "d.png"]


def found_of(index, root):
    """The masks of all but the ood image."""
    return mask_files(index["image"][:4], PATHS, root)


def test_masks_are_files_or_what_lacks_is_named(tmp_path, index):
    grey(tmp_path / "c.png")
    found = found_of(index, tmp_path)
    assert found["mask"].tolist() == ["", "", "c.png", ""]
    assert found["lacks"].tolist() == [
        *(str(tmp_path / p) for p in PATHS[:2]),
        "",
        str(tmp_path / "d.png"),
    ]


def test_images_without_a_mask_are_left_out_with_a_note(tmp_path, index, capsys):
    for name in ("c.png", "a.png"):
        grey(tmp_path / name)
    rows = with_masks(found_of(index, tmp_path), index)
    assert rows["image"].tolist() == ["a", "c"]
    assert rows["mask"].tolist() == ["a.png", "c.png"]
    assert capsys.readouterr().err.splitlines() == [
        "note: 1 of 2 train images have no mask and are left out; "
        f"the first lacks {tmp_path / 'b.png'}",
        "note: 1 of 2 val images have no mask and are left out; "
        f"the first lacks {tmp_path / 'd.png'}",
    ]


def test_training_images_need_no_mask_at_all(tmp_path, index, capsys):
    for name in ("c.png", "d.png"):
        grey(tmp_path / name)
    assert with_masks(found_of(index, tmp_path), index)["image"].tolist() == ["c", "d"]
    assert "2 of 2 train images" in capsys.readouterr().err


def test_no_mask_at_all_is_an_error(tmp_path, index):
    said = rf"none of 4 images has a mask; the first lacks {tmp_path / 'a.png'}; correct the path"
    with pytest.raises(UserError, match=said):
        with_masks(found_of(index, tmp_path), index)
    with pytest.raises(UserError, match=r"nowhere: no such folder of masks"):
        found_of(index, tmp_path / "nowhere")


def test_every_mask_is_checked_and_all_mistakes_named(tmp_path, index):
    truth = pd.DataFrame({"image": ["a", "c", "d"], "mask": ["a.png", "c.png", "d.png"]})
    grey(tmp_path / "a.png")
    grey(tmp_path / "c.png")
    grey(tmp_path / "d.png")
    check_masks(truth, index, tmp_path, plain_table(3), ["cat", "dog", "cow"], 2)
    grey(tmp_path / "a.png", np.full((2, 3), 7, np.uint8))
    grey(tmp_path / "d.png", np.zeros((3, 3), np.uint8))
    with pytest.raises(UserError) as raised:
        check_masks(truth, index, tmp_path, plain_table(3), ["cat", "dog", "cow"], 2)
    size, ids = str(raised.value).splitlines()
    assert ids == (
        f"{tmp_path / 'a.png'}: holds id 7, not among 0-3, 255; mend the masks or the list of "
        "classes, or add what it stands for to `mask_values`"
    )
    assert size.startswith(f"{tmp_path / 'd.png'}: 3 × 3 pixels, but its image has 3 × 2")


def checked(root, index, pixels, table, classes=("cat",)):
    """Check masks of these pixels, of the first images of the index; None, or what is said."""
    masks = [f"{image}.png" for image in index["image"][: len(pixels)]]
    for mask, values in zip(masks, pixels, strict=True):
        Image.fromarray(np.array(values, np.uint8)).save(root / mask)
    truth = pd.DataFrame({"image": index["image"][: len(pixels)], "mask": masks})
    try:
        check_masks(truth, index, root, table, list(classes), 1)
    except UserError as error:
        return str(error).replace(f"{root}", "masks")
    return None


NOTHING, OBJECT, CAT = [[0, 0, 0]] * 2, [[0, 255, 255]] * 2, [[0, 1, 1]] * 2


def test_masks_of_0_and_255_alone_are_refused_with_the_line_to_write(tmp_path, index):
    start = "masks: the masks of 2 tagged images hold 0 (background) and 255 (ignored) alone, and "
    assert checked(tmp_path, index, [OBJECT, NOTHING, OBJECT], plain_table(1)) == (
        f"{start}no class; if 255 is the object, write in the data set `mask_values: "
        "{0: background, 255: cat}`"
    )
    said = checked(tmp_path, index, [OBJECT, NOTHING, OBJECT], plain_table(2), ("cat", "dog"))
    assert said.endswith("`mask_values: {0: background, 255: (one of cat, dog)}`")
    # Of images without tags there is nothing to be shown; and one mask with a class is enough.
    assert checked(tmp_path, index, [OBJECT, NOTHING, CAT], plain_table(1)) is None
    assert checked(tmp_path, index[1:2], [OBJECT], plain_table(1)) is None
    table = value_table({"0": "background", "255": "cat"}, {"cat": 1})
    assert checked(tmp_path, index, [OBJECT, NOTHING, OBJECT], table) is None
    assert checked(tmp_path, index, [NOTHING], table) == (
        "masks: the masks of 1 tagged image hold 0 (background) alone, and no class; correct the "
        "masks, or `mask_values` in the data set"
    )


RED, BLACK, BLUE = [255, 0, 0], [0, 0, 0], [0, 0, 255]


def test_masks_in_colours_are_refused_once_with_the_line_to_write(tmp_path, index):
    masks = [[[BLACK, RED, RED]] * 2, [[BLACK, BLACK, RED]] * 2]
    assert checked(tmp_path, index, masks, plain_table(1)) == (
        "masks/a.png: RGB colours (#000000, #ff0000); expected a PNG of palette or 8-bit grey ids; "
        '1 more like it; write in the data set `mask_values: {"#000000": background, '
        '"#ff0000": cat}`, each a name among background, cat, ignored'
    )
    masks.append([[BLUE, BLUE, BLUE]] * 2)
    said = checked(tmp_path, index, masks, plain_table(2), ("cat", "dog"))
    assert '{"#000000": background, "#0000ff": …, "#ff0000": …}`, each a name among' in said
    photograph = np.arange(3 * 34 * 3).reshape(3, 34, 3) % 251
    said = checked(tmp_path, index.assign(height=3, width=34), [photograph], plain_table(1))
    assert said.endswith("; 102 colours are too many for masks; save them without blended edges")


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P"])
def test_colours_become_ids(tmp_path, mode):
    pixels = np.array([[BLACK, RED, BLUE], [[9, 9, 9], RED, BLACK]], np.uint8)
    image = Image.fromarray(pixels)
    image = image.quantize(4) if mode == "P" else image.convert(mode)
    image.save(tmp_path / "mask.png")
    values = {"#ff0000": "dog", "#000000": "background", "#0000ff": "cat", "#090909": "ignored"}
    table = value_table(values, {"cat": 1, "dog": 2})
    assert read_mask(tmp_path / "mask.png", table, (2, 3)).tolist() == [[0, 2, 1], [255, 2, 0]]
    del values["#0000ff"], values["#090909"]
    with pytest.raises(UserError) as raised:
        read_mask(tmp_path / "mask.png", value_table(values, {"dog": 2}), (2, 3))
    assert str(raised.value) == (
        f"{tmp_path / 'mask.png'}: holds the colour #0000ff, #090909, which `mask_values` do not "
        "name"
    )
    assert pickle.loads(pickle.dumps(raised.value)).values == ("#0000ff", "#090909")


def test_grey_values_one_bit_and_transparent_masks(tmp_path):
    table = value_table({"0": "background", "128": "ignored", "255": "cat"}, {"cat": 1})
    grey(tmp_path / "mask.png", np.array([[0, 128, 255]], np.uint8))
    assert read_mask(tmp_path / "mask.png", table, (1, 3)).tolist() == [[0, 255, 1]]
    grey(tmp_path / "mask.png", np.array([[0, 127, 255]], np.uint8))
    with pytest.raises(UserError, match=r"holds id 127, not among 0, 128, 255"):
        read_mask(tmp_path / "mask.png", table, (1, 3))
    Image.fromarray(np.array([[False, True]])).save(tmp_path / "bits.png")
    assert read_mask(tmp_path / "bits.png", plain_table(1), (1, 2)).tolist() == [[0, 1]]
    Image.new("RGBA", (2, 1), (0, 0, 0, 9)).save(tmp_path / "clear.png")
    with pytest.raises(UserError, match=r"clear\.png: partly transparent; save the mask without"):
        read_mask(tmp_path / "clear.png", value_table({"#000000": "background"}, {}), (1, 2))
