"""The index: what it holds, how images fall into shards, and which listings it refuses."""

import hashlib
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from tags2masks.config.tag_training import TagAugment
from tags2masks.data import index
from tags2masks.data.images import ImageFile, Reading
from tags2masks.data.index import (
    COLUMNS,
    apart,
    assign_shards,
    build_index,
    files_of,
    images_sha,
    multi_hot,
    read_classes,
    read_index,
    rows_of,
    with_reading,
    write_classes,
    write_index,
)
from tags2masks.data.training_images import TrainingImages
from tags2masks.data.views import PlainViews, WholeImages
from tags2masks.errors import UserError
from tags2masks.export.predicting import find_images


def listing(*rows):
    """Rows of (image, split, tags) with tags as in the file: "cat;dog"."""
    return pd.DataFrame(
        [(i, f"{i}.png", split, tuple(tags.split(";")) if tags else ()) for i, split, tags in rows],
        columns=["image", "path", "split", "tags"],
    )


def build(root, listed, classes=("cat", "dog"), shards=1, threads=2):
    """The index of a listing, after making its images: 3 high, 4 wide, of different colours."""
    for number, path in enumerate(dict.fromkeys(listed["path"])):
        Image.new("RGB", (4, 3), (number % 256, number // 256, 0)).save(root / path)
    return build_index(listed, root, classes, shards, threads)


SMALL = listing(("b", "train", "cat"), ("a", "train", "dog;cat"), ("v", "val", "dog"))


def test_build_index_adds_size_fingerprint_and_shard_and_sorts(tmp_path):
    built = build(tmp_path, SMALL)
    columns = ["image", "path", "split", "tags", "height", "width", "sha", "shard"]
    assert list(built) == [*columns, "opacity"] and built["opacity"].tolist() == [1, 1, 1]
    assert built["image"].tolist() == ["a", "b", "v"]
    assert built["tags"].tolist() == [("dog", "cat"), ("cat",), ("dog",)]
    assert built["height"].tolist() == [3, 3, 3]
    assert built["width"].tolist() == [4, 4, 4]
    assert built["shard"].tolist() == [0, 0, 0]
    bytes_of_b = (tmp_path / "b.png").read_bytes()
    assert built["sha"][1] == hashlib.sha256(bytes_of_b).hexdigest()[:16]


def test_written_and_read_back_alike(tmp_path):
    odd = listing(
        ("007", "train", "cat;big dog"),
        ("1e5", "train", ""),
        ("NA", "val", "Käse"),
        ('a, "b" c', "ood", ""),
    )
    made = odd.assign(height=[1, 2, 3, 4], width=5, sha=["0012", "1e3", "nan", "f"], shard=0)
    write_index(tmp_path / "index.csv", made)
    back = read_index(tmp_path / "index.csv")
    assert back.to_dict("list") == made.to_dict("list")
    assert all(type(value) is str for value in back["image"].tolist())


def test_how_images_are_read_goes_with_their_rows(tmp_path):
    pixels = np.full((8, 8, 4), (255, 0, 0, 51), np.uint8)
    listed = listing(("a", "train", "cat"), ("b", "train", "cat"))
    for name in "ab":
        Image.fromarray(pixels).save(tmp_path / f"{name}.png")
    usual = build_index(listed, tmp_path, ["cat"], 1, 1)
    assert usual["opacity"].tolist() == pytest.approx([0.2, 0.2])
    options = {"bands": [3, 0, 1]}
    built = build_index(with_reading(listed, options), tmp_path, ["cat"], 1, 1)
    assert built["opacity"].tolist() == [1, 1]
    write_index(tmp_path / "train.csv", built)
    assert (tmp_path / "train.csv").read_text().splitlines()[0].endswith(",sha,shard,reading,crc")
    write_index(tmp_path / "val.csv", built[:0])
    write_index(tmp_path / "ood.csv", usual[:0])
    rows = read_index(*(tmp_path / f"{split}.csv" for split in ("train", "val", "ood")))
    reading = Reading(bands=(3, 0, 1))
    assert files_of(rows, tmp_path) == [
        ImageFile(tmp_path / "a.png", reading),
        ImageFile(tmp_path / "b.png", reading),
    ]
    assert files_of(usual, "") == [ImageFile(Path("a.png")), ImageFile(Path("b.png"))]
    # Everything that reads images reads them so.
    expected = [51, 255, 0]
    augment = TagAugment(resize=(8, 8), crop=8)
    views = [
        PlainViews(rows, tmp_path, np.ones((2, 1), np.float32), augment, (0, 0, 0))[0][0],
        WholeImages(rows, tmp_path, 2)[0][1][1],
        torch.from_numpy(TrainingImages(rows, tmp_path, ["cat"]).image(1)).permute(2, 0, 1),
    ]
    assert [view[:, 3, 4].tolist() for view in views] == [expected] * 3
    readable, _ = find_images(tmp_path, options)
    assert readable[["height", "width"]].to_numpy().tolist() == [[8, 8]] * 2
    (found,) = files_of(readable[:1], tmp_path)
    assert found == ImageFile(tmp_path / "a.png", reading)


def test_several_files_are_one_index_unless_they_share_an_image(tmp_path):
    made = SMALL.assign(height=3, width=4, sha="00ff", shard=0)
    write_index(tmp_path / "all.csv", made)
    files = {split: tmp_path / f"{split}.csv" for split in ("train", "val")}
    for split, path in files.items():
        write_index(path, rows_of(made, split))
    pd.testing.assert_frame_equal(read_index(*files.values()), read_index(tmp_path / "all.csv"))
    with pytest.raises(UserError, match=r"all.csv, .*val.csv: image 'v' is in more than one; give"):
        read_index(tmp_path / "all.csv", files["val"])


def test_ids_and_fingerprints_that_look_like_numbers_stay_text(tmp_path):
    made = listing(("007", "train", "1"), ("1e5", "val", "02")).assign(
        height=3, width=4, sha=["0012", "1e3"], shard=0
    )
    write_index(tmp_path / "index.csv", made)
    back = read_index(tmp_path / "index.csv")
    assert back[["image", "sha", "tags"]].to_numpy().tolist() == [
        ["007", "0012", ("1",)],
        ["1e5", "1e3", ("02",)],
    ]


def test_file_format(tmp_path):
    made = SMALL.assign(height=3, width=4, sha="00ff", shard=0)
    write_index(tmp_path / "index.csv", made)
    assert (tmp_path / "index.csv").read_bytes() == (
        b"image,path,split,tags,height,width,sha,shard,crc\n"
        b"b,b.png,train,cat,3,4,00ff,0,bb7eaea2\n"
        b"a,a.png,train,dog;cat,3,4,00ff,0,97c5ba33\n"
        b"v,v.png,val,dog,3,4,00ff,0,0a344c24\n"
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "no such file; run again"),
        ("", "no readable table"),
        ("image,path,split,tags,height\na,a,train,,3\n", "no column width, sha, shard"),
        ("image,path,split,tags,height,width,sha,shard\na,a,train,,3,4,0,0\n", "no column crc"),
        (
            "image,path,split,tags,height,width,sha,shard\na,a,train,,3,4,0,0\nb,b",
            "ends in the mid",
        ),
        (b"image\n\xff\xfe\n", "no readable table"),
    ],
)
def test_files_that_are_no_index_are_refused(tmp_path, text, said):
    path = tmp_path / "index.csv"
    if text is not None:
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(UserError, match=rf"{re.escape(str(path))}: {said}"):
        read_index(path)


