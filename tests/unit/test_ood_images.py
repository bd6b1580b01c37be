"""The out-of-distribution images of W-OoD: which are used, what is erased, and their order."""

import numpy as np
import pandas as pd
import pytest
import torch

from tags2masks.classifiers import wood
from tags2masks.data.ood_images import OodImages
from tags2masks.data.views import TaggedViews
from tags2masks.errors import UserError
from tests.unit.tiny import CLASSES, three_images
from tests.unit.wood_task import first_of, spec, task_of

CANDIDATES = pd.DataFrame({"image": list("abcdefgh")})


@pytest.fixture
def data(tmp_path):
    return three_images(tmp_path, [("cat",), ("cat", "dog"), CLASSES], [0, 1])


def test_how_many_images_are_used_and_which():
    def used(names, **changes):
        return "".join(wood.chosen_rows(names, CANDIDATES, spec(**changes), 0)["image"])

    ranked = list("hgfedc")
    assert used(ranked) == "cdefgh"
    few = used(ranked, ood_images=5)
    assert len(few) == 5 and set(few) < set(ranked)
    assert few == used(ranked, ood_images=5)
    assert any(few != "".join(
        wood.chosen_rows(ranked, CANDIDATES, spec(ood_images=5), seed)["image"]
    ) for seed in range(1, 9))  # fmt: skip
    # As many of all candidates as are ranked, or as many as are asked for.
    drawn = {used(ranked, keep="random", ood_images=count) for count in (None, 6)}
    assert len(drawn) == 1 and len(drawn.pop()) == 6
    assert used(ranked, keep="random", ood_images=8) == "abcdefgh"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"ood_images": 7}, r"ood_images: 7, but there are 6 to use; lower it"),
        ({"clusters": 7}, r"clusters: 7 of 6 out-of-distribution images; lower clusters, or keep"),
        ({"ood_images": 3}, r"clusters: 5 of 3 out-of-distribution images"),
    ],
)
def test_too_few_images_are_told(changes, said):
    with pytest.raises(UserError, match=said):
        wood.chosen_rows(list("abcdef"), CANDIDATES, spec(**changes), 0)
    if "clusters" in changes:
        predicted = spec(clustering="predicted", **changes)
        assert len(wood.chosen_rows(list("abcdef"), CANDIDATES, predicted, 0)) == 6


def test_erased_pixels_have_the_mean_colour(data):
    images = OodImages(data.candidates, data.folder, (0.5, 0.25, 1.0))
    whole = images.read(1)
    left = np.full((37, 53), -1, np.float32)
    left[:, :20] = 0.5
    images.erase = [left] * 3
    erased = images.read(1)
    assert (erased[:, :20] == [128, 64, 255]).all()
    assert np.array_equal(erased[:, 20:], whole[:, 20:])


def test_what_is_erased_is_the_cam_of_the_class(data, tmp_path):
    task = task_of(data, tmp_path, keep="erased", erase_score=0.6)
    images = wood.views(task).ood
    first = first_of(task)
    erased, images.erase = images.erase, None
    for row, number in enumerate([0, 1, 2]):  # the classes of the ranked table
        view = images.whole(row, task.spec.augment)[None] / 255
        cam = first.score_maps(first.features(view))[0, number].relu()
        shown = cam / cam.max().clamp(min=1e-5) > 0.6
        assert np.array_equal(erased[row] > 0, shown.numpy())
    assert any((of_image > 0).any() for of_image in erased)


def test_other_images_come_in_passes_of_their_own(data, tmp_path):
    views, seen = wood.views(task_of(data, tmp_path)), []

    class Two:
        """Two images, whose rows are written down."""

        def __len__(self):
            return 2

        def view(self, row, augment, seeds):
            seen.append(row)
            return torch.zeros(1)

    views.ood = Two()
    for epoch in range(4):
        for position in range(3):
            views[(0, 5, epoch, position)]
    assert len(views) == 3 and len(seen) == 12
    assert all(sorted(seen[at : at + 2]) == [0, 1] for at in range(0, 12, 2))
    tagged = TaggedViews.__getitem__(views, (1, 5, 2, 1))
    assert torch.equal(views[(1, 5, 2, 1)][0], tagged[0])
