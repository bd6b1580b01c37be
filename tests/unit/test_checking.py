"""`tags2masks check`: what it says of a data set, and when it says that a run would stop."""

import struct
import sys
from contextlib import nullcontext

import numpy as np
import pandas as pd
import pytest
import yaml
from PIL import Image

from tags2masks.__main__ import main
from tags2masks.checking.dataset import check_dataset
from tags2masks.checking.findings import ERROR, NOTE, WARNING
from tags2masks.checking.images import size_findings, stored_findings, twin_findings
from tags2masks.checking.tags import contradictions, tag_findings
from tags2masks.checking.text import summary
from tags2masks.config.digits import Digits
from tags2masks.config.folders import Folder
from tags2masks.config.pools import Untagged
from tags2masks.data.images import Stored, read_stored
from tags2masks.palette import write_palette_png

SIZE = (96, 80)  # width, height


@pytest.fixture
def photos(tmp_path):
    """Twelve training images (five cats, five dogs, one of both, one bare) and ten of val, with
    masks that agree; gives the folder.
    """
    for folder in ("photos", "masks"):
        (tmp_path / folder).mkdir()
    tags = ["cat"] * 5 + ["dog"] * 5 + ["cat;dog", ""] + ["cat"] * 5 + ["dog"] * 5
    rows = ["image,tags,split"]
    for number, own in enumerate(tags):
        rng = np.random.default_rng(number)
        pixels = rng.integers(0, 255, (*SIZE[::-1], 3), np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"photos/{number:02}.png")
        mask = np.zeros(SIZE[::-1], np.uint8)
        mask[:40] = 1 if "cat" in own else 0
        mask[40:] = 2 if "dog" in own else 0
        write_palette_png(tmp_path / f"masks/{number:02}.png", mask)
        rows.append(f"{number:02}.png,{own},{'train' if number < 12 else 'val'}")
    (tmp_path / "tags.csv").write_text("\n".join(rows) + "\n")
    return tmp_path


def folder(photos, **options):
    return Folder(images=str(photos / "photos"), tags=str(photos / "tags.csv"), **options)


def checked(spec, **options):
    return check_dataset(spec, 0, None, **{"masks": True, "threads": 2} | options)


def with_masks(photos, **options):
    return folder(photos, masks=str(photos / "masks"), classes=("cat", "dog"), **options)


def test_a_data_set_in_order_is_summed_up(photos):
    seen = checked(with_masks(photos))
    note = "1 of 12 train images have no tag and count as showing none of the classes; tag those "
    assert seen.findings == [(NOTE, f"{note}that show one")]
    assert not seen.stops
    assert summary("pets", "folder of images", seen).splitlines() == [
        "pets: folder of images, 2 classes",
        "                train  masks  val  masks",
        "  images           12     12   10     10",
        "  cat               6      6    5      5",
        "  dog               6      6    5      5",
        "  (no tag)          1           0",
        "  sizes        96 × 80 pixels (width × height)",
        "  files        PNG RGB 22",
        "  masks are read for this check alone; no method has seen them",
        f"  note: {note}that show one",
    ]


def test_masks_may_be_left_unread(photos):
    (photos / "masks/00.png").write_bytes(b"no PNG")
    assert checked(with_masks(photos)).stops
    seen = checked(with_masks(photos), masks=False)
    assert not seen.stops and seen.masks is None
    assert "masks" not in summary("pets", "folder of images", seen)


def test_every_image_that_cannot_be_read_is_an_error_and_the_others_are_counted(photos):
    (photos / "photos/00.png").write_bytes(b"")
    (photos / "photos/03.png").write_bytes((photos / "photos/03.png").read_bytes()[:900])
    (photos / "photos/12.png").write_bytes(b"%!PS-Adobe")
    seen = checked(with_masks(photos))
    errors = [text for level, text in seen.findings if level == ERROR]
    assert [error.split(": ")[0].rpartition("/")[2] for error in errors] == [
        "00.png", "03.png", "12.png",
    ]  # fmt: skip
    assert "empty file" in errors[0] and "truncated" in errors[1] and "format" in errors[2]
    assert seen.unreadable == {"train": 2, "val": 1}
    assert "  unreadable        2" in summary("pets", "folder of images", seen)
    assert seen.masks == {"train": 10, "val": 9}
    few = "fewer than 5 val images are tagged with cat (4), so that one image decides these "
    assert (WARNING, f"{few}classes' figures; move more to val") in seen.findings


