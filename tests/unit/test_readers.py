"""From a recipe to a reader, and the two listing programs from end to end."""

import json
import re
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tags2masks.config.coco import Coco
from tags2masks.config.datasets import KINDS
from tags2masks.config.digits import Digits, Mnist
from tags2masks.config.folders import Folder, Tiled
from tags2masks.config.pools import OpenImages, Untagged
from tags2masks.config.voc import Voc
from tags2masks.data.boxes import read_boxes
from tags2masks.data.index import SPLITS, read_classes, read_index, write_index
from tags2masks.data.readers import dataset_block, reader_module
from tags2masks.data.truth import read_truth
from tags2masks.data.warnings import read_warnings
from tags2masks.errors import UserError
from workflow_scripts import list_boxes, list_images, list_truth

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    "block",
    [
        Coco(root="", classes=("cow",), val_annotations=None, train_list="some.txt"),
        Digits(classes=("two", "one"), digit_size=(9, 12)),
        Folder(images="", tags="", classes=("cat", "dog")),
        Mnist(root="", classes=("two", "one"), size=56),
        Tiled(images="", tags="", classes=("cat",), tiles={"size": 64, "overlap": 8}),
        OpenImages(images="", labels="", descriptions="", without=("Cat",)),
        Untagged(images="", alpha="ignore"),
        Voc(root="", classes=("cow",)),
    ],
)
def test_the_block_of_a_recipe(block):
    recipe = json.loads(json.dumps(block.key()))
    assert dataset_block(recipe) == block
    of_tagged = ("list_boxes", "list_masks", "mask_table") if block.tagged else ()
    for name in ("list_classes", "list_images", *of_tagged):
        assert callable(getattr(reader_module(block.kind), name))


def test_every_kind_is_whole():
    assert all(block.model_fields["kind"].default == kind for kind, block in KINDS.items())
    assert all(block.title and block.__doc__ for block in KINDS.values())


def test_the_block_and_the_reader_alone_know_a_kind():
    places = [ROOT / "Snakefile", *(ROOT / "rules").glob("*.smk")]
    places += [*(ROOT / "workflow_scripts").rglob("*.py"), *(ROOT / "tags2masks").rglob("*.py")]
    # Words of other uses: of many, what examples are of, and an analysis.
    names = KINDS.keys() - {"folder", "digits", "untagged"}
    known = re.compile(rf"""["']({"|".join(names)})["']""")
    speaking = {
        path.relative_to(ROOT).as_posix() for path in places if known.search(path.read_text())
    }
    # Formats of annotations that are read and written have the same names.
    formats = {"config/project", "export/formats", "export/masks", "importing/formats"}
    speaking -= {f"tags2masks/{name}.py" for name in formats}
    blocks = {"coco", "datasets", "digits", "folders", "pools", "voc"}
    assert speaking == {f"tags2masks/config/{name}.py" for name in blocks}


def test_places_are_given_beside_the_recipe():
    spec = dataset_block(Folder(images="a", tags="b").key(), {"tags": "tags.csv", "shards": 3})
    assert (spec.images, spec.tags, spec.shards) == ("", "tags.csv", 3)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"kind": "vic"}, r"recipe: dataset: .*'vic'.*take it from the config"),
        ({"kind": "digits", "trian": 3}, r"recipe: dataset\.digits\.trian: .*not permitted"),
        ({}, r"recipe: dataset: "),
    ],
)
def test_what_is_no_recipe_is_refused(values, said):
    with pytest.raises(UserError, match=said):
        dataset_block(values)


def call(monkeypatch, program, **options):
    words = []
    for name, value in options.items():
        words += [f"--{name}", *map(str, value if isinstance(value, list) else [value])]
    monkeypatch.setattr(sys, "argv", [program.__name__, *words])
    program.main()


