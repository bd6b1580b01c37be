"""Masks as PNG files, one an image, and none elsewhere."""

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from tags2masks.data.index import COLUMNS, images_sha, read_index, write_index
from tags2masks.errors import UserError
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


@pytest.mark.parametrize("image", ["../x", "a/../../x"])
def test_nothing_is_written_outside(export, tmp_path, image):
    with pytest.raises(UserError, match=rf"^'{image}\.png' leads out of .*; rename the image$"):
        export("a", image)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0.zarr.zip", "train.csv"]
