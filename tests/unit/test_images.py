"""Reading image files: every colour mode by hand-computed pixels, and every kind of bad file."""

import hashlib
import re
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from tags2masks.data.images import (
    FORMATS,
    SUFFIXES,
    ImageFile,
    Reading,
    decode,
    inspect_image,
    read_image,
)
from tags2masks.data.truth import plain_table, read_mask
from tags2masks.errors import UserError

RED, WHITE = [255, 0, 0], [255, 255, 255]


@pytest.fixture
def saved(tmp_path):
    """A function that saves an image and gives the path."""

    def save(image, name="image.png", **options):
        image.save(tmp_path / name, **options)
        return tmp_path / name

    return save


def test_files_of_all_formats_that_are_read_are_found():
    known = {suffix for suffix, name in Image.registered_extensions().items() if name in FORMATS}
    assert known == SUFFIXES


def test_rgb_is_read_as_it_is(saved):
    pixels = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3)
    read = read_image(saved(Image.fromarray(pixels)))
    assert read.dtype == np.uint8
    assert read.flags.writeable
    np.testing.assert_array_equal(read, pixels)


def test_exif_rotation_is_applied(saved):
    a, b, c, d, e, f = ([n, 10 + n, 20 + n] for n in range(6))
    exif = Image.Exif()
    exif[0x0112] = 6  # to be shown turned a quarter to the right
    path = saved(Image.fromarray(np.array([[a, b, c], [d, e, f]], np.uint8)), exif=exif)
    np.testing.assert_array_equal(read_image(path), [[d, a], [e, b], [f, c]])
    assert inspect_image(path)[:2] == (3, 2)


def test_exif_rotation_of_16_bit_grey(saved):
    exif = Image.Exif()
    exif[0x0112] = 6
    path = saved(
        Image.fromarray(np.array([[0, 257, 514], [771, 1028, 1285]], np.uint16)), exif=exif
    )
    np.testing.assert_array_equal(read_image(path)[..., 0], [[3, 0], [4, 1], [5, 2]])


def test_grey(saved):
    read = read_image(saved(Image.fromarray(np.array([[0, 7, 255]], np.uint8))))
    np.testing.assert_array_equal(read, [[[0] * 3, [7] * 3, [255] * 3]])


@pytest.mark.parametrize("name", ["image.png", "image.tif", "image.pgm"])
def test_16_bit_grey_is_scaled_and_not_clipped(saved, name):
    # 65535 → 255, so 257 per step: 0x8000 = 32768 / 257 = 127.502 → 128; 300 / 257 = 1.17 → 1.
    values = np.array([[0, 300, 0x8000, 0xFFFF]], np.uint16)
    read = read_image(saved(Image.fromarray(values), name))
    np.testing.assert_array_equal(read[0, :, 0], [0, 1, 128, 255])
    np.testing.assert_array_equal(read[..., 0], read[..., 2])


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (np.array([[0.0, 1.0]], np.float32), "float32 pixels from 0.0 to 1.0"),
        (np.array([[0, 70000]], np.int32), "int32 pixels from 0 to 70000"),
        (np.array([[-1, 5]], np.int32), "int32 pixels from -1 to 5"),
    ],
)
def test_pixels_without_an_agreed_white_are_refused(saved, values, said):
    path = saved(Image.fromarray(values), "image.tif")
    with pytest.raises(UserError, match=rf"image\.tif: {said}.*8 or 16 bits"):
        read_image(path)


def test_palette(saved):
    image = Image.new("P", (2, 1))
    image.putpalette([1, 2, 3, 255, 0, 0])
    image.putpixel((1, 0), 1)
    np.testing.assert_array_equal(read_image(saved(image)), [[[1, 2, 3], RED]])


def test_transparent_palette_entry_is_white(saved):
    image = Image.new("P", (2, 1))
    image.putpalette([1, 2, 3, 255, 0, 0])
    image.putpixel((1, 0), 1)
    read = read_image(saved(image, transparency=0))
    np.testing.assert_array_equal(read, [[WHITE, RED]])


def test_transparent_colour_of_rgb_is_white(saved):
    pixels = np.array([[[1, 2, 3], RED]], np.uint8)
    read = read_image(saved(Image.fromarray(pixels), transparency=(1, 2, 3)))
    np.testing.assert_array_equal(read, [[WHITE, RED]])


def test_rgba_is_composited_on_white(saved):
    # Half: 255 · (1 − 128/255) = 127 of white shines through in green and blue.
    pixels = np.array([[[255, 0, 0, 255], [255, 0, 0, 128], [255, 0, 0, 0]]], np.uint8)
    read = read_image(saved(Image.fromarray(pixels)))
    np.testing.assert_array_equal(read, [[RED, [255, 127, 127], WHITE]])


def test_grey_with_alpha_is_composited_on_white(saved):
    image = Image.merge("LA", [Image.new("L", (1, 1), 0), Image.new("L", (1, 1), 51)])
    # 255 · (1 − 51/255) = 204.
    np.testing.assert_array_equal(read_image(saved(image)), [[[204] * 3]])