def test_wrong_masks_are_errors(photos):
    write_palette_png(photos / "masks/00.png", np.full(SIZE[::-1], 7, np.uint8))
    write_palette_png(photos / "masks/01.png", np.zeros((40, 40), np.uint8))
    (photos / "masks/12.png").unlink()
    seen = checked(with_masks(photos))
    errors = [text for level, text in seen.findings if level == ERROR]
    assert len(errors) == 2
    assert "01.png: 40 × 40 pixels, but its image has 96 × 80" in errors[0]
    assert "00.png: holds id 7, not among 0-2, 255" in errors[1]
    lacks = f"1 of 10 val images have no mask and are not measured; the first lacks {photos}"
    assert (NOTE, f"{lacks}/masks/12.png") in seen.findings
    assert seen.masks == {"train": 10, "val": 9}


def test_masks_in_another_order_of_classes_contradict_the_tags(photos):
    seen = checked(folder(photos, masks=str(photos / "masks"), classes=("dog", "cat")))
    assert not seen.stops
    texts = [text for level, text in seen.findings if level == WARNING]
    assert texts[0].startswith(
        "10 of 12 train images show in their mask a class that their tags lack: 00 (dog), 01 (dog)"
    )
    assert texts[1].startswith("10 of 12 train images have a tag that their mask lacks: 00 (cat)")
    assert "its regions go with the tag" in texts[-1]


def test_the_mistakes_of_a_table_are_errors_once(photos):
    table = photos / "tags.csv"
    table.write_text(table.read_text().replace("05.png,dog,train", "gone.png,dgo,trian"))
    seen = checked(with_masks(photos))
    errors = [text for level, text in seen.findings if level == ERROR]
    assert len(errors) == 3 and all(f"{table}, line 7: " in error for error in errors)
    table.write_text("image,tags\n")
    (finding,) = checked(with_masks(photos)).findings
    assert finding.level == ERROR and "no column split" in finding.text


def test_boxes_are_compared_with_tags(photos):
    boxes = photos / "boxes.csv"
    rows = [f"{number:02}.png,cat,0,0,9,9" for number in [*range(5), 10, *range(12, 17)]]
    rows += [f"{number:02}.png,dog,0,0,9,9" for number in [*range(5, 10), 11, *range(17, 22)]]
    boxes.write_text("\n".join(["image,class,x1,y1,x2,y2", *rows]) + "\n")
    texts = [text for _, text in checked(folder(photos, boxes=str(boxes))).findings]
    assert texts[-2:] == [
        "1 of 12 train images show in their boxes a class that their tags lack: 11 (dog); correct "
        "the tags or the boxes",
        "1 of 12 train images have a tag that their boxes lack: 10 (dog); correct the tags or the "
        "boxes",
    ]
    boxes.write_text(boxes.read_text().replace("00.png,cat,0,0,9,9", "00.png,cat,0,0,99,9"))
    seen = checked(folder(photos, boxes=str(boxes)))
    assert seen.stops and any("leaves the image" in text for _, text in seen.findings)


def test_a_split_that_experiments_need(photos):
    table = photos / "tags.csv"
    table.write_text(table.read_text().replace(",val", ",train"))
    assert not checked(folder(photos)).stops
    findings = check_dataset(folder(photos), 0, "val", masks=True, threads=1).findings
    assert [text for level, text in findings if level == ERROR] == [
        "split 'val' has no images, but experiments with a segmenter are tested on it; give some "
        "images this split, or set evaluate_on: train in the data set"
    ]


def test_a_word_for_no_class_is_told():
    (said,) = tag_findings(tagged([("None",)] * 5), ["None"])
    assert said.level == WARNING and said.text.startswith("'None' is a class like any other; ")


