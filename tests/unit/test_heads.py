"""What each head looks at: places in an object by hand, losses on a linear detector, charts."""

import numpy as np
import pandas as pd
import pytest
import torch

from tags2masks.analyses.heads import Kept, high_pixels, keep_head, loss_rows
from tags2masks.config.base import ConfigError
from tags2masks.config.object_maps import Bbam
from tags2masks.instance_store import instance
from tags2masks.maps import bbam
from tags2masks.metrics.head_places import (
    BINS,
    COLUMNS,
    box_iou,
    place_counts,
    place_rows,
    relative_positions,
    true_object,
)
from tags2masks.report.head_charts import head_charts
from tags2masks.report.lineage import ShownArtifact
from tags2masks.workflow.plan import Plan
from tests.unit.read_page import Page
from tests.unit.test_bbam import SIZE, Linear, V, W, whole

SQUARE = np.zeros((5, 7), bool)
SQUARE[1:4, 1:4] = True  # its centroid is the pixel (2, 2), all others are its contour


def test_relative_positions_by_hand():
    high = np.zeros_like(SQUARE)
    for row, column in ((2, 2), (2, 3), (2, 5), (0, 2), (3, 3)):
        high[row, column] = True
    found = {tuple(np.round(each, 6)) for each in relative_positions(SQUARE, high)}
    half = round(0.5**0.5, 6)
    # The centroid; two pixels of the contour; 3 from the centroid and 2 from the contour; 2 and 1.
    assert found == {(0, 0), (1, 0), (half, half), (0.6, 0), (0, round(-2 / 3, 6))}
    # At the image's border an object has a contour too.
    whole_image = np.ones((3, 3), bool)
    assert np.hypot(*relative_positions(whole_image, whole_image).T).tolist() == pytest.approx(
        [1, 1, 1, 1, 0, 1, 1, 1, 1]
    )


def test_places_are_counted_in_bins():
    high = np.zeros_like(SQUARE)
    high[2, 2] = high[2, 3] = high[0, 2] = True
    counts = place_counts(SQUARE, high)
    assert counts.shape == (BINS, BINS) and counts.sum() == 3
    # The middle; x = 1 is in the last bin; y = −2/3 is in bin ⌊(1/3) / 2 · 25⌋ = 4.
    assert [counts[12, 12], counts[12, 24], counts[4, 12]] == [1, 1, 1]
    assert [row[:3] for row in place_rows("box", counts)] == [
        ("box", 0, -0.64), ("box", 0, 0), ("box", 0.96, 0)
    ]  # fmt: skip
    assert not place_counts(SQUARE, np.zeros_like(SQUARE)).any()


def test_the_true_object_of_a_box():
    assert box_iou((0, 0, 1, 3), (1, 0, 2, 3)) == pytest.approx(4 / 12)
    assert box_iou((0, 0, 1, 1), (2, 0, 3, 1)) == 0
    small, large = np.zeros((8, 8), bool), np.zeros((8, 8), bool)
    small[0:2, 0:2] = large[0:4, 0:4] = True
    objects = [instance(1, small), instance(1, large), instance(2, small)]
    assert true_object((0, 0, 3, 2), 1, objects) is objects[1]  # 12 / 16
    assert true_object((0, 0, 1, 2), 1, objects) is objects[0]  # 4 / 6
    assert true_object((0, 0, 1, 2), 2, objects) is objects[2]
    assert true_object((0, 0, 1, 2), 3, objects) is None
    assert true_object((4, 4, 7, 7), 1, objects) is None
    assert true_object((0, 0, 3, 3), 1, [instance(1, large, crowd=True)]) is None
    assert true_object((0, 0, 3, 3), 1, []) is None


SPEC = Bbam(cell=1, smoothness=0, jitter=0, proposals=3, steps=4)


