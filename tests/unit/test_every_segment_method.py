"""Every source of segments: odd sizes, files of every form, files that are wrong."""

import importlib.util
import json
import sys
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco_mask
from skimage.segmentation import felzenszwalb as of_skimage

from tags2masks.config.masks import Segments
from tags2masks.config.methods import METHODS
from tags2masks.config.segments import Felzenszwalb, GivenSegments, Sam2
from tags2masks.data.images import read_image
from tags2masks.data.index import images_sha, rows_of
from tags2masks.errors import UserError
from tags2masks.instance_store import read_instances
from tags2masks.machine import Machine
from tags2masks.segments import felzenszwalb, given, sam2
from tags2masks.segments.kept import Kept, resumed
from tags2masks.segments.sources import Work, entries
from tags2masks.store import Shard, write_shard
from tests.unit.tiny import CLASSES, MADE, SIZES, three_images

MACHINE = Machine(threads=1)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return three_images(tmp_path_factory.mktemp("data"), [(), CLASSES[:1], CLASSES], [0, 1])


def work(data, folder=None):
    return Work(rows_of(data.index, "train"), data.folder, MACHINE, folder)


def layers(*windows, size):
    """Segments of the rectangles (top, bottom, left, right), the ends outside."""
    found = np.zeros((len(windows), *size), bool)
    for layer, (top, bottom, left, right) in zip(found, windows, strict=True):
        layer[top:bottom, left:right] = True
    return found


# Of each image, which is 1 × 40, 37 × 53 and 64 × 64: two segments that do not overlap, and none.
TWO = [layers((0, 1, 2, 9), (0, 1, 20, 40), size=SIZES[0])]
TWO += [layers((3, 9, 0, 5), (10, 37, 50, 53), size=SIZES[1]), np.zeros((0, *SIZES[2]), bool)]


def as_png(file, segments):
    numbers = np.arange(1, len(segments) + 1).reshape(-1, 1, 1) * 7
    Image.fromarray((segments * numbers).sum(0).astype(np.uint8)).save(f"{file}.png")


def as_deep_png(file, segments):
    numbers = np.arange(1, len(segments) + 1).reshape(-1, 1, 1) * 300
    Image.fromarray((segments * numbers).sum(0).astype(np.uint16)).save(f"{file}.png")


def as_labels(file, segments):
    np.savez(f"{file}.npz", (segments * np.arange(1, len(segments) + 1).reshape(-1, 1, 1)).sum(0))


def as_layers(file, segments):
    np.savez_compressed(f"{file}.npz", masks=segments)


def codes(segments):
    found = [coco_mask.encode(np.asfortranarray(segment, np.uint8)) for segment in segments]
    return [{"segmentation": code | {"counts": code["counts"].decode()}} for code in found]


def as_list(file, segments):
    file.with_name(f"{file.name}.json").write_text(json.dumps(codes(segments)))


def as_annotations(file, segments):
    file.with_name(f"{file.name}.json").write_text(json.dumps({"annotations": codes(segments)}))


FORMS = [as_png, as_deep_png, as_labels, as_layers, as_list, as_annotations]


@pytest.mark.parametrize("write", FORMS, ids=lambda write: write.__name__)
def test_a_folder_of_every_form(data, tmp_path, write):
    for image, segments in zip(rows_of(data.index, "train")["image"], TWO, strict=True):
        write(tmp_path / image, segments)
    found = list(given.find(work(data, tmp_path), GivenSegments(folder="x")))
    for ours, segments in zip(found, TWO, strict=True):
        np.testing.assert_array_equal(ours, segments)


def test_segments_come_back_from_the_store(data, tmp_path):
    overlapping = layers((0, 1, 0, 9), (0, 1, 5, 5), (0, 1, 3, 40), size=SIZES[0])
    file, images = tmp_path / "0.zarr.zip", rows_of(data.index, "train")
    found = [overlapping, *TWO[1:]]
    write_shard(file, {"id": MADE}, images_sha(images), entries(work(data), found))
    with Shard(file, MADE, images_sha(images)) as shard:
        for image, segments in zip(images["image"], found, strict=True):
            read = read_instances(shard, image)
            kept = segments[segments.any((1, 2))]  # that of no pixel is not stored
            assert [each.class_id for each in read] == [0] * len(kept)
            for each, segment in zip(read, kept, strict=True):
                np.testing.assert_array_equal(each.mask, segment)


def test_superpixels_are_those_of_the_library(data):
    spec = Felzenszwalb(scale=20, min_size=9)
    found = list(felzenszwalb.find(work(data), spec))
    for file, segments in zip(work(data).files, found, strict=True):
        labels = of_skimage(read_image(file), scale=20, sigma=0.5, min_size=9)
        assert (segments.sum(0) == 1).all() and len(segments) == labels.max() + 1
        np.testing.assert_array_equal(segments.argmax(0), labels)


def wrong(data, folder):
    """What is said of a folder in which the first image's file is wrong."""
    for image, segments in list(zip(rows_of(data.index, "train")["image"], TWO, strict=True))[1:]:
        as_png(folder / image, segments)
    with pytest.raises(UserError) as told:
        list(given.find(work(data, folder), GivenSegments(folder="x")))
    assert len(str(told.value).splitlines()) == 1
    return str(told.value)