def indexed(monkeypatch, out, recipe, root, splits=SPLITS, shards=1, **free):
    """Run the program that lists images for each split; give the rows of all as read back."""
    for split in splits:
        options = {"recipe": json.dumps(recipe), "free": json.dumps(free), "root": root}
        options |= {"split": split, "output": out / f"{split}.csv", "classes": out / "classes.txt"}
        options["warnings"] = out / f"{split}-warnings.csv"
        options |= {} if split == "train" else {"train": out / "train.csv"}
        call(monkeypatch, list_images, **options, shards=shards, threads=1)
    return read_index(*(out / f"{split}.csv" for split in splits))


def listed(monkeypatch, out, recipe, root, truth_root, **free):
    """Run both programs; give index, classes and truth as read back."""
    index = indexed(monkeypatch, out, recipe, root, **free)
    call(
        monkeypatch, list_truth, recipe=json.dumps(recipe), free=json.dumps(free), threads=1,
        root=truth_root, classes=out / "classes.txt", truth=out / "truth.csv",
        index=[out / "train.csv", out / "val.csv"],
    )  # fmt: skip
    return index, read_classes(out / "classes.txt"), read_truth(out / "truth.csv")


def boxes_listed(monkeypatch, out, recipe, root, split="train", **free):
    """Run the program that lists boxes, after those two; give the table as read back."""
    call(
        monkeypatch, list_boxes, recipe=json.dumps(recipe), free=json.dumps(free), root=root,
        index=out / f"{split}.csv", classes=out / "classes.txt", boxes=out / "boxes.csv",
    )  # fmt: skip
    return read_boxes(out / "boxes.csv")


def test_programs_on_digits(tmp_path, monkeypatch):
    spec = Digits(train=20, val=3, ood=1)
    recipe = {"seed": 4, "dataset": spec.key()}
    index, classes, truth = listed(monkeypatch, tmp_path, recipe, tmp_path, tmp_path)
    assert index["split"].value_counts().to_dict() == {"train": 20, "val": 3, "ood": 1}
    assert classes == list(spec.classes)
    assert len(truth) == 23
    for split in ("train", "val"):
        boxes = boxes_listed(monkeypatch, tmp_path, recipe, tmp_path, split)
        for row in index[index["split"] == split].itertuples():
            assert set(boxes.loc[boxes["image"] == row.image, "class"]) == set(row.tags)


@pytest.fixture
def photos(tmp_path):
    """A folder of two photos with masks, and its recipe."""
    (tmp_path / "photos").mkdir()
    (tmp_path / "masks").mkdir()
    (tmp_path / "tags.csv").write_text("image,tags,split\nb.jpg,dog;cat,val\n1.jpg,cat;dog,train\n")
    for name in ("1", "b"):
        Image.new("RGB", (4, 3)).save(tmp_path / "photos" / f"{name}.jpg")
        Image.fromarray(np.full((3, 4), 2, np.uint8)).save(tmp_path / "masks" / f"{name}.png")
    spec = Folder(images="", tags="", masks="", classes=("dog", "cat"))
    return tmp_path, {"seed": 0, "dataset": spec.key()}


def test_programs_on_a_folder(photos, monkeypatch):
    root, recipe = photos
    index, classes, truth = listed(
        monkeypatch, root, recipe, root / "photos", root / "masks", tags=str(root / "tags.csv")
    )
    assert index["image"].tolist() == ["1", "b"]
    assert index["path"].tolist() == ["1.jpg", "b.jpg"]
    assert classes == ["dog", "cat"]
    assert truth["mask"].tolist() == ["1.png", "b.png"]