def test_cmyk(saved):
    # R = 255 − C − K and so on: (0, 255, 255, 0) is red; (0, 0, 0, 55) is grey 200.
    image = Image.new("CMYK", (2, 1), (0, 255, 255, 0))
    image.putpixel((1, 0), (0, 0, 0, 55))
    read = read_image(saved(image, "image.tif"))
    np.testing.assert_array_equal(read, [[RED, [200] * 3]])


def test_cmyk_jpeg(saved):
    path = saved(Image.new("CMYK", (16, 16), (0, 255, 255, 0)), "image.jpg", quality=100)
    assert np.abs(read_image(path).astype(int) - RED).max() <= 3


def test_one_bit(saved):
    image = Image.new("1", (2, 1), 0)
    image.putpixel((1, 0), 1)
    np.testing.assert_array_equal(read_image(saved(image)), [[[0] * 3, WHITE]])


def test_inspect_gives_size_and_fingerprint(saved):
    path = saved(Image.new("RGB", (5, 3)))
    expected = hashlib.sha256(path.read_bytes()).hexdigest()[:16]
    assert inspect_image(path) == (3, 5, expected, 1)


def tiff(path, extra_samples, bands=((10, 20, 30, 40), (1, 2, 3, 0))):
    """A TIFF of one line of pixels; extra_samples: what it says of the fourth band, None: nothing.

    Pillow writes alpha alone, so the tag is changed in the file.
    """
    Image.fromarray(np.array([bands], np.uint8)).save(path)
    data = bytearray(path.read_bytes())
    (directory,) = struct.unpack_from("<I", data, 4)
    (entries,) = struct.unpack_from("<H", data, directory)
    for entry in range(directory + 2, directory + 2 + 12 * entries, 12):
        if struct.unpack_from("<H", data, entry) == (338,):
            if extra_samples is None:
                struct.pack_into("<H", data, entry, 65000)  # a private tag
            else:
                struct.pack_into("<H", data, entry + 8, extra_samples)
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("extra_samples", [None, 0])
def test_a_fourth_band_that_the_file_does_not_call_alpha_is_none(tmp_path, extra_samples):
    path = tiff(tmp_path / "infrared.tif", extra_samples)
    np.testing.assert_array_equal(read_image(path), [[[10, 20, 30], [1, 2, 3]]])
    assert inspect_image(path).opacity == 1


@pytest.mark.parametrize("extra_samples", [None, 0, 1, 2])
def test_bands_are_taken_as_they_are_stored_whatever_the_file_calls_them(tmp_path, extra_samples):
    path = tiff(tmp_path / "infrared.tif", extra_samples)
    file = ImageFile(path, Reading(bands=(3, 0, 1)))
    np.testing.assert_array_equal(read_image(file), [[[40, 10, 20], [0, 1, 2]]])
    assert inspect_image(file)[2:] == (hashlib.sha256(path.read_bytes()).hexdigest()[:16], 1)


def test_bands_of_other_files(saved):
    rgba = saved(Image.new("RGBA", (1, 1), (1, 2, 3, 0)))
    assert read_image(ImageFile(rgba, Reading(bands=(2, 1, 3)))).tolist() == [[[3, 2, 0]]]
    palette = Image.new("P", (1, 1))
    palette.putpalette([7, 8, 9])
    file = ImageFile(saved(palette), Reading(bands=(2, 2, 0)))
    assert read_image(file).tolist() == [[[9, 9, 7]]]
    grey = saved(Image.fromarray(np.full((1, 1), 257 * 5, np.uint16)))
    assert read_image(ImageFile(grey, Reading(bands=(0, 0, 0)))).tolist() == [[[5, 5, 5]]]
    with pytest.raises(UserError) as raised:
        read_image(ImageFile(grey, Reading(bands=(0, 3, 1))))
    assert str(raised.value) == (
        f"{grey}: the bands that can be read are L, but `bands` asks for number 3 (from 0); "
        "correct it in the data set"
    )
    grey.write_bytes(b"II*\0")
    with pytest.raises(UserError, match=r"image\.png: (damaged|not an image)"):
        read_image(ImageFile(grey, Reading(bands=(0, 0, 0))))


def test_transparent_pixels_are_set_on_the_colour_that_is_asked_for_or_read_as_opaque(saved):
    # Of green 51/255 is left: 0.2 · 255 of the image's red, and 0.8 · 255 of the colour's green.
    path = saved(Image.fromarray(np.array([[[255, 0, 0, 51], [9, 8, 7, 255]]], np.uint8)))
    on_green = ImageFile(path, Reading(alpha="#00ff00"))
    assert read_image(on_green).tolist() == [[[51, 204, 0], [9, 8, 7]]]
    assert inspect_image(on_green).opacity == pytest.approx(0.6)
    opaque = ImageFile(path, Reading(alpha="ignore"))
    assert read_image(opaque).tolist() == [[[255, 0, 0], [9, 8, 7]]]
    assert inspect_image(opaque).opacity == 1
    palette = Image.new("P", (1, 1))
    palette.putpalette([7, 8, 9])
    path = saved(palette, transparency=0)
    assert read_image(ImageFile(path, Reading(alpha="ignore"))).tolist() == [[[7, 8, 9]]]
    assert inspect_image(path).opacity == 0


