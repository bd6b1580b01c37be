"""Gradients of single proposals: their high pixels by hand, their pictures, and who may ask."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from tags2masks.analyses.proposals import COLUMNS, Seen, look, rows_of_object
from tags2masks.config.base import ConfigError
from tags2masks.config.object_maps import BoxGrad
from tags2masks.data.index import images_sha
from tags2masks.machine import prepare
from tags2masks.maps.box_gradients import Asked, pixel_gradients
from tags2masks.maps.positives import find_positives
from tags2masks.report.lineage import ShownArtifact
from tags2masks.report.proposal_pictures import proposal_pictures
from tags2masks.store import write_shard
from tags2masks.workflow.plan import Plan
from tests.unit.read_page import decoded
from tests.unit.test_bbam import MACHINE, OBJECTS, network

__all__ = ["network"]
SPEC = BoxGrad(proposals=60, positives=20, overlaps=(0.7, 0.5))


def test_high_pixels_inside_by_hand():
    gradients = torch.zeros(2, 3, 5)
    gradients[0, 0, 0] = gradients[0, 1, 2] = gradients[0, 2, 4] = 1
    gradients[0, 0, 1] = 0.9  # not above 0.9
    gradients[1, 2, 2] = 0.95
    boxes = torch.tensor([[0, 0, 2.5, 2], [0.0, 0, 2.4, 3]])
    predicted = torch.tensor([[0, 0, 5, 2], [0.0, 0, 2.4, 3]])
    # Middles (0.5, 0.5) and (2.5, 1.5) are in the first, (4.5, 2.5) isn't; (2.5, 2.5) is right of
    # the second.
    assert rows_of_object(Seen(boxes, predicted, gradients), 0.9) == [(0, 0.5, 3, 2), (1, 1, 1, 0)]
    nothing = torch.zeros(0, 4)
    assert rows_of_object(Seen(nothing, nothing, torch.zeros(0, 3, 5)), 0.9) == []


def test_proposals_are_looked_at_one_by_one(network):
    prepare(MACHINE, 0)
    images = torch.rand(2, 3, 48, 64, generator=torch.Generator().manual_seed(0))
    wanted = OBJECTS[1]  # of the second image
    seen = look(network, images[wanted.image], wanted, SPEC, 3)
    own = images[wanted.image][None]
    alone = wanted._replace(image=0)
    (found,) = find_positives(network, network.normalize(own), [alone], SPEC)
    assert torch.equal(seen.boxes, found.boxes[:3])
    assert torch.equal(seen.predicted, found.predicted[:3])
    mean = pixel_gradients(network, own, Asked([alone], [found.boxes[:1]]))[0]
    torch.testing.assert_close(seen.gradients[0], mean / mean.max())
    assert seen.gradients.amax((1, 2)).tolist() == [1, 1, 1]
    assert not torch.equal(seen.gradients[0], seen.gradients[1])
    none = look(network, images[1], OBJECTS[3], SPEC, 3)
    assert none.gradients.shape == (0, 48, 64)


def test_pictures_show_both_boxes_and_say_the_means(tmp_path):
    rows = pd.DataFrame(
        {
            "image": ["a"],
            "path": ["a.png"],
            "split": "train",
            "shard": 0,
            "sha": "0",
            "height": 100,
            "width": 100,
        }
    )
    Image.fromarray(np.zeros((100, 100, 3), np.uint8)).save(tmp_path / "a.png")
    measured = [("train", "a", 0, "cat", 0, 0.5, 3, 2), ("train", "a", 0, "cat", 1, 0.7, 1, 1)]
    pd.DataFrame(measured, columns=list(COLUMNS)).to_csv(tmp_path / "proposals.csv", index=False)
    about = {"class": "cat", "boxes": [[0.2, 0.2, 0.6, 0.6]], "predicted": [[0.1, 0.1, 0.8, 0.8]]}
    write_shard(
        tmp_path / "proposals.zarr.zip",
        {"id": "boxgrad-1", "partial": True},
        images_sha(rows),
        [("a", np.zeros((1, 25, 25), np.float16), about)],
    )
    artifact = ShownArtifact("maps", "boxgrad-1", "rcnn/boxgrad", 0, [], tmp_path)
    dataset = SimpleNamespace(rows=rows, files={"a": tmp_path / "a.png"})
    shown = proposal_pictures(artifact, dataset)
    assert shown.about.endswith(
        "Of 2 proposals: 75.0 % of the pixels of high gradients are inside; "
        "their IoU with what is predicted is 60.0 % in the mean."
    )
    ((image, first),) = shown.images[0].rows
    assert (image.title, first.title) == ("image", "proposal 1")
    painted = decoded(first.picture, tmp_path).astype(int).sum(2)
    # A map of zeros leaves three quarters of the grey of the frames.
    assert painted[40, 20] == 3 * round(0.75 * 255) and painted[40, 60] == painted[40, 20]
    assert painted[40, 10] == painted[80, 40] == 3 * round(0.75 * 110)
    assert painted[40, 40] == 0


RAW = {
    "datasets": {"digits": {"kind": "digits"}},
    "detectors": {"rcnn": {"method": "fasterrcnn"}},
    "maps": {"boxgrad": {"method": "boxgrad"}, "bbam": {"method": "bbam"}},
    "experiments": ["digits / rcnn / {boxgrad,bbam}"],
}


def test_what_is_asked_for():
    plan = Plan(RAW | {"evaluation": {"proposals": {"maps": ["boxgrad"]}}})
    (maps,) = [a for a in plan.of_stage("maps") if a.method == "boxgrad"]
    assert plan.analyses() == [f"{maps.folder}/proposals.{end}" for end in ("csv", "zarr.zip")]
    with pytest.raises(ConfigError, match=r"maps: bbam is of method bbam; take maps of boxgrad"):
        Plan(RAW | {"evaluation": {"proposals": {"maps": ["bbam"]}}}).analyses()
