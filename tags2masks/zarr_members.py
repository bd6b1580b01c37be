"""Zarr v3 groups and arrays as the bytes of their members, without zarr-python.

zarr-python's array objects take several times as long as the arrays of an image. An array is one
chunk, compressed by Zstandard, and metadata: byte for byte the members that zarr-python writes for
it, by its default settings. Arrays that are stored in another way are not read.
"""

import json
from collections.abc import Callable, Sequence

import numpy as np
from numcodecs.zstd import Zstd

METADATA = "zarr.json"

# Types of numbers by their names, which NumPy and Zarr share.
DTYPES = {
    name: np.dtype(name).newbyteorder("<")
    for name in (
        *("bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"),
        *("float16", "float32", "float64"),
    )
}
LEVEL = 3
ZSTD = Zstd(LEVEL)

Read = Callable[[str], bytes]
"""The bytes of a member by its key; it raises an error of its own if there is none."""


def group_members(attributes: dict) -> dict[str, bytes]:
    """The only member of a group: metadata with these attributes, which JSON must hold."""
    return {METADATA: _encoded(_group_metadata(attributes))}


def array_members(array: np.ndarray, attributes: dict) -> dict[str, bytes]:
    """The members of an array by their keys: its chunk, unless its size is 0, and its metadata.

    Raises TypeError for what is neither a truth value, nor a whole or real number of 8 to 64 bits.
    """
    if array.dtype.name not in DTYPES:
        raise TypeError(f"an array of {array.dtype} cannot be stored")
    dtype = DTYPES[array.dtype.name]
    members = {METADATA: _encoded(_array_metadata(array.shape, dtype, attributes))}
    if array.size:
        members[_chunk(array.shape)] = ZSTD.encode(np.ascontiguousarray(array, dtype))
    return members


def read_group(read: Read) -> dict:
    """The attributes of a group. Raises ValueError if it is not as `group_members` gives it."""
    metadata = _decoded(read(METADATA))
    if metadata != _group_metadata(metadata["attributes"]):
        raise ValueError("its metadata is not that of a group")
    return metadata["attributes"]


def read_array(read: Read) -> tuple[np.ndarray, dict]:
    """An array, which can be written to, and its attributes.

    Raises ValueError, TypeError or KeyError if it is not as `array_members` gives it, and
    RuntimeError if its chunk cannot be decompressed.
    """
    metadata = _decoded(read(METADATA))
    shape, dtype, attributes = (
        tuple(metadata["shape"]),
        metadata["data_type"],
        metadata["attributes"],
    )
    if metadata != _array_metadata(shape, DTYPES[dtype], attributes):
        raise ValueError("its metadata is not that of a stored array")
    if 0 in shape:
        return np.zeros(shape, DTYPES[dtype]), attributes
    chunk = ZSTD.decode(read(_chunk(shape)))
    # Copied because an array over `bytes` is read-only.
    return np.frombuffer(chunk, DTYPES[dtype]).reshape(shape).copy(), attributes


def _encoded(metadata: dict) -> bytes:
    return json.dumps(metadata, indent=2).encode()


def _decoded(data: bytes) -> dict:
    metadata = json.loads(data)
    if not isinstance(metadata, dict) or not isinstance(metadata.get("attributes"), dict):
        raise ValueError("its metadata is not that of Zarr")
    return metadata


def _group_metadata(attributes: dict) -> dict:
    return {"attributes": attributes, "zarr_format": 3, "node_type": "group"}


def _array_metadata(shape: Sequence[int], dtype: np.dtype, attributes: dict) -> dict:
    """Its keys are in zarr-python's order."""
    chunk_shape = [max(1, side) for side in shape]
    endian = {"configuration": {"endian": "little"}} if dtype.itemsize > 1 else {}
    return {
        "shape": list(shape),
        "data_type": dtype.name,
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": chunk_shape}},
        "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
        "fill_value": dtype.type(0).item(),
        "codecs": [
            {"name": "bytes", **endian},
            {"name": "zstd", "configuration": {"level": LEVEL, "checksum": False}},
        ],
        "attributes": attributes,
        "zarr_format": 3,
        "node_type": "array",
        "storage_transformers": [],
    }


def _chunk(shape: Sequence[int]) -> str:
    """The key of the only chunk."""
    return "c" + "/0" * len(shape)
