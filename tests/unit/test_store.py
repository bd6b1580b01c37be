"""Shards: what goes in comes out, the same bytes each time, and nothing damaged is believed."""

import json
import os
import zipfile

import numpy as np
import pytest
import zarr

from tags2masks.errors import UserError
from tags2masks.store import Shard, write_shard
from tags2masks.zarr_members import array_members, group_members

NAMES = ["2007_000063", "pets/cat 1", "été/Ωμέγα", "a.b..c", "100%"]
QUOTED = ["2007_000063", "pets%2Fcat 1", "%C3%A9t%C3%A9%2F%CE%A9%CE%BC%CE%AD%CE%B3%CE%B1"]
QUOTED += ["a.b..c", "100%25"]  # their names in the archive


def entries():
    """Arrays of several shapes, one without classes."""
    rng = np.random.default_rng(0)
    for number, name in enumerate(NAMES):
        array = rng.random((number, 3, 5)).astype(np.float16)
        yield name, array, {"classes": [str(n) for n in range(number)], "size": [12, 20]}


def written(path):
    assert write_shard(path, {"id": "cam-01234567"}, "abc", entries()) == len(NAMES)
    return path


def test_what_goes_in_comes_out(tmp_path):
    path = written(tmp_path / "0.zarr.zip")
    with Shard(path, "cam-01234567", "abc") as shard:
        assert shard.n == len(NAMES)
        for (name, array, attributes), found in zip(entries(), shard.read_all(NAMES), strict=True):
            assert (found[0], found[2]) == (name, attributes)
            assert found[1].dtype == np.float16
            np.testing.assert_array_equal(found[1], array)


def test_it_is_a_plain_zarr_group(tmp_path):
    with zarr.storage.ZipStore(written(tmp_path / "0.zarr.zip"), mode="r") as store:
        group = zarr.open_group(store, mode="r")
        attributes = dict(group.attrs)
        assert len(attributes.pop("directory")) == 16
        # Metadata and one chunk of each array; the one without classes has no chunk.
        assert attributes == {
            "id": "cam-01234567", "images_sha": "abc", "n": 5, "members": 9
        }  # fmt: skip
        for (_, array, attributes), name in zip(entries(), QUOTED, strict=True):
            assert dict(group[name].attrs) == attributes and group[name].dtype == np.float16
            np.testing.assert_array_equal(group[name][...], array)
            np.testing.assert_array_equal(zarr.open(store, path=name, mode="r")[...], array)


def test_further_arrays_stand_beside_and_do_not_count(tmp_path):
    steps = np.arange(12, dtype=np.float16).reshape(1, 3, 2, 2)
    names = ["c", "steps", "pets/cat 1"]  # names that are in paths of the store, too
    entries = [
        (name, np.full((1, 2, 2), number), {"classes": ["one"]}, {"steps": steps + number})
        for number, name in enumerate(names)
    ]
    path = tmp_path / "0.zarr.zip"
    assert write_shard(path, {"id": "rib-01234567"}, "abc", [*entries, ("bare", steps[0], {})]) == 4
    with zipfile.ZipFile(path) as archive:
        assert len(set(archive.namelist())) == len(archive.namelist())
        assert "steps/pets%2Fcat 1/zarr.json" in archive.namelist()
    with Shard(path, "rib-01234567", "abc") as shard:
        assert shard.n == 4
        for number, name in enumerate(names):
            array, attributes = shard.read(name)
            assert (array == number).all() and attributes == {"classes": ["one"]}
            np.testing.assert_array_equal(shard.read_further("steps", name), steps + number)
        with pytest.raises(UserError, match=r"0\.zarr\.zip: holds no steps for image 'bare'"):
            shard.read_further("steps", "bare")


def test_the_same_arrays_give_the_same_bytes(tmp_path, monkeypatch):
    first = written(tmp_path / "a.zip").read_bytes()
    monkeypatch.setattr("time.time", lambda: 2_000_000_000)
    assert written(tmp_path / "b.zip").read_bytes() == first


