"""Masks as PNG files, one an image, and none elsewhere."""

import json

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from tags2masks.data.index import (
    COLUMNS,
    images_sha,
    read_index,
    write_classes,
    write_index,
)
from tags2masks.errors import UserError
from tags2masks.instance_store import entry, instance
from tags2masks.store import write_shard
from workflow_scripts import export_masks


@pytest.fixture
def export(tmp_path, monkeypatch):
    """A function that exports a mask of every image into `png`, and gives that folder."""

    def run(*images):
        rows = [(image, f"{image}.jpg", "train", ("cat",), 2, 3, "ab", 0) for image in images]
        write_index(tmp_path / "train.csv", pd.DataFrame(rows, columns=list(COLUMNS)))
        rows = read_index(tmp_path / "train.csv")
        masks = [(image, np.full((2, 3), n, np.uint8), {}) for n, image in enumerate(images)]
        shard = tmp_path / "0.zarr.zip"
        write_shard(shard, {"id": "crf-01234567"}, images_sha(rows), masks)
        arguments = ["--id", "crf-01234567", "--output", tmp_path / "png"]
        arguments += ["--index", tmp_path / "train.csv", "--masks", shard]
        monkeypatch.setattr("sys.argv", ["export_masks", *map(str, arguments)])
        export_masks.main()
        return tmp_path / "png"

    return run


def test_every_image_has_its_mask_in_its_folder(export):
    folder = export("a", "pets/cat 1")
    assert np.asarray(Image.open(folder / "pets/cat 1.png")).tolist() == [[1, 1, 1], [1, 1, 1]]
    assert sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*.png")) == [
        "a.png",
        "pets/cat 1.png",
    ]


def test_masks_with_instances_are_exported_with_them(tmp_path, monkeypatch):
    rows = [("a", "a.jpg", "train", ("cat",), 2, 3, "ab", 0)]
    write_index(tmp_path / "train.csv", pd.DataFrame(rows, columns=list(COLUMNS)))
    rows = read_index(tmp_path / "train.csv")
    write_classes(tmp_path / "classes.txt", ["cat"])
    one, other = np.zeros((2, 2, 3), bool)
    one[0, 0], other[1, 2] = True, True
    _, codes, about = entry("a", [instance(1, mask) for mask in (one, other)], (2, 3))
    kept = ("a", (one | other).astype(np.uint8), about, {"instances": codes})
    write_shard(tmp_path / "0.zarr.zip", {"id": "irn-01234567"}, images_sha(rows), [kept])
    words = ["--id", "irn-01234567", "--index", tmp_path / "train.csv", "--masks"]
    words += [tmp_path / "0.zarr.zip", "--classes", tmp_path / "classes.txt"]
    monkeypatch.setattr("sys.argv", ["x", *map(str, words), "--output", str(tmp_path / "out")])
    export_masks.main()
    told = json.loads((tmp_path / "out/coco.json").read_text())
    assert [each["bbox"] for each in told["annotations"]] == [[0, 0, 1, 1], [2, 1, 1, 1]]
    assert (tmp_path / "out/a.instances.png").exists()


@pytest.mark.parametrize("image", ["../x", "a/../../x"])
def test_nothing_is_written_outside(export, tmp_path, image):
    with pytest.raises(UserError, match=rf"^'{image}\.png' leads out of .*; rename the image$"):
        export("a", image)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0.zarr.zip", "train.csv"]
