"""Maps from elsewhere: what a folder of arrays must hold, and what is stored of it."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from tags2masks.config.maps import GivenMaps
from tags2masks.errors import UserError
from tags2masks.maps.given import averaged, read_maps

ROWS = pd.DataFrame(
    {
        "image": ["a", "sub/b", "c"],
        "tags": [("cat", "dog"), ("dog",), ()],
        "height": [4, 3, 5],
        "width": [6, 5, 9],
    }
)
SPEC = GivenMaps(folder="maps", stride=2)
CAT = np.array([[0, 1, 0.5, 0.5, 0, 0]] * 2 + [[1, 1, 0, 0, 0.25, 0.75]] * 2)


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "sub").mkdir()
    np.savez(tmp_path / "a.npz", cat=CAT, dog=np.zeros((4, 6)), horse=np.ones((1, 1)))
    np.savez(tmp_path / "sub/b.npz", dog=np.array([[0.25]], np.float16))
    np.savez(tmp_path / "c.npz")
    return tmp_path


def stored(folder):
    return {image: (maps, about) for image, maps, about in read_maps(ROWS, folder, SPEC)}


def test_larger_maps_are_averaged_and_smaller_ones_stay(folder):
    maps, about = stored(folder)["a"]
    assert about == {"classes": ["cat", "dog"], "size": [4, 6]} and maps.dtype == np.float16
    np.testing.assert_array_equal(maps[0], [[0.5, 0.5, 0], [1, 0, 0.5]])
    np.testing.assert_array_equal(maps[1], np.zeros((2, 3)))
    maps, about = stored(folder)["sub/b"]
    np.testing.assert_array_equal(maps, [[[0.25]]])
    maps, about = stored(folder)["c"]
    assert maps.shape == (0, 3, 5) and about == {"classes": [], "size": [5, 9]}


@pytest.mark.parametrize("largest", [(3, 3), (2, 9), (5, 4), (7, 11), (30, 30)])
def test_a_cell_is_the_mean_of_the_pixels_in_it(largest):
    maps = np.random.default_rng(0).random((2, 7, 11)).astype(np.float32)
    found = averaged(maps, largest)
    height, width = found.shape[1:]
    assert (height, width) == (min(7, largest[0]), min(11, largest[1]))
    for row in range(height):
        for column in range(width):
            inside = maps[:, within(row, 7 / height, 7)][:, :, within(column, 11 / width, 11)]
            np.testing.assert_allclose(found[:, row, column], inside.mean((1, 2)), rtol=1e-5)


def within(cell, side, count):
    """The pixels of a row or column with their middles in a cell."""
    middles = np.arange(count) + 0.5
    return np.flatnonzero((middles > cell * side) & (middles <= (cell + 1) * side))


BAD = {
    "no array 'dog', a tag of the image": {"cat": CAT},
    "'dog' is an array [4, 6] of int64": {"cat": CAT, "dog": CAT.astype(int)},
    "'dog' is an array [1, 4, 6] of float64": {"cat": CAT, "dog": CAT[None]},
    "'dog' has values outside 0 to 1": {"cat": CAT, "dog": CAT * 1.5},
    "'cat' has values outside 0 to 1 or that are no numbers": {"cat": CAT * np.nan, "dog": CAT},
    "'dog' is [4, 3] and 'cat' [4, 6]": {"cat": CAT, "dog": CAT[:, :3]},
    "not readable as arrays (Object arrays cannot be loaded": {"cat": CAT, "dog": np.array([{}])},
}


@pytest.mark.parametrize("said", BAD)
def test_a_bad_file_is_named_in_one_line(folder, said):
    np.savez(folder / "a.npz", **BAD[said])
    with pytest.raises(UserError) as error:
        stored(folder)
    assert str(error.value).startswith(f"{folder / 'a.npz'}: {said}")
    assert len(str(error.value).splitlines()) == 1


def test_damage_and_missing_files_are_named(folder):
    content = (folder / "a.npz").read_bytes()
    (folder / "a.npz").write_bytes(content[: len(content) // 2])
    with pytest.raises(UserError, match=r"a\.npz: not readable as arrays"):
        stored(folder)
    (folder / "a.npz").unlink()
    (folder / "sub/b.npz").unlink()
    with pytest.raises(UserError, match=r"a\.npz: no such maps; 2 of 3 images have none"):
        stored(folder)


def test_supervision_is_what_the_maps_were_made_with():
    assert SPEC.learns_from == ("tags",)
    assert GivenMaps(folder="x", learned_from=["boxes"]).learns_from == ("boxes",)
    assert SPEC.key()["folder"] == GivenMaps(folder="/elsewhere/maps").key()["folder"]


def test_the_documented_program_turns_pickled_maps_into_archives(tmp_path, monkeypatch):
    page = Path(__file__).parents[2].joinpath("docs/methods.md").read_text(encoding="utf-8")
    (program,) = re.findall(r"^```python\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    monkeypatch.chdir(tmp_path)
    Path("cam").mkdir()
    maps = np.random.default_rng(0).random((2, 3, 5), np.float32)
    held = {"keys": torch.tensor([0, 2]), "cam": None, "high_res": maps}
    np.save("cam/2007_000032.npy", held)
    exec(program, {})
    rows = pd.DataFrame(
        {"image": ["2007_000032"], "tags": [("aeroplane", "bird")], "height": [3], "width": [5]}
    )
    ((_, found, about),) = read_maps(rows, Path("maps"), GivenMaps(folder="maps", stride=1))
    np.testing.assert_array_equal(found, maps.astype(np.float16))
    assert about["classes"] == ["aeroplane", "bird"]