def test_equal_files_in_both_splits_or_with_other_tags():
    rows = [
        ("a", "train", ("cat",), "1"), ("b", "val", ("cat",), "1"), ("c", "train", ("cat",), "2"),
        ("d", "train", ("dog",), "2"), ("e", "train", ("cat",), "3"), ("f", "train", ("cat",), "3"),
    ]  # fmt: skip
    index = pd.DataFrame(rows, columns=["image", "split", "tags", "sha"])
    assert twin_findings(index) == [
        (
            WARNING,
            "1 image is in several splits under other names (equal bytes): a (train) = b (val); "
            "keep each in one, or figures of val are too good",
        ),
        (
            WARNING,
            "1 image is listed again with other tags (equal bytes): c (train) = d (train); correct "
            "the tags, keep one",
        ),
    ]
    assert twin_findings(index[4:]) == []


def tagged(train, val=()):
    rows = [("train", tags) for tags in train] + [("val", tags) for tags in val]
    return pd.DataFrame(rows, columns=["split", "tags"])


def test_tags_that_are_never_alone():
    alone = [("sea",), ("ship", "sea"), ("gull", "sea"), ("gull", "ship", "sea")]
    (never,) = tag_findings(tagged(alone), ["sea", "ship", "gull"])
    assert never == (
        WARNING,
        "no training image is tagged with one of these without the other: ship (always with sea), "
        "gull (always with sea); a classifier cannot tell which pixels are whose: add images that "
        "show it without the other",
    )
    either = [("ship", "sea"), ("ship", "gull"), ("sea",), ("gull",)]
    (never,) = tag_findings(tagged(either), ["sea", "ship", "gull"])
    assert never.text.startswith("no training image is tagged with ship alone")
    assert tag_findings(tagged([("sea",), ("sea", "ship"), ("ship",)]), ["sea", "ship"]) == []


def test_classes_that_val_lacks_or_hardly_has():
    train, val = [("cat",), ("dog",), ("cow",)], [("cat",)] * 5 + [("dog",)] * 4
    absent, few = tag_findings(tagged(train, val), ["cat", "dog", "cow"])
    assert absent.text.startswith("no val image is tagged with cow")
    assert few.text.startswith("fewer than 5 val images are tagged with dog (4)")
    (most,) = tag_findings(tagged([(), (), ("cat",)]), ["cat"])
    assert (most.level, most.text[:33]) == (WARNING, "2 of 3 train images have no tag a")


def test_contradictions_name_image_and_class():
    rows = pd.DataFrame({"image": ["a", "b"], "tags": [("cat",), ("dog",)]})
    assert contradictions([{"cat"}, {"dog"}], rows, "val", "mask") == []
    (more,) = contradictions([{"cat", "dog"}, {"dog"}], rows, "val", "mask")
    assert more.text == (
        "1 of 2 val images show in their mask a class that their tags lack: a (dog); correct the "
        "tags or the mask"
    )


def test_how_files_hold_their_images(tmp_path):
    image = Image.fromarray(np.zeros((4, 6, 3), np.uint8))
    exif = Image.Exif()
    exif[274] = 6
    image.save(tmp_path / "turned.jpg", exif=exif)
    image.convert("CMYK").save(tmp_path / "cmyk.jpg")
    Image.fromarray(np.zeros((4, 6), np.uint16)).save(tmp_path / "grey.png")
    image.save(tmp_path / "pages.tif", save_all=True, append_images=[image])
    names = ["turned.jpg", "cmyk.jpg", "grey.png", "pages.tif"]
    stored = [read_stored(tmp_path / name) for name in names]
    assert stored == [
        ("JPEG", "RGB", True, 1),
        ("JPEG", "CMYK", False, 1),
        ("PNG", "I;16", False, 1),
        ("TIFF", "RGB", False, 2),
    ]
    # The second page is cut off: the first is read, and that there are more is told.
    whole = (tmp_path / "pages.tif").read_bytes()
    (first,) = struct.unpack("<I", whole[4:8])
    (entries,) = struct.unpack("<H", whole[first : first + 2])
    at = first + 2 + 12 * entries
    (tmp_path / "cut.tif").write_bytes(whole[:at] + struct.pack("<I", 2**24) + whole[at + 4 :])
    assert read_stored(tmp_path / "cut.tif") == ("TIFF", "RGB", False, 2)
    rows = pd.DataFrame({"image": names, "stored": stored})
    findings = stored_findings(rows, "train", located=True)
    assert [(level, text.rpartition(": ")[2]) for level, text in findings] == [
        (NOTE, "turned.jpg"), (WARNING, "grey.png"), (WARNING, "cmyk.jpg"), (WARNING, "pages.tif"),
    ]  # fmt: skip
    assert "masks and boxes must be upright too" in findings[0].text
    phone = pd.DataFrame({"image": ["a"], "stored": [Stored("MPO", "RGB", False, 3)]})
    assert stored_findings(phone, "train", located=False) == []