def test_a_size_that_is_no_number_is_named(tmp_path):
    write_index(tmp_path / "t.csv", SMALL.assign(height="tall", width=4, sha="0", shard=0))
    with pytest.raises(
        UserError, match=r"t\.csv: column height: .*'tall'; delete it and run again"
    ):
        read_index(tmp_path / "t.csv")


def test_classes_are_those_of_the_tags(tmp_path):
    (tmp_path / "classes.txt").write_text("cat\ndof\n")
    said = (
        f"{tmp_path / 'classes.txt'}: no class 'dog', which images are tagged with; delete it and"
    )
    with pytest.raises(UserError, match=re.escape(said)):
        read_classes(tmp_path / "classes.txt", SMALL)
    (tmp_path / "classes.txt").write_text("cat\ndog\ncow\n")
    assert read_classes(tmp_path / "classes.txt", SMALL) == ["cat", "dog", "cow"]


def test_classes_keep_their_order(tmp_path):
    write_classes(tmp_path / "classes.txt", ["zebra", "big dog", "Käse"])
    assert (tmp_path / "classes.txt").read_bytes() == "zebra\nbig dog\nKäse\n".encode()
    assert read_classes(tmp_path / "classes.txt") == ["zebra", "big dog", "Käse"]


@pytest.mark.parametrize(
    ("content", "said"), [(None, "no such file"), (b"", "no class"), (b"\xff\n", "cannot be read")]
)
def test_files_without_classes_are_refused(tmp_path, content, said):
    path = tmp_path / "classes.txt"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError, match=rf"classes\.txt: {said}"):
        read_classes(path)


