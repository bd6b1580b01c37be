"""Instances in shards: written and read back, and damaged."""

import numpy as np
import pytest
from pycocotools import mask as coco_mask

from tags2masks.errors import UserError
from tags2masks.instance_store import coded, entry, instance, read_instances
from tags2masks.store import Shard, write_shard

SIZE = (3, 5)


def pixels(*pairs):
    mask = np.zeros(SIZE, bool)
    for row, column in pairs:
        mask[row, column] = True
    return mask


def test_an_instance_by_hand():
    one = instance(2, pixels((0, 1), (2, 3)), 0.5)
    assert one.box == (1, 0, 3, 2) and one.class_id == 2 and one.score == 0.5 and not one.crowd
    assert (one.mask == pixels((0, 1), (2, 3))).all() and coco_mask.area(one.code) == 2
    # Runs of 0 and 1 down the columns: 3, 1, 7, 1, 3; the last two less those two before: 0, −4.
    assert one.code == {"size": [3, 5], "counts": b"3170L"}
    assert instance(1, pixels()).box == (0, 0, -1, -1)
    assert instance(1, pixels((0, 0)), box=(0, 0, 4, 2)).box == (0, 0, 4, 2)


def test_instances_are_read_as_they_were_written(tmp_path):
    some = [
        instance(1, pixels((0, 1), (2, 3)), 0.25),
        instance(200, pixels(), box=(1, 1, 2, 2)),
        instance(3, ~pixels((1, 1)), crowd=True),
        instance(4, pixels((0, 1)), possible=pixels((0, 1), (2, 4))),
        instance(5, pixels((1, 1)), possible=~pixels()),
    ]
    entries = [entry("a", some, SIZE), entry("none", [], SIZE)]
    codes, rows = coded(some)
    entries.append(("m", np.zeros(SIZE, np.uint8), {"size": [3, 5], "instances": rows}))
    entries[-1] += ({"instances": codes},)
    path = tmp_path / "0.zarr.zip"
    write_shard(path, {"id": "x"}, "sha", entries)
    with Shard(path, "x", "sha") as shard:
        for image in ("a", "m"):
            back = read_instances(shard, image)
            assert back == some
            assert all((b.mask == s.mask).all() for b, s in zip(back, some, strict=True))
        assert read_instances(shard, "none") == []
        with pytest.raises(UserError, match="holds nothing for image 'b'"):
            read_instances(shard, "b")
    again = tmp_path / "1.zarr.zip"
    write_shard(again, {"id": "x"}, "sha", entries)
    assert again.read_bytes() == path.read_bytes()


def test_a_possible_extent_beside_the_mask():
    one = instance(1, pixels((0, 1)), possible=pixels((0, 1), (1, 1)))
    assert (one.mask == pixels((0, 1))).all() and one.box == (1, 0, 1, 0)
    assert (one.possible == pixels((0, 1), (1, 1))).all()
    same = instance(1, pixels((0, 1)), possible=pixels((0, 1)))
    assert same == instance(1, pixels((0, 1))) and (same.possible == same.mask).all()
    codes, rows = coded([same, one])
    # Runs of 0 and 1 down the columns: 3, 1, 11 and 3, 2, 10.
    assert one.code["counts"] == same.code["counts"] == b"31;"
    assert one.possible_code["counts"] == b"32:"
    assert codes.tobytes() == b"31;31;32:"
    assert rows == [[1, 1.0, 1, 0, 1, 0, 3, False], [1, 1.0, 1, 0, 1, 0, 3, False, 3]]
    with pytest.raises(ValueError, match="a pixel of the mask is not among the possible ones"):
        instance(1, pixels((0, 1)), possible=pixels((0, 2)))


def test_codes_that_are_not_those_of_the_rows(tmp_path):
    name, codes, about = entry("a", [instance(1, pixels((0, 1)))], SIZE)
    path = tmp_path / "0.zarr.zip"
    write_shard(path, {"id": "x"}, "sha", [(name, codes[:-1], about)])
    said = rf"{path}: image 'a': its instances are damaged, or of an earlier version; delete it"
    with Shard(path, "x", "sha") as shard, pytest.raises(UserError, match=said):
        read_instances(shard, "a")


def test_a_mask_without_instances_has_none(tmp_path):
    path = tmp_path / "0.zarr.zip"
    write_shard(path, {"id": "x"}, "sha", [("a", np.zeros(SIZE, np.uint8), {"size": [3, 5]})])
    with Shard(path, "x", "sha") as shard, pytest.raises(UserError, match="no instances for image"):
        read_instances(shard, "a")