def test_sizes_that_are_unusual():
    rows = pd.DataFrame({"image": list("abc"), "height": [63, 64, 2000], "width": [90, 64, 2001]})
    small, large = size_findings(rows, "train")
    assert small.text.startswith("1 of 3 train images have a side below 64 pixels")
    assert ": a; use an output stride of 8" in small.text
    assert large.text.startswith("1 of 3 train images have more than 4 megapixels")
    assert size_findings(rows[1:2], "train") == []


def test_drawn_scenes_and_images_without_tags(photos):
    spec = Digits(classes=("zero", "one"), train=12, val=6, ood=2, size=64)
    seen = checked(spec)
    assert seen.masks == {"train": 12, "val": 6} and not seen.stops
    assert seen.shown["train"].sum() == sum(map(len, seen.index["tags"][:12]))
    pool = checked(Untagged(images=str(photos / "photos")))
    assert (len(pool.index), pool.classes, pool.findings) == (22, [], [])


def config_of(photos):
    return {
        "datasets": {
            "pets": {
                "kind": "folder",
                "images": str(photos / "photos"),
                "tags": str(photos / "tags.csv"),
            }
        },
        "classifiers": {"vanilla": {"method": "vanilla"}},
        "maps": {"cam": {"method": "cam"}},
        "experiments": ["pets / vanilla / cam"],
    }


def test_the_command_ends_with_1_if_a_run_would_stop(photos, monkeypatch, capsys):
    file = photos / "pets.yaml"
    file.write_text(yaml.safe_dump(config_of(photos)))
    monkeypatch.setattr(sys, "argv", ["tags2masks", "check", str(file), "--threads", "1"])
    main()
    printed = capsys.readouterr().out.splitlines()
    assert printed[-1] == (
        f"{file}: no errors and no warnings; start with: snakemake --cores 2 --configfile {file}"
    )
    monkeypatch.chdir(photos)  # there is no Snakefile
    main()
    printed = capsys.readouterr().out
    assert printed.endswith(f"start with: tags2masks run {file} --cores 2\n")
    (photos / "photos/00.png").unlink()
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 1
    printed = capsys.readouterr().out.splitlines()
    assert printed[-1] == (
        f"{file}: 1 error and no warnings; the workflow would stop: correct the errors and check "
        "again"
    )
    file.write_text("datasets: {}\n")
    with pytest.raises(SystemExit, match=r"error: .*pets\.yaml: datasets: "):
        main()


def test_what_a_late_stage_would_stop_at_is_told_before(photos, monkeypatch, capsys):
    config = config_of(photos)
    net = {"method": "deeplabv2", "backbone": {"name": "resnett50", "output_stride": 16}}
    config |= {"masks": {"full": {"method": "full"}}, "segmenters": {"net": net}}
    config["datasets"]["pets"] |= {"labelled": 99, "masks": "masks", "classes": ["cat", "dog"]}
    file = photos / "pets.yaml"
    monkeypatch.setattr(sys, "argv", ["tags2masks", "check", str(file), "--no-masks"])
    for experiment, errors in (
        ("pets / vanilla / cam", []),
        (
            "pets / full / net",
            [
                "labelled: 99 images, but there are 12 of split train; lower it, or write all",
                "segmenter deeplabv2: backbone.name: timm has no 'resnett50'; did you mean ",
            ],
        ),
    ):
        file.write_text(yaml.safe_dump(config | {"experiments": [experiment]}))
        with pytest.raises(SystemExit) if errors else nullcontext():
            main()
        lines = capsys.readouterr().out.splitlines()
        said = [line.removeprefix("  error: ") for line in lines if line.startswith("  error")]
        assert len(said) == len(errors)
        assert all(map(str.startswith, said, errors))