@pytest.mark.parametrize("read", [read_image, inspect_image, decode])
@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "empty file"),
        (b"hello, I am text", "not an image"),
        (None, "no such file"),
    ],
)
def test_what_is_no_image_is_refused(tmp_path, read, content, said):
    path = tmp_path / "bad one.jpg"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError, match=rf"{re.escape(str(path))}: {said}"):
        read(path)


@pytest.mark.parametrize(
    "name",
    ["image.png", "image.jpg", "image.tif", "image.bmp", "image.webp", "image.avif", "image.jp2"],
)
def test_truncated_files_are_refused(saved, name):
    noise = np.random.default_rng(0).integers(0, 256, (40, 40, 3), np.uint8)
    path = saved(Image.fromarray(noise), name)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    for read in (read_image, inspect_image):
        # Of an AVIF file that is not whole Pillow does not see what it is.
        said = "not an image" if name.endswith("avif") else "damaged or truncated image"
        with pytest.raises(UserError, match=rf"{name}: {said}"):
            read(path)


def png(*chunks):
    """A PNG of 4 × 3 pixels and two colours, with these chunks of (name, bytes) beside."""
    size = struct.pack(">IIBBBBB", 4, 3, 8, 3, 0, 0, 0)
    pixels = zlib.compress(b"\0\1\0\1\0" * 3)
    parts = [(b"IHDR", size), (b"PLTE", bytes(6)), *chunks, (b"IDAT", pixels), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in parts
    )


@pytest.mark.parametrize("read", [read_image, inspect_image, decode])
def test_opacities_of_more_colours_than_a_palette_has_are_damage(tmp_path, read):
    path = tmp_path / "palette.png"
    path.write_bytes(png((b"tRNS", bytes(256))))
    read(path)
    path.write_bytes(png((b"tRNS", bytes(257))))
    said = f"{path}: damaged or truncated image (opacities of 257 colours, 256 at most); replace it"
    with pytest.raises(UserError, match=f"^{re.escape(said)}"):
        read(path)


def test_a_folder_is_refused(tmp_path):
    with pytest.raises(
        UserError, match=rf"{tmp_path}: cannot be read \(a folder, where a file should be\)"
    ):
        read_image(tmp_path)


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize("limit", [10, 15])  # Pillow fails above twice the limit, warns below
def test_decompression_bombs_are_refused(saved, monkeypatch, limit):
    path = saved(Image.new("RGB", (5, 5)))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
    with pytest.raises(UserError, match=rf"image\.png: more than {limit} pixels; make it smaller"):
        read_image(path)


def test_a_damaged_exif_block_is_named(saved):
    path = saved(Image.new("RGB", (4, 4)), exif=b"Exif\0\0not a TIFF header")
    with pytest.raises(UserError, match=r"image\.png: its EXIF block is damaged"):
        read_image(path)


POSTSCRIPT = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 4 3\n%%EndComments\nshowpage\n%%EOF\n"


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.eps"])
def test_no_program_is_started_for_a_file(tmp_path, monkeypatch, name):
    path = tmp_path / name
    path.write_bytes(POSTSCRIPT)
    assert Image.open(path).format == "EPS"  # Pillow itself would start Ghostscript to load it
    monkeypatch.setattr("PIL.EpsImagePlugin.Ghostscript", lambda *_: pytest.fail("started"))
    said = (
        f"{path}: not an image of a format that is read (AVIF, BMP, GIF, JPEG, JPEG2000, PNG, PPM, "
        "TIFF, WEBP); replace it or take it off the list"
    )
    for read in (read_image, inspect_image, decode):
        with pytest.raises(UserError, match=f"^{re.escape(said)}$"):
            read(path)
    with pytest.raises(UserError, match=f"^{re.escape(said)}$"):
        read_mask(path, plain_table(1), (3, 4))


@pytest.mark.parametrize("name", ["a.avif", "a.bmp", "a.gif", "a.jp2", "a.jpg", "a.ppm", "a.webp"])
@pytest.mark.parametrize("called", [None, "b.png"])
def test_formats_are_told_by_content_whatever_the_name(saved, tmp_path, name, called):
    path = saved(Image.new("RGB", (16, 16), (200, 40, 40)), name)
    if called:
        path = path.rename(tmp_path / called)
    assert np.abs(read_image(path).astype(int) - [200, 40, 40]).max() <= 16  # GIF: 216 colours


def test_an_image_of_another_size_than_listed_is_refused(saved):
    path = saved(Image.new("RGB", (5, 3)))
    assert read_image(path, (3, 5)).shape == (3, 5, 3)
    said = (
        f"{path}: 5 × 3 pixels (upright), but 6 × 3 when it was listed; restore it, or delete the "
        "tables of its data set in results (train.csv, val.csv) and run again"
    )
    with pytest.raises(UserError, match=f"^{re.escape(said)}$"):
        read_image(path, (3, 6))