def test_the_truth_of_a_seed_list(tmp_path, monkeypatch):
    for name in ("ImageSets/Segmentation", "Annotations", "JPEGImages", "SegmentationClass"):
        (tmp_path / name).mkdir(parents=True)
    lists = {"train": ["a", "b", "c"], "val": ["v"], "seeds": ["b"]}
    for name, images in lists.items():
        (tmp_path / f"ImageSets/Segmentation/{name}.txt").write_text("\n".join(images))
    for name in "abcv":
        text = "<annotation><object><name>cat</name></object></annotation>"
        (tmp_path / f"Annotations/{name}.xml").write_text(text)
        Image.new("RGB", (4, 3)).save(tmp_path / f"JPEGImages/{name}.jpg")
        Image.new("L", (4, 3), 8).save(tmp_path / f"SegmentationClass/{name}.png")
    spec = Voc(root=str(tmp_path), classes=("cat",), seed_list="seeds")
    recipe = {"seed": 0, "dataset": spec.truth_key()}
    index, _, truth = listed(monkeypatch, tmp_path, recipe, tmp_path, tmp_path)
    assert index["image"].tolist() == ["a", "b", "c", "v"]
    assert truth["image"].tolist() == ["b", "v"]


def test_boxes_of_a_folder(photos, monkeypatch, capsys):
    root, recipe = photos
    table = (root / "tags.csv").read_text() + "2.jpg,cat,train\n3.jpg,,train\n"
    (root / "tags.csv").write_text(table)
    for name in ("2", "3"):
        Image.new("RGB", (4, 3)).save(root / "photos" / f"{name}.jpg")
    free = {"tags": str(root / "tags.csv"), "boxes": str(root / "mine.csv")}
    listed(monkeypatch, root, recipe, root / "photos", root / "masks", **free)
    (root / "mine.csv").write_text("image,class,x1,y1,x2,y2\n1.jpg,cat,0,0,3,2\n")
    boxes = boxes_listed(monkeypatch, root, recipe, root / "photos", **free)
    assert boxes.to_numpy().tolist() == [["1", "cat", 0, 0, 3, 2, False]]
    noted = "note: 1 of 2 tagged train images have no box; the first: 2"
    assert noted in capsys.readouterr().err.splitlines()
    assert boxes_listed(monkeypatch, root, recipe, root / "photos", "val", **free).empty

    (root / "mine.csv").write_text("image,class,x1,y1,x2,y2\nb.jpg,cat,0,0,3,2\n")
    with pytest.raises(UserError, match="no tagged training image has a box; add boxes of some"):
        boxes_listed(monkeypatch, root, recipe, root / "photos", **free)


def test_a_wrong_mask_stops_the_listing(photos, monkeypatch):
    root, recipe = photos
    Image.fromarray(np.full((3, 4), 3, np.uint8)).save(root / "masks" / "b.png")
    with pytest.raises(UserError, match=r"masks/b\.png: holds id 3, not among 0-2, 255"):
        listed(
            monkeypatch, root, recipe, root / "photos", root / "masks", tags=str(root / "tags.csv")
        )
    assert not (root / "truth.csv").exists()


@pytest.mark.parametrize(("image", "split"), [("1", "train"), ("b", "val")])
def test_a_wrong_mask_stops_the_listing_of_its_split_which_training_waits_for(
    photos, monkeypatch, image, split
):
    root, recipe = photos
    Image.new("RGB", (4, 3), "red").save(root / "masks" / f"{image}.png")
    free = {"tags": str(root / "tags.csv"), "masks": str(root / "masks")}
    with pytest.raises(UserError, match=rf"masks/{image}\.png: RGB colours \(#ff0000\); expected"):
        indexed(monkeypatch, root, recipe, root / "photos", **free)
    assert not (root / f"{split}.csv").exists()


def test_without_any_mask_the_listing_of_val_stops(photos, monkeypatch):
    root, recipe = photos
    (root / "masks" / "1.png").unlink()
    free = {"tags": str(root / "tags.csv"), "masks": str(root / "masks")}
    indexed(monkeypatch, root, recipe, root / "photos", **free)
    (root / "masks" / "b.png").unlink()
    with pytest.raises(UserError, match=rf"none of 2 images has a mask; the first lacks {root}/ma"):
        indexed(monkeypatch, root, recipe, root / "photos", **free)