def test_a_type_that_cannot_be_stored_leaves_nothing(tmp_path):
    with pytest.raises(TypeError, match="an array of complex64 cannot be stored"):
        write_shard(tmp_path / "0.zarr.zip", {"id": "x"}, "y", [("a", np.zeros(2, "c8"), {})])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("artifact", "sha"), [("cam-00000000", "abc"), ("cam-01234567", "xyz")])
def test_a_shard_of_something_else_is_refused(tmp_path, artifact, sha):
    path = written(tmp_path / "0.zarr.zip")
    with pytest.raises(UserError, match=r"0\.zarr\.zip: its (id|images_sha) is .* expected"):
        Shard(path, artifact, sha)


@pytest.mark.parametrize("kept", [0, 10, 0.5, 0.99])
def test_a_truncated_shard_is_refused(tmp_path, kept):
    path = written(tmp_path / "0.zarr.zip")
    data = path.read_bytes()
    path.write_bytes(data[: int(kept * len(data)) if kept < 1 else kept])
    with pytest.raises(UserError, match=r"0\.zarr\.zip: not a whole shard .* run again"):
        Shard(path, "cam-01234567", "abc")


def test_a_shard_that_is_not_there_is_told_with_how_to_make_it(tmp_path):
    path = tmp_path / "0.zarr.zip"
    with pytest.raises(UserError) as error:
        Shard(path, "cam-01234567", "abc")
    said = f"{path}: is not there; make it again: snakemake --cores 2 {path}"
    assert str(error.value) == said


def test_flipped_bits_and_absent_images_are_told(tmp_path):
    path = written(tmp_path / "0.zarr.zip")
    with (
        Shard(path, "cam-01234567", "abc") as shard,
        pytest.raises(UserError, match=r"0\.zarr\.zip: holds nothing for image 'other'"),
    ):
        shard.read("other")
    with zipfile.ZipFile(path) as archive:
        member = archive.getinfo("100%25/c/0/0/0")
    data = bytearray(path.read_bytes())
    data[member.header_offset + 30 + len(member.filename) + 5] ^= 255
    path.write_bytes(data)
    with (
        Shard(path, "cam-01234567", "abc") as shard,
        pytest.raises(UserError, match=r"0\.zarr\.zip: damaged at image '100%'"),
    ):
        shard.read("100%")


def test_a_failing_writer_leaves_nothing_and_keeps_what_was(tmp_path):
    path = written(tmp_path / "0.zarr.zip")
    before = path.read_bytes()

    def failing():
        yield from entries()
        raise RuntimeError("on purpose")

    for target in (path, tmp_path / "1.zarr.zip"):
        with pytest.raises(RuntimeError, match="on purpose"):
            write_shard(target, {"id": "x"}, "y", failing())
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["0.zarr.zip"]


