"""Refined maps: SEAM's scheme in plain loops, at any memory, and classifiers that have none."""

import pytest
import torch
import torch.nn.functional as F

from tags2masks.classifiers import sampling, seam
from tags2masks.config.base import ConfigError
from tags2masks.config.classifiers import Sampling, Seam
from tags2masks.config.maps import Pcm
from tags2masks.config.project import parse_config
from tags2masks.maps.batch import plain_batch
from tags2masks.maps.pcm import localize
from tags2masks.workflow.building import build_experiments
from tests.unit.learning import TINY


def plain(network, image, spec, refined):
    """One scale and one mirroring at a time, as the public code goes over an image."""
    size = [-(-side // spec.stride) for side in image.shape[-2:]]
    total = 0
    for scale in spec.scales:
        sides = [round(side * scale) for side in image.shape[-2:]]
        small = F.interpolate(image[None], sides, mode="bilinear", align_corners=False)
        for mirrored in (False, True):
            maps = refined(network, small.flip(-1) if mirrored else small).relu()
            maps = maps.flip(-1) if mirrored else maps
            total = total + F.interpolate(maps, size, mode="bilinear", align_corners=False)
    return (total / (total.amax((2, 3), keepdim=True) + 1e-5))[0]


def of_seam(network, images):
    """PCM on the maps over their maximum, beside the background."""
    return network.refine_all(images)[0][1][:, 1:]


def of_sampling(network, images):
    """The softmax of the logits after PCM."""
    (_, logits), *_ = network.judge_all(images)[0]
    return logits.softmax(1)[:, 1:]


@pytest.mark.parametrize(
    ("module", "block", "refined"), [(seam, Seam, of_seam), (sampling, Sampling, of_sampling)]
)
def test_maps_are_those_of_loops(module, block, refined, monkeypatch):
    torch.manual_seed(0)
    network = module.build(block(backbone=TINY), 3).eval()
    images, spec = torch.rand(2, 3, 45, 32), Pcm(scales=(1, 0.5), flip=True)
    with torch.no_grad():
        found = localize(network, plain_batch(images, 3), spec)
        for image, maps in zip(images, found, strict=True):
            torch.testing.assert_close(maps, plain(network, image, spec, refined))
        monkeypatch.setattr(seam, "PAIRS", 100)  # fewer than there are
        torch.testing.assert_close(localize(network, plain_batch(images, 3), spec), found)
    assert found.shape == (2, 3, 12, 8) and found.min() >= 0 and 0.9 < found.max() <= 1


@pytest.mark.parametrize(
    "classifier", [{"method": "vanilla"}, {"method": "sampling", "host": "plain"}]
)
def test_a_classifier_without_the_module_is_refused(classifier):
    config = {
        "datasets": {"d": {"kind": "digits"}},
        "classifiers": {"c": classifier, "s": {"method": "seam"}},
        "maps": {"m": {"method": "pcm"}},
        "experiments": ["d / s / m"],
    }
    (made,) = build_experiments(parse_config(config))
    assert made.artifacts["maps"].method == "pcm"
    with pytest.raises(ConfigError, match=r"maps\.m: pcm needs a classifier .* classifiers\.c"):
        build_experiments(parse_config(config | {"experiments": ["d / c / m"]}))


def test_states_that_are_not_kept_are_refused():
    config = {
        "datasets": {"d": {"kind": "digits"}},
        "classifiers": {"c": {"method": "vanilla"}},
        "evaluation": {"epoch_images": 5},
        "experiments": ["d / c"],
    }
    with pytest.raises(ConfigError, match=r"epoch_images: classifiers\.c .* keep_states: true"):
        build_experiments(parse_config(config))
    config["classifiers"]["c"]["keep_states"] = True
    assert len(build_experiments(parse_config(config))) == 1