def test_masks_as_the_config_says_they_are_to_be_read(photos, monkeypatch):
    root, recipe = photos
    for name in ("1", "b"):
        Image.new("RGB", (4, 3), "red").save(root / "masks" / f"{name}.png")
    values = {"#000000": "background", "#ff0000": "cat", "0, 0, 255": "dog"}
    spec = Folder(images="", tags="", masks="", classes=("dog", "cat"), mask_values=values)
    recipe["dataset"] = json.loads(json.dumps(spec.truth_key()))
    free = {"tags": str(root / "tags.csv"), "masks": str(root / "masks")}
    _, _, truth = listed(monkeypatch, root, recipe, root / "photos", root / "masks", **free)
    assert truth["mask"].tolist() == ["1.png", "b.png"]
    assert dataset_block(recipe["dataset"]).mask_values == spec.mask_values


def test_a_damaged_photo_stops_the_listing(photos, monkeypatch):
    root, recipe = photos
    (root / "photos" / "b.jpg").write_bytes(b"")
    with pytest.raises(UserError, match=r"photos/b\.jpg: empty file"):
        listed(
            monkeypatch, root, recipe, root / "photos", root / "masks", tags=str(root / "tags.csv")
        )
    assert (root / "train.csv").exists() and not (root / "val.csv").exists()


def test_of_a_split_the_program_asks_what_it_needs(photos, monkeypatch):
    root, recipe = photos
    free = {"tags": str(root / "tags.csv")}
    index = indexed(monkeypatch, root, recipe, root / "photos", **free)
    assert index[["image", "split"]].to_numpy().tolist() == [["1", "train"], ["b", "val"]]
    assert len((root / "ood.csv").read_text().splitlines()) == 1

    with pytest.raises(UserError, match="shards: 2, but split val has 1 images"):
        indexed(monkeypatch, root, recipe, root / "photos", ["val"], shards=2, **free)
    write_index(root / "train.csv", read_index(root / "val.csv").assign(split="train"))
    with pytest.raises(UserError, match="image 'b' is listed twice; keep one"):
        indexed(monkeypatch, root, recipe, root / "photos", ["val"], **free)
    (root / "tags.csv").write_text("image,tags,split\n1.jpg,cat;dog,val\n")
    with pytest.raises(UserError, match="no training image; give images the split train"):
        indexed(monkeypatch, root, recipe, root / "photos", ["train"], **free)


def test_what_is_odd_about_a_split_is_written_beside_its_table(photos, monkeypatch):
    root, recipe = photos
    Image.new("RGBA", (4, 3), (9, 9, 9, 51)).save(root / "photos/1.png")
    (root / "tags.csv").write_text("image,tags,split\nb.jpg,dog;cat,val\n1.png,cat;dog,train\n")
    free = {"tags": str(root / "tags.csv"), "images": str(root / "photos")}
    indexed(monkeypatch, root, recipe, root / "photos", **free)
    assert [warned.note for warned in read_warnings(root / "train-warnings.csv")] == [
        "1 of 1 train images partly transparent",
        "tagged in every training image: dog, cat",
        "few training images: dog (1), cat (1)",
        "1 image without a row in the table of tags",
    ]
    assert read_warnings(root / "val-warnings.csv") == []


def test_a_split_that_experiments_need_has_images(photos, monkeypatch):
    root, recipe = photos
    (root / "tags.csv").write_text("image,tags,split\n1.jpg,cat;dog,train\n")
    free = {"tags": str(root / "tags.csv")}
    indexed(monkeypatch, root, recipe, root / "photos", **free)
    options = {"recipe": json.dumps(recipe), "free": json.dumps(free), "root": root / "photos"}
    words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
    words += ["--split", "val", "--train", str(root / "train.csv"), "--output", str(root / "v.csv")]
    words += ["--classes", str(root / "classes.txt"), "--shards", "1", "--needed"]
    words += ["--warnings", str(root / "w.csv")]
    monkeypatch.setattr(sys, "argv", ["list_images", *words])
    with pytest.raises(
        UserError, match=r"split 'val' has no images, but .* set evaluate_on: train"
    ):
        list_images.main()
