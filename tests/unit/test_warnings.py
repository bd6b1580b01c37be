"""What is odd about a data set: which warnings there are, and how they reach the run's end."""

import numpy as np
import pandas as pd
from PIL import Image

from tags2masks.config.folders import Folder
from tags2masks.data import folder
from tags2masks.data.warnings import alpha_warnings, read_warnings, tag_warnings, write_warnings
from tags2masks.metrics.agreement import agreement_warnings, unseen_warnings
from tags2masks.report.summary import WARNINGS
from tags2masks.workflow.warned import warnings


def test_a_class_in_every_image_and_classes_in_few(tmp_path, capsys):
    tags = [("cat", "dog")] * 3 + [("cat",)] * 4
    every, few = tag_warnings(tags, ["cat", "dog", "cow"])
    assert every == (
        "tagged in every training image: cat",
        "every training image (7) is tagged with cat: a classifier learns nothing from that; add "
        "images that do not show it",
    )
    assert few == (
        "few training images: dog (3), cow (0)",
        "fewer than 5 training images are tagged with dog (3), cow (0): that is too few to learn "
        "from; tag more images",
    )
    assert tag_warnings([("cat",)] * 5 + [()], ["cat"]) == []
    many = tag_warnings([()], list("abcdefg"))
    assert many[0].note.endswith("a (0), b (0), c (0), d (0), e (0), …")

    write_warnings(tmp_path / "warnings.csv", [every, few])
    assert capsys.readouterr().err.splitlines() == [
        f"warning: {every.warning}",
        f"warning: {few.warning}",
    ]
    assert read_warnings(tmp_path / "warnings.csv") == [every, few]
    write_warnings(tmp_path / "none.csv", [])
    assert read_warnings(tmp_path / "none.csv") == []


def test_transparent_images_are_told():
    index = pd.DataFrame({"image": list("abc"), "split": "val", "opacity": [0.1, 1, 0.3]})
    (found,) = alpha_warnings(index, Folder(images="", tags="", alpha="#00FF00"))
    assert found == (
        "2 of 3 val images partly transparent",
        "2 of 3 val images are partly transparent (opaque to 20 % on average) and set on #00ff00: "
        "a, c; write in the data set `alpha: ignore` to read them as opaque, or another colour, or "
        "`bands: [0, 1, 2]` if what is called alpha is none",
    )
    assert alpha_warnings(index[1:2], Folder(images="", tags="")) == []


def test_images_that_no_row_names_are_counted(tmp_path):
    photos = tmp_path / "photos"
    for name in ("a.jpg", "sub/b.PNG", "c d.jpg", "masks/a.png", "notes.txt"):
        (photos / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (1, 1)).save(photos / name, format="PNG")
    table = tmp_path / "tags.csv"
    table.write_text("image,tags,split\n./a.jpg,cat,val\n")
    spec = Folder(
        images=str(photos), tags=str(table), masks=str(photos / "masks"), classes=("cat",)
    )
    assert folder.list_warnings(spec) == [
        (
            "2 images without a row in the table of tags",
            f"2 images in {photos} are left out, as no row of {table} names them: c d.jpg, "
            "sub/b.PNG",
        )
    ]
    table.write_text("image,tags,split\na.jpg,cat,val\nsub/b.PNG,,val\n")
    assert folder.list_warnings(spec)[0].warning == (
        f"1 image in {photos} is left out, as no row of {table} names it: c d.jpg"
    )
    table.write_text("image,tags,split\na.jpg,cat,val\nsub/b.PNG,,val\nc d.jpg,,ood\n")
    assert folder.list_warnings(spec) == []


def test_tags_and_masks_that_differ():
    # Cat and dog are swapped in the masks; of ten images with a cow eight agree.
    together = np.array([[1, 9, 0], [8, 2, 0], [0, 0, 8]])
    shown, tagged = np.array([9, 10, 8]), np.array([10, 9, 10])
    (found,) = agreement_warnings(together, shown, tagged, ["cat", "dog", "cow"])
    assert found.note == "tags and masks differ: cat, dog"
    assert found.warning == (
        "tags and masks differ for cat (both in 1 of 18 images that have its tag or its region; "
        "its regions go with the tag dog), dog (both in 2 of 17 images that have its tag or its "
        "region; its regions go with the tag cat); check the tags, the order of the classes and "
        "what the masks' values stand for"
    )
    three_of_four, none = np.array([[3]]), np.array([0])
    assert agreement_warnings(three_of_four, np.array([3]), np.array([4]), ["cat"]) == []
    assert len(agreement_warnings(three_of_four, np.array([4]), np.array([4]), ["cat"])) == 1
    assert agreement_warnings(none[None], none, none, ["cat"]) == []  # told by the next


def test_classes_that_no_mask_shows():
    (found,) = unseen_warnings(np.array([2, 0, 0]), ["cat", "dog", "cow"], "val")
    assert found.note == "no val mask shows dog, cow"
    assert found.warning.startswith("no mask of a val image shows dog, cow: its IoU there is 0")
    assert unseen_warnings(np.array([1]), ["cat"], "val") == []


def test_the_last_lines_of_a_run_say_each_warning_once(tmp_path):
    path = tmp_path / "warnings.csv"
    rows = [("pets", "", "n", "Few cats."), ("old", "", "n", "Another config's.")]
    rows += [("pets", f"pets/vanilla/cam@{seed}", "n", "No dog.") for seed in range(3)]
    pd.DataFrame(rows, columns=list(WARNINGS)).to_csv(path, index=False)
    assert warnings(path, ["pets"]) == [
        "warning: pets: Few cats.",
        "warning: pets/vanilla/cam@0 and 2 more: No dog.",
    ]
    many = [("pets", "", "n", f"Warning {n}.") for n in range(23)]
    pd.DataFrame(many, columns=list(WARNINGS)).to_csv(path, index=False)
    lines = warnings(path, ["pets"])
    assert len(lines) == 21 and lines[-1] == f"… and 3 more: {path}"
    assert warnings(tmp_path / "gone.csv", ["pets"]) == []
