"""Members of a Zarr hierarchy, byte for byte those of zarr-python, and nothing else is read."""

import json

import numpy as np
import pytest
import zarr
from zarr.codecs import GzipCodec, ZstdCodec
from zarr.storage import MemoryStore

from tags2masks.zarr_members import (
    DTYPES,
    METADATA,
    array_members,
    group_members,
    read_array,
    read_group,
)

ATTRIBUTES = {"classes": ["Kätzchen", "dog"], "size": [12, 20], "background": None, "score": 0.25}


def by_zarr(array, attributes=ATTRIBUTES, compressor=None, **options):
    """The members that zarr-python writes for an array."""
    members = {}
    stored = zarr.create_array(
        MemoryStore(members),
        shape=array.shape,
        dtype=array.dtype,
        chunks=tuple(max(1, side) for side in array.shape),
        compressors=compressor or ZstdCodec(level=3),
        attributes=attributes,
        config={"write_empty_chunks": True},
        **options,
    )
    if array.size:
        stored[...] = array
    return {key: value.to_bytes() for key, value in members.items()}


def an_array(dtype, shape=(2, 3, 50)):
    numbers = np.random.default_rng(0).integers(0, 100, shape)
    return (numbers / 7 if np.dtype(dtype).kind == "f" else numbers).astype(dtype)


ARRAYS = {
    **{name: an_array(name) for name in DTYPES},
    "big-endian": an_array(">f4"),
    "transposed": an_array("uint8").T,
    "every other": an_array("float16")[:, ::-2],
    "zeros": np.zeros((4, 5), np.uint8),
    "not finite": np.array([np.nan, np.inf, -0.0], np.float16),
    "no number": np.zeros((0, 3, 5), np.float16),
    "large": an_array("float32", (3, 300, 400)),
}


@pytest.mark.parametrize("array", ARRAYS.values(), ids=ARRAYS)
def test_members_are_those_of_zarr_python_and_are_read_back(array):
    members = array_members(array, ATTRIBUTES)
    assert members == by_zarr(array)
    found, attributes = read_array(members.__getitem__)
    np.testing.assert_array_equal(found, array)
    assert attributes == ATTRIBUTES
    assert found.dtype.name == array.dtype.name
    assert found.dtype.isnative and found.flags.writeable


def test_a_group_is_that_of_zarr_python():
    members = {}
    zarr.create_group(MemoryStore(members), attributes=ATTRIBUTES)
    assert group_members(ATTRIBUTES) == {METADATA: members[METADATA].to_bytes()}
    assert read_group(group_members(ATTRIBUTES).__getitem__) == ATTRIBUTES


@pytest.mark.parametrize("array", [np.array(["a"]), np.zeros(2, "c8"), np.array([None])])
def test_other_types_are_refused(array):
    with pytest.raises(TypeError, match=r"an array of .* cannot be stored"):
        array_members(array, {})


@pytest.mark.parametrize(
    "members",
    [
        by_zarr(ARRAYS["zeros"], compressor=GzipCodec()),
        by_zarr(ARRAYS["zeros"], compressor=ZstdCodec(level=5)),
        by_zarr(ARRAYS["zeros"], filters=zarr.codecs.TransposeCodec(order=(1, 0))),
        by_zarr(ARRAYS["zeros"], fill_value=7),
        group_members({}),
    ],
    ids=["gzip", "level 5", "transposed", "fill value", "a group"],
)
def test_arrays_stored_in_another_way_are_refused(members):
    with pytest.raises((ValueError, KeyError), match=r"its metadata is not|shape"):
        read_array(members.__getitem__)


def test_an_array_is_no_group():
    with pytest.raises(ValueError, match="its metadata is not that of a group"):
        read_group(array_members(ARRAYS["zeros"], {}).__getitem__)


@pytest.mark.parametrize("metadata", [b"[]", b'{"attributes": []}', b"{}", b"\xff", b"{"])
@pytest.mark.parametrize("read", [read_array, read_group])
def test_what_is_no_metadata_is_refused(read, metadata):
    with pytest.raises(ValueError):
        read({METADATA: metadata}.__getitem__)


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"shape": [4, 6], "chunk": [4, 6]}, ValueError),
        ({"shape": [4, 4], "chunk": [4, 4]}, ValueError),
        ({"shape": [20], "chunk": [20]}, KeyError),  # its chunk would be another
        ({"shape": [4, 5.5], "chunk": [4, 5.5]}, TypeError),
        ({"data_type": "uint16"}, ValueError),
        ({"data_type": "complex64"}, KeyError),
        ({"data_type": ["uint8"]}, TypeError),
        ({"node_type": "group"}, ValueError),
    ],
)
def test_no_other_numbers_are_read_with_changed_metadata(change, error):
    members = array_members(ARRAYS["zeros"], {})
    metadata = json.loads(members[METADATA])
    if "chunk" in change:
        metadata["chunk_grid"]["configuration"]["chunk_shape"] = change.pop("chunk")
    members[METADATA] = json.dumps(metadata | change).encode()
    with pytest.raises(error):
        read_array(members.__getitem__)


def test_a_chunk_that_is_no_frame_of_zstandard_is_refused():
    members = array_members(ARRAYS["zeros"], {}) | {"c/0/0": b"damaged"}
    with pytest.raises(RuntimeError, match="Zstd"):
        read_array(members.__getitem__)