def test_multi_hot():
    labels = multi_hot([("dog",), (), ("cat", "dog")], ["cat", "cow", "dog"])
    assert labels.dtype == np.float32
    np.testing.assert_array_equal(labels, [[0, 0, 1], [0, 0, 0], [1, 0, 1]])


def test_multi_hot_names_an_unknown_tag():
    with pytest.raises(UserError, match="tag 'cta' is not among the classes cat, dog"):
        multi_hot([("cta",)], ["cat", "dog"])


def test_shards_are_contiguous_and_even_within_each_split():
    rows = [(f"t{n}", "train", "") for n in range(7)] + [(f"v{n}", "val", "") for n in range(3)]
    shuffled = listing(*rows, ("o0", "ood", "")).sample(frac=1, random_state=0)
    sharded = assign_shards(shuffled, 3)
    assert sharded["image"].tolist() == [name for name, *_ in rows] + ["o0"]
    # floor(position · 3 / 7), then floor(position · 3 / 3), then 0.
    assert sharded["shard"].tolist() == [0, 0, 0, 1, 1, 2, 2, 0, 1, 2, 0]


def test_rows_of_split_and_shard():
    rows = [(name, "train", "") for name in "abcd"] + [("v", "val", ""), ("w", "val", "")]
    sharded = assign_shards(listing(*rows), 2)
    assert rows_of(sharded, "train")["image"].tolist() == list("abcd")
    second = rows_of(sharded, "train", 1)
    assert second["image"].tolist() == ["c", "d"]
    assert second.index.tolist() == [0, 1]
    assert rows_of(sharded, "val", 0)["image"].tolist() == ["v"]
    assert rows_of(sharded, "ood").empty


def test_images_sha_is_over_image_and_content():
    rows = pd.DataFrame({"image": ["a", "b"], "sha": ["00", "11"]})
    assert images_sha(rows) == hashlib.sha256(b"a,00\nb,11\n").hexdigest()[:16]
    assert images_sha(rows.iloc[:0]) == hashlib.sha256(b"").hexdigest()[:16]


@pytest.mark.parametrize(
    ("listed", "options", "said"),
    [
        (
            listing(("a", "train", "cat;dog"), ("b", "train", ""), ("a", "val", "")),
            {},
            "image 'a' is listed twice",
        ),
        (
            listing(("a", "train", "cat"), ("v", "val", "dog")),
            {},
            "class 'dog' has no training image; tag some or remove it from classes",
        ),
        (SMALL, {"shards": 2}, "shards: 2, but split val has 1 images; set shards to 1 or fewer"),
        (SMALL.iloc[:2], {"shards": 3}, "shards: 3, but split train has 2 images"),
        (SMALL, {"classes": [f"c{n}" for n in range(254)]}, "254 classes, but masks hold 253"),
    ],
)
def test_listings_that_cannot_be_worked_with(tmp_path, listed, options, said):
    with pytest.raises(UserError, match=re.escape(said)):
        build(tmp_path, listed, **options)


def test_of_val_alone_no_class_is_missed_and_nothing_is_an_index_too(tmp_path):
    assert build(tmp_path, listing(("v", "val", "cat")))["shard"].tolist() == [0]
    empty = build(tmp_path, listing(), shards=4)
    assert tuple(empty.columns) == (*COLUMNS, "opacity") and empty.empty
    write_index(tmp_path / "ood.csv", empty)
    assert (tmp_path / "ood.csv").read_text() == ",".join([*COLUMNS, "crc"]) + "\n"
    assert read_index(tmp_path / "ood.csv").empty


