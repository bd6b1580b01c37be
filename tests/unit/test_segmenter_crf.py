"""The CRF at test, and whole tables of images segmented with it."""

import multiprocessing

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from torch import nn

from tags2masks.config import segmenters
from tags2masks.config.crf import Bilateral, Gaussian
from tags2masks.config.inference import NetworkCrf
from tags2masks.config.segmenters import DeepLabV1, DeepLabV2
from tags2masks.data.images import read_image
from tags2masks.errors import UserError
from tags2masks.machine import Machine
from tags2masks.masks.dense_crf import mean_field, refined
from tags2masks.segmenters.applying import segmented
from tags2masks.segmenters.inference import predict


def plain_mean_field(image, shares, spec):
    """Dense mean-field inference with every pair of pixels, from -log p, written out."""
    shape = shares.shape
    shares = shares.reshape(len(shares), -1).astype(float)
    places = np.stack(np.mgrid[: shape[1], : shape[2]], axis=-1).reshape(-1, 2)
    seen = np.hstack([places / spec.bilateral.sxy, image.reshape(-1, 3) / spec.bilateral.srgb])
    kernel = 0
    for features, compat in (
        (places / spec.gaussian.sxy, spec.gaussian.compat),
        (seen, spec.bilateral.compat),
    ):
        likeness = np.exp(-((features[:, None] - features[None]) ** 2).sum(axis=-1) / 2)
        norm = likeness.sum(axis=1) ** -0.5
        kernel = kernel + compat * norm[:, None] * likeness * norm
    belief = shares
    for _ in range(spec.iterations):
        logits = np.log(shares) + belief @ kernel
        belief = np.exp(logits - logits.max(axis=0))
        belief /= belief.sum(axis=0)
    return belief.reshape(shape)


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize(
    "spec",
    [
        NetworkCrf(iterations=1, bilateral={"compat": 0}),
        NetworkCrf(iterations=1, gaussian={"compat": 0}, bilateral={"sxy": 4, "srgb": 60}),
        NetworkCrf(),
    ],
    ids=["gaussian", "bilateral", "default"],
)
def test_the_crf_is_mean_field_on_the_probabilities(seed, spec):
    """As in test_crf.py, right to a sixth of what the field changes: the filters approximate."""
    rng = np.random.default_rng(seed)
    image = rng.integers(0, 60, (6, 7, 3)).astype(np.uint8)
    image[:, 4:] += 150
    shares = rng.random((3, 6, 7)).astype(np.float32) + 0.1
    shares[0, :, :4] += 1
    shares[1, :, 4:] += 1
    shares /= shares.sum(axis=0)
    expected = plain_mean_field(image, shares, spec)
    found = mean_field(image, -np.log(shares).reshape(3, -1), spec)
    change = abs(expected - shares).max()
    np.testing.assert_allclose(found, expected, rtol=0, atol=change / 6)
    np.testing.assert_array_equal(refined((image, shares), spec), found.argmax(axis=0))


def test_the_default_is_deeplab_v2s():
    # Its code: 10 iterations, Gaussian weight 3 and deviation 1, bilateral 4 with 67 and 3.
    assert NetworkCrf() == NetworkCrf(
        iterations=10,
        gaussian=Gaussian(sxy=1, compat=3),
        bilateral=Bilateral(sxy=67, srgb=3, compat=4),
    )
    assert all(block().test.crf == NetworkCrf() for block in (DeepLabV1, DeepLabV2))
    # A dot on a plain image, by pairs of pixels: deviation 1 and weight 3 take it away, which
    # deviation 3 and weight 1 do not.
    image, share = np.full((9, 9, 3), 90, np.uint8), np.full((9, 9), 0.4, np.float32)
    share[3:6, 3:6] = 0.6
    shares = np.stack([1 - share, share])
    field = {"bilateral": {"compat": 0}}
    found = mean_field(image, -np.log(shares).reshape(2, -1), NetworkCrf(**field))
    right, swapped = (
        plain_mean_field(
            image, shares, NetworkCrf(**field, gaussian=Gaussian(sxy=sxy, compat=compat))
        )
        for sxy, compat in ((1, 3), (3, 1))
    )
    assert right[1, 4, 4] == pytest.approx(0.117, abs=1e-3)
    assert swapped[1, 4, 4] == pytest.approx(0.526, abs=1e-3)
    np.testing.assert_allclose(found, right, atol=0.01)