def test_a_read_only_place_is_told(tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise PermissionError(13, os.strerror(13))

    monkeypatch.setattr(zipfile, "ZipFile", refuse)
    with pytest.raises(UserError, match=r"0\.zarr\.zip: no permission to write"):
        write_shard(tmp_path / "0.zarr.zip", {"id": "x"}, "y", entries())


def rewritten(path, change):
    """The same archive with members changed: `change` gives a name and bytes, or None."""
    with zipfile.ZipFile(path) as archive:
        members = [(name, archive.read(name)) for name in archive.namelist()]
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in members:
            kept = change(name, data)
            if kept:
                archive.writestr(*kept)


CHUNK = "pets%2Fcat 1/c/0/0/0"


@pytest.mark.parametrize(
    "change",
    [
        lambda name, data: None if name == CHUNK else (name, data),
        lambda name, data: (name.replace(CHUNK, "pets%2Fcat 1/c/0/0/1"), data),
        lambda name, data: (
            name,
            data.replace(b"[\n    1,", b"[\n    0,") if "cat" in name else data,
        ),
        lambda name, data: (name, b"" if name == CHUNK else data),
        lambda name, data: None if "cat" in name else (name, data),
    ],
    ids=["lost chunk", "renamed chunk", "smaller shape", "empty chunk", "lost image"],
)
def test_a_shard_whose_members_changed_is_refused_by_name(tmp_path, change):
    path = written(tmp_path / "0.zarr.zip")
    before = path.read_bytes()
    rewritten(path, change)
    assert path.read_bytes() != before
    with pytest.raises(UserError, match=r"0\.zarr\.zip: damaged: .* delete it and run again"):
        Shard(path, "cam-01234567", "abc")


def test_no_flipped_bit_of_the_directory_changes_what_is_read(tmp_path):
    path = written(tmp_path / "0.zarr.zip")
    whole = path.read_bytes()
    with zipfile.ZipFile(path) as archive:
        start = archive.start_dir
    rng, refused = np.random.default_rng(0), 0
    for place in rng.choice(8 * (len(whole) - start), 250, replace=False):
        data = bytearray(whole)
        data[start + place // 8] ^= 1 << place % 8
        path.write_bytes(data)
        try:
            with Shard(path, "cam-01234567", "abc") as shard:
                for name, array, attributes in entries():
                    found = shard.read(name)
                    assert found[1] == attributes
                    np.testing.assert_array_equal(found[0], array)
        except UserError as error:
            assert str(error).startswith(str(path))
            refused += 1
    assert refused > 100


def test_arrays_of_zeros_have_their_chunks(tmp_path):
    """Zarr leaves out such chunks by default, and reads an absent one as zeros."""
    path = tmp_path / "0.zarr.zip"
    write_shard(path, {"id": "x"}, "y", [("a", np.zeros((2, 3), np.uint8), {})])
    with zipfile.ZipFile(path) as archive:
        assert "a/c/0/0" in archive.namelist()


def test_zarr_finds_a_valid_hierarchy(tmp_path, recwarn):
    path, mask = tmp_path / "0.zarr.zip", np.zeros((2, 3), np.uint8)
    further = {"instances": mask + 1, "steps": mask + 2}
    names = ["a", "instances", "steps", "été/x"]
    write_shard(path, {"id": "x"}, "y", [(name, mask, {}, further) for name in names])
    with zarr.storage.ZipStore(path, mode="r") as store:
        group = zarr.open(store, mode="r")
        assert len(dict(group.members(max_depth=None))) == 4 + 2 + 2 * 4
    assert [str(w.message) for w in recwarn if "Zarr" in type(w.message).__name__] == []
    with Shard(path, "x", "y") as shard:
        assert all(shard.holds(name) for name in names)
        assert (shard.read("instances")[0] == 0).all()
        assert (shard.read_further("instances", "steps") == 1).all()


def test_a_shard_without_a_checksum_is_read_as_before(tmp_path):
    path = written(tmp_path / "0.zarr.zip")

    def without(name, data):
        if name == "zarr.json":
            metadata = json.loads(data)
            del metadata["attributes"]["members"], metadata["attributes"]["directory"]
            data = json.dumps(metadata).encode()
        return name, data

    rewritten(path, without)
    with Shard(path, "cam-01234567", "abc") as shard:
        np.testing.assert_array_equal(shard.read(NAMES[1])[0], list(entries())[1][1])


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda name, data: None if name == CHUNK else (name, data), "There is no item named"),
        (
            lambda name, data: (name, data.replace(b"zstd", b"gzip") if "cat" in name else data),
            "its metadata is not that of a stored array",
        ),
    ],
    ids=["lost chunk", "another codec"],
)
def test_without_a_checksum_too_damaged_arrays_are_refused_by_name(tmp_path, change, said):
    path = tmp_path / "0.zarr.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for prefix, members in (
            ("pets%2Fcat 1/", array_members(list(entries())[1][1], {})),
            ("", group_members({"id": "x", "images_sha": "y", "n": 1})),
        ):
            for key, data in members.items():
                archive.writestr(prefix + key, data)
    with Shard(path, "x", "y") as shard:
        assert shard.read("pets/cat 1")[0].shape == (1, 3, 5)
    rewritten(path, change)
    with (
        Shard(path, "x", "y") as shard,
        pytest.raises(UserError, match=rf"0\.zarr\.zip: damaged at image 'pets/cat 1' .*{said}"),
    ):
        shard.read("pets/cat 1")