def test_images_are_in_one_split_alone():
    pd.testing.assert_frame_equal(apart(SMALL, listing(("c", "train", ""))), SMALL)
    both = listing(("v", "train", ""), ("a", "train", ""))
    with pytest.raises(UserError, match=r"image 'a' is listed twice; keep one\nimage 'v' is"):
        apart(SMALL, both)


def test_images_of_one_id_and_two_folders_are_told_apart_by_their_paths():
    train = listing(("0", "train", ""), ("1", "train", "")).assign(
        path=["train/0.png", "all/1.png"]
    )
    val = listing(("0", "val", ""), ("2", "val", "")).assign(path=["val/0.png", "val/2.png"])
    found = apart(val, train)
    assert found["image"].tolist() == ["val/0", "2"]
    assert found["path"].tolist() == ["val/0.png", "val/2.png"]
    with pytest.raises(UserError, match=r"^image 'val/0' is listed twice; keep one$"):
        apart(val, train.assign(image=["0", "val/0"]))
    with pytest.raises(UserError, match=r"^image '0' is listed twice; keep one$"):
        apart(val, train.assign(path=["val/0.jpg", "train/1.png"]))  # in one folder


def test_few_ood_images_do_not_limit_the_shards(tmp_path):
    rows = [(name, "train", "cat;dog") for name in "abcd"] + [("o", "ood", "")]
    assert build(tmp_path, listing(*rows), shards=4)["shard"].tolist() == [0, 1, 2, 3, 0]


@pytest.mark.parametrize(("image", "path"), [("../a", "a.png"), ("a", "../a.png"), ("/a", "a.png")])
def test_whatever_the_reader_no_image_leads_out_of_its_folder(tmp_path, image, path):
    listed = listing(("b", "train", "cat;dog"), ("a", "train", "cat"))
    listed.loc[1, ["image", "path"]] = [image, path]
    said = f"image '{image}' ({path}) leads out of its folder; correct its name"
    with pytest.raises(UserError, match=f"^{re.escape(said)}$"):
        build_index(listed, tmp_path, ["cat", "dog"], 1, 1)


def test_all_damaged_images_are_named_at_once(tmp_path):
    build(tmp_path, SMALL)
    (tmp_path / "b.png").write_bytes(b"")
    (tmp_path / "v.png").write_bytes((tmp_path / "v.png").read_bytes()[:50])
    with pytest.raises(UserError) as raised:
        build_index(SMALL, tmp_path, ["cat", "dog"], 1, 2)
    first, second = str(raised.value).splitlines()
    assert first.startswith(f"{tmp_path / 'b.png'}: empty file")
    assert second.startswith(f"{tmp_path / 'v.png'}: damaged or truncated")


def test_at_most_twenty_problems_are_listed(tmp_path):
    listed = listing(*[(f"{n:02}", "train", "cat;dog") for n in range(23)])
    with pytest.raises(UserError) as raised:
        build_index(listed, tmp_path, ["cat", "dog"], 1, 2)
    lines = str(raised.value).splitlines()
    assert len(lines) == 21
    assert lines[-1] == "… and 3 more"


def test_untagged_training_images_are_noted(tmp_path, capsys):
    build(tmp_path, SMALL)
    assert "note:" not in capsys.readouterr().err
    more = listing(("c", "train", ""), ("d", "train", ""), ("w", "val", ""))
    build(tmp_path, pd.concat([SMALL, more], ignore_index=True))
    assert "note: 2 training images have no tag" in capsys.readouterr().err


@pytest.mark.parametrize(("count", "hinted"), [(20, False), (21, True)])
def test_shards_of_twice_the_right_size_get_a_hint(tmp_path, capsys, monkeypatch, count, hinted):
    assert index.IMAGES_PER_SHARD == 2500
    monkeypatch.setattr(index, "IMAGES_PER_SHARD", 5)
    build(tmp_path, listing(*[(f"{n:02}", "train", "cat;dog") for n in range(count)]), shards=2)
    said = "hint: 11 images in a shard make long jobs; set shards to 5"
    assert (said in capsys.readouterr().err) is hinted
