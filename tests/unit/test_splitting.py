"""The division into train and val: by tags, with the images of a parent together."""

from collections import Counter

import pytest

from tags2masks.errors import UserError
from tags2masks.importing.splitting import parents_of, stratified


def test_each_class_is_divided_by_the_share():
    tags = [("cat",)] * 10 + [("dog",)] * 20 + [()] * 10
    parents = list(map(str, range(40)))
    splits = stratified(tags, parents, 0.2, 0)
    counts = Counter(zip(tags, splits, strict=True))
    assert [counts[tags, "val"] for tags in ((("cat",)), ("dog",), ())] == [2, 4, 2]
    assert splits == stratified(tags, parents, 0.2, 0)
    assert splits != stratified(tags, parents, 0.2, 1)
    assert stratified(tags, parents, 0, 0) == ["train"] * 40


def test_a_class_of_one_parent_is_in_train():
    for seed in range(20):
        splits = stratified([("cat",)] * 9 + [("rare",)], list("abcdefghij"), 0.3, seed)
        assert splits[-1] == "train"


def test_the_images_of_a_parent_stay_together():
    parents = [f"slide{number // 5}" for number in range(50)]
    tags = [("cat",) if number % 2 else ("cat", "dog") for number in range(50)]
    splits = stratified(tags, parents, 0.3, 0)
    whole = {(parent, split) for parent, split in zip(parents, splits, strict=True)}
    assert len(whole) == 10
    assert sum(split == "val" for _, split in whole) == 3


def test_parents():
    paths = ["a/slide1_0_0.png", "a/slide1_0_1.png", "b.png"]
    assert parents_of(paths, None) == paths
    assert parents_of(paths, r"(slide\d+)_") == ["slide1", "slide1", "b.png"]
    assert parents_of(paths, r"slide\d+") == ["slide1", "slide1", "b.png"]
    with pytest.raises(UserError, match=r"matches no image, such as a/slide1_0_0\.png"):
        parents_of(paths, "x")