def test_a_missing_file_is_told(data, tmp_path):
    said = wrong(data, tmp_path)
    assert said.startswith(f"{tmp_path}/image 0: no such segments (.png, .npz, .json); 1 of 3 ")


def test_two_files_of_an_image_are_told(data, tmp_path):
    as_png(tmp_path / "image 0", TWO[0])
    as_layers(tmp_path / "image 0", TWO[0])
    assert "holds both image 0.png and image 0.npz; keep one of them" in wrong(data, tmp_path)


@pytest.mark.parametrize("write", FORMS, ids=lambda write: write.__name__)
def test_another_size_is_told(data, tmp_path, write):
    write(tmp_path / "image 0", layers((0, 1, 0, 1), size=(2, 40)))
    said = wrong(data, tmp_path)
    assert "image 0." in said and ("40 × 2 pixels" in said or "size [2, 40]" in said)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("png", b"no picture", "not readable as segments"),
        ("npz", b"no archive", "not readable as segments"),
        ("npz", b"PK\x03\x04 cut off", "not readable as segments"),
        ("json", b"{", "not readable as segments"),
        ("json", b'{"images": []}', "no list of objects"),
        ("json", b"[7]", "no list of objects"),
        ("json", b"[{}]", "segment 1: no polygon and no RLE"),
    ],
)
def test_damaged_files_are_told(data, tmp_path, name, content, said):
    (tmp_path / f"image 0.{name}").write_bytes(content)
    told = wrong(data, tmp_path)
    assert told.startswith(f"{tmp_path / 'image 0'}.{name}: ") and said in told


def test_files_of_another_kind_are_told(data, tmp_path):
    Image.new("RGB", (40, 1)).save(tmp_path / "image 0.png")
    assert "has mode RGB, but segments are grey" in wrong(data, tmp_path)
    (tmp_path / "image 0.png").unlink()
    np.savez(tmp_path / "image 0.npz", a=TWO[0], b=TWO[0])
    assert "holds 2 arrays; save one" in wrong(data, tmp_path)
    np.savez(tmp_path / "image 0.npz", TWO[0] * 0.5)
    assert "an array [2, 1, 40] of float64; save integers" in wrong(data, tmp_path)
    np.savez(tmp_path / "image 0.npz", np.array([None]))  # a pickle, which is not opened
    assert "not readable as segments" in wrong(data, tmp_path)


def test_without_the_library_sam_2_is_refused(data, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(UserError, match=r"need the library transformers .*'tags2masks\[sam\]'"):
        list(sam2.find(work(data, tmp_path), Sam2(folder="x")))


def test_a_killed_run_goes_on_where_it_was(data, tmp_path, capsys):
    asked = []

    def find(work, stop=None):
        for image in work.rows["image"]:
            if image == stop:
                raise KeyboardInterrupt
            asked.append(image)
            yield TWO[int(image[-1])]

    kept, here = Kept(tmp_path / "state" / "0", "as now"), work(data)
    with pytest.raises(KeyboardInterrupt):
        list(resumed(here, partial(find, stop="image 2"), kept))
    assert asked == ["image 0", "image 1"] and kept.file(1).exists()
    whole = list(resumed(here, find, kept))
    assert asked == ["image 0", "image 1", "image 2"]
    for one, other in zip(whole, entries(here, TWO), strict=True):
        assert (one[0], one[2]) == (other[0], other[2])
        np.testing.assert_array_equal(one[1], other[1])
    list(resumed(here, find, kept))  # all are kept
    assert len(asked) == 3
    list(resumed(here, find, replace(kept, fingerprint="of other code")))
    assert len(asked) == 6
    kept.file(1).write_bytes(b"damaged")
    list(resumed(here, find, replace(kept, fingerprint="of other code")))
    assert asked[6:] == ["image 1"] and "segments-000001.npz: not used" in capsys.readouterr().out
    kept.end()
    assert not (tmp_path / "state").exists()


@pytest.mark.skipif(
    importlib.util.find_spec("transformers") is None, reason="needs pip install .[sam]"
)
def test_sam_2_of_random_weights(data, tmp_path):
    from tests.unit.tiny_sam import save_tiny_sam2

    with pytest.raises(UserError, match="not read as a model of SAM 2"):
        list(sam2.find(work(data, tmp_path / "nothing"), Sam2(folder="x")))
    save_tiny_sam2(tmp_path)
    spec = Sam2(folder="x", points=3, min_iou=0, min_stability=0)
    found, again = (list(sam2.find(work(data, tmp_path), spec)) for _ in range(2))
    assert [segments.shape[1:] for segments in found] == SIZES
    assert all(segments.dtype == bool for segments in found) and any(map(len, found))
    for one, other in zip(found, again, strict=True):
        np.testing.assert_array_equal(one, other)


def test_the_blocks_of_the_config():
    assert set(METHODS["segments"]) == {"felzenszwalb", "given", "sam2"}
    assert Segments().segments == Felzenszwalb()
    assert Segments(segments={"scale": 9}).segments == Felzenszwalb(scale=9)
    block = Segments(segments={"method": "given", "folder": "a/b"}).segments
    assert block.key() == {"method": "given", "folder": "b", "label_free": False}
    assert block.learns_from == ("segments",) and block.folders() == {"folder": "a/b"}
    assert GivenSegments(folder="a", label_free=True).learns_from == ()
    with pytest.raises(ValueError, match="sam3"):
        Segments(segments={"method": "sam3"})
