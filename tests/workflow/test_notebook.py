"""What docs/python.md names is there, and docs/notebook.ipynb runs to its last cell."""

import os
import re
import subprocess
import sys
from importlib import import_module

import nbformat
import pytest

from tests.workflow.conftest import ROOT

NOTEBOOK = ROOT / "docs/notebook.ipynb"
PAGE = ROOT / "docs/python.md"
# What the cells must have given.
SHOWN = """
assert [*artifacts] == ["classifier", "maps", "masks", "segmenter", "predictions"]
assert chosen["stage"].tolist() == ["maps", "masks", "predictions"]
assert maps.shape[0] == len(about["classes"]) and list(mask.shape) == about["size"]
assert overlay(image, mask).size == (4 * mask.shape[1], 4 * mask.shape[0])
assert every.shape[0] == len(classes) and abs(anew - maps).max() < 0.002
assert (mask_again == mask).all()
assert shares.shape == (len(classes) + 1, *seen.shape[:2])
assert np.allclose(shares.sum(0), 1, atol=1e-5)
with Shard(Path(artifacts["predictions"].folder) / "0.zarr.zip",
           artifacts["predictions"].id, images_sha(val)) as shard:
    assert (shard.read(val["image"][0])[0] == predicted).mean() > 0.99
"""


@pytest.mark.slow
def test_the_cells_run_and_give_what_is_stored(copy):
    cells = nbformat.read(NOTEBOOK, as_version=4).cells
    code = [cell.source for cell in cells if cell.cell_type == "code"]
    assert len(code) >= 9 and not any(cell.get("outputs") for cell in cells)
    small = "\n\n".join(code).replace("/deeplabv3plus", "/net")
    (copy.folder / "docs").mkdir()
    environment = os.environ | {"PYTHONPATH": str(copy.folder)}
    done = subprocess.run(
        [sys.executable, "-c", small + SHOWN], cwd=copy.folder / "docs", env=environment,
        text=True, capture_output=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_name_of_the_page_is_there():
    names = re.findall(r"`(tags2masks(?:\.\w+)+)", PAGE.read_text(encoding="utf-8"))
    assert len(names) > 12
    for name in names:
        module, _, member = name.rpartition(".")
        assert callable(getattr(import_module(module), member)), name