def test_the_crf_moves_borders_to_the_images_edges():
    image = np.full((20, 24, 3), 30, np.uint8)
    image[:, 10:] = (220, 200, 180)
    expected = (np.arange(24) >= 10).astype(np.uint8)[None].repeat(20, axis=0)
    second = np.full((20, 24), 0.2, np.float32)
    second[:, 8:] = 0.8  # two pixels too far left
    second[4, 2], second[9, 18] = 0.7, 0.3
    shares = np.stack([1 - second, second])
    assert (shares.argmax(0) != expected).sum() == 2 * 20 + 2
    np.testing.assert_array_equal(refined((image, shares), NetworkCrf()), expected)


def test_without_pairwise_terms_the_crf_changes_nothing():
    rng = np.random.default_rng(0)
    shares = rng.random((4, 5, 6)).astype(np.float32)
    shares[:, 0, 0] = (0, 1, 0, 0)  # no infinite energy
    image = rng.integers(0, 256, (5, 6, 3)).astype(np.uint8)
    blind = NetworkCrf(gaussian=Gaussian(compat=0), bilateral=Bilateral(compat=0))
    np.testing.assert_array_equal(refined((image, shares), blind), shares.argmax(0))


@pytest.fixture
def pictures(tmp_path):
    """Five images of two sizes and their table; red on the left."""
    rows = []
    for number, (height, width) in enumerate([(8, 10), (6, 7), (8, 10), (6, 7), (8, 10)]):
        image = np.random.default_rng(number).integers(0, 90, (height, width, 3)).astype(np.uint8)
        image[:, : 2 + number, 0] = 200
        Image.fromarray(image).save(tmp_path / f"{number}.png")
        rows.append((f"image {number}", f"{number}.png", height, width))
    return tmp_path, pd.DataFrame(rows, columns=["image", "path", "height", "width"])


class Reddish(nn.Module):
    """Class 1 the likelier, the redder."""

    def forward(self, images):
        red = images[:, :1]
        return torch.cat([torch.full_like(red, 0.4), red], 1)


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("crf", [None, NetworkCrf(iterations=3)])
def test_whole_tables_of_images(pictures, crf, threads):
    root, rows = pictures
    test = segmenters.Inference(crf=crf, batch_size=2)
    machine = Machine(threads=threads)
    found = {name: mask for name, mask, _ in segmented(Reddish(), rows, root, test, machine)}
    assert sorted(found) == rows["image"].tolist()
    for name, path in zip(rows["image"], rows["path"], strict=True):
        image = read_image(root / path)
        pixels = torch.from_numpy(image.copy()).permute(2, 0, 1)[None].float() / 255
        shares = predict(Reddish(), pixels, test)[0].numpy()
        expected = shares.argmax(0) if crf is None else refined((image, shares), crf)
        assert found[name].dtype == np.uint8
        np.testing.assert_array_equal(found[name], expected)
    assert not multiprocessing.active_children()


def test_a_network_that_fails_ends_the_crf_too(pictures):
    root, rows = pictures

    class Failing(nn.Module):
        def forward(self, images):
            raise UserError("no such thing")

    test = segmenters.Inference(crf=NetworkCrf())
    with pytest.raises(UserError, match="no such thing"):
        list(segmented(Failing(), rows, root, test, Machine(threads=2)))
    assert not multiprocessing.active_children()