@pytest.mark.parametrize("head", ["box", "class"])
def test_losses_of_both_heads_before_each_step(head):
    network, images = Linear(W, V), torch.ones(1, 3, *SIZE)
    kept = keep_head(network, images, [whole()], SPEC, head)
    for step in range(SPEC.steps):
        spec = SPEC.model_copy(update={"heads": head, "steps": step})
        ((grid, _),) = bbam.localize(network, images, [whole()], spec)
        # Half of |Σ w·x·(m − 1)|, of four like offsets, and half of |Σ v·x·(m − 1)|.
        expected = [abs(((grid - 1) * torch.tensor(part)).sum().item()) / 2 for part in (W, V)]
        assert kept.losses[step].tolist() == pytest.approx(expected, abs=1e-6)
    ((grid, _),) = bbam.localize(
        network, images, [whole()], SPEC.model_copy(update={"heads": head})
    )
    assert torch.equal(kept.grids[0], grid) and kept.objects == 1
    # What the kept head does not need goes, and the other head loses by it.
    assert kept.losses[0].tolist() == [0, 0]
    other = {"box": 1, "class": 0}[head]
    assert kept.losses[-1, other] > kept.losses[-1, 1 - other]


def test_objects_without_a_proposal_do_not_count():
    network, images = Linear(W, torch.zeros(3, 4).tolist()), torch.ones(1, 3, *SIZE)
    kept = keep_head(network, images, [whole()], SPEC, "box")
    assert kept.grids == [None] and kept.objects == 0 and not kept.losses.any()
    assert list(loss_rows("box", [kept])) == []
    one = Kept([torch.ones(1, 1)], np.array([[0.0, 0], [0.5, 1]]), 1)
    three = Kept([torch.ones(1, 1)] * 3, np.array([[0.0, 0], [1.5, 2]]), 3)
    none = Kept([None], np.zeros((2, 2)), 0)
    assert list(loss_rows("box", [none, one, three])) == [
        ("box", 0, 0, 0, 4),
        ("box", 1, 0.5, 0.75, 4),
    ]


def test_high_pixels_are_of_the_mask_at_the_images_size():
    grid = torch.tensor([[0.0, 1]], dtype=torch.float16)  # 0, .25, .5, .75, 1 across
    assert high_pixels(grid, (2, 5), 0.7).tolist() == [[False, False, False, True, True]] * 2


def test_charts_say_how_much_is_near_the_contour_and_how_losses_end(tmp_path):
    places = pd.DataFrame(
        [("box", 0.96, 0, 3), ("box", 0, 0, 1), ("class", 0.4, 0.4, 4)], columns=list(COLUMNS)
    )
    places.to_csv(tmp_path / "head_places.csv", index=False)
    losses = pd.DataFrame(
        [
            (kept, step, box * step, class_ * step, 7)
            for kept, box, class_ in (("box", 0.1, 0.4), ("class", 0.3, 0.2))
            for step in (0, 1)
        ],
        columns=["kept", "step", "box_loss", "class_loss", "objects"],
    )
    losses.to_csv(tmp_path / "head_losses.csv", index=False)
    artifact = ShownArtifact("maps", "bbam-1", "fasterrcnn/bbam", 0, [], tmp_path)
    where, lost = head_charts("k", artifact)
    assert where["alt"].endswith("box head: 75.0 % of 4 pixels; class head: 0.0 % of 4 pixels")
    assert lost["alt"] == (
        "with the box head kept: loss of both: box head 0 to 0.1, class head 0 to 0.4; "
        "with the class head kept: loss of both: box head 0 to 0.3, class head 0 to 0.2"
    )
    assert [line.name for line in lost["legend"]] == ["box head", "class head"]
    for chart in (where, lost):
        Page(chart["svg"])
        assert "http" not in chart["svg"].replace("http://www.w3.org", "")


RAW = {
    "datasets": {"digits": {"kind": "digits"}},
    "classifiers": {"vanilla": {"method": "vanilla"}},
    "detectors": {"rcnn": {"method": "fasterrcnn"}},
    "maps": {"cam": {"method": "cam"}, "bbam": {"method": "bbam"}},
    "experiments": ["digits / vanilla / cam", "digits / rcnn / bbam"],
}


def test_what_is_asked_for():
    plan = Plan(RAW | {"evaluation": {"heads": {"maps": ["bbam"]}}})
    (maps,) = [a for a in plan.of_stage("maps") if a.method == "bbam"]
    assert plan.analyses() == [f"{maps.folder}/head_{of}.csv" for of in ("losses", "places")]
    with pytest.raises(ConfigError, match=r"heads\.maps: cam is of method cam; take maps of bbam"):
        Plan(RAW | {"evaluation": {"heads": {"maps": ["cam"]}}}).analyses()
