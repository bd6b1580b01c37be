"""Tiles of images, and networks that are applied to them."""

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from torch import nn

from tags2masks.config.inference import Inference, NetworkCrf
from tags2masks.config.tiles import Tiles
from tags2masks.data import images
from tags2masks.data.images import read_image
from tags2masks.data.tiles import Tile, tiles_of
from tags2masks.errors import UserError
from tags2masks.machine import Machine
from tags2masks.segmenters.applying import segmented
from tags2masks.segmenters.inference import predict, predict_strips

TILES = {"size": 32, "overlap": 8}


def test_tiles_by_hand():
    # Steps of 24; the last tile ends with the image.
    assert tiles_of(40, 70, Tiles(**TILES)) == [
        Tile(0, 0, 32, 32), Tile(24, 0, 32, 32), Tile(38, 0, 32, 32),
        Tile(0, 8, 32, 32), Tile(24, 8, 32, 32), Tile(38, 8, 32, 32),
    ]  # fmt: skip
    assert tiles_of(20, 32, Tiles(**TILES)) == [Tile(0, 0, 32, 20)]
    assert tiles_of(10, 33, Tiles(**TILES)) == [Tile(0, 0, 32, 10), Tile(1, 0, 32, 10)]
    for side in (40, 64, 100):  # below, at and above the overlap, and below a tile
        assert tiles_of(side, side, Tiles(size=512, overlap=64)) == [Tile(0, 0, side, side)]


@pytest.mark.parametrize("overlap", [0, 1, 16])
def test_tiles_cover_every_pixel_and_overlap_as_much_as_asked(overlap):
    for height, width in ((32, 33), (100, 57), (64, 96)):
        covered = np.zeros((height, width), int)
        tiles = tiles_of(height, width, Tiles(size=32, overlap=overlap))
        for tile in tiles:
            assert tile.width == tile.height == 32
            covered[tile.part] += 1
        assert covered.min() == 1 and len(set(tiles)) == len(tiles)
        starts = sorted({tile.x for tile in tiles})
        assert all(after - before <= 32 - overlap for before, after in pairwise(starts))


def test_too_large_overlaps_are_refused():
    with pytest.raises(ValueError, match="overlap: 17 is more than half of size, 32"):
        Tiles(size=32, overlap=17)


class Colours(nn.Module):
    """The classes are red, green and blue; it sees a single pixel."""

    def forward(self, images):
        return 6 * images


class Ramp(nn.Module):
    """Probabilities of class 1 rise from 0.1 to 0.9 over the width of whatever it is given."""

    def forward(self, images):
        count, _, height, width = images.shape
        share = torch.linspace(0.1, 0.9, width).expand(count, 1, height, width)
        return torch.cat([1 - share, share], 1).log()


@pytest.fixture
def photos(tmp_path):
    """Three images, of which the first two are larger than a tile, and their table."""
    rows = []
    for number, (height, width) in enumerate([(70, 100), (33, 32), (20, 25)]):
        rng = np.random.default_rng(number)
        pixels = rng.integers(0, 256, (height, width, 3)).astype(np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{number}.png")
        rows.append((str(number), f"{number}.png", height, width))
    return tmp_path, pd.DataFrame(rows, columns=["image", "path", "height", "width"])


@pytest.fixture(autouse=True)
def _limit(monkeypatch):
    monkeypatch.setattr(images.Image, "MAX_IMAGE_PIXELS", images.Image.MAX_IMAGE_PIXELS)


@pytest.mark.parametrize(
    ("crf", "loaders"), [(None, 0), (None, 1), (NetworkCrf(iterations=2), 0)], ids=str
)
@pytest.mark.parametrize("batch_size", [1, 3, 100])
def test_masks_and_probabilities_are_those_of_whole_images(photos, crf, loaders, batch_size):
    """Of a network whose view is a pixel: no tile lacks anything of it."""
    root, rows = photos
    given = {"crf": crf, "flip": True, "batch_size": batch_size}
    tiled, whole = Inference(tiles=TILES, **given), Inference(**given)
    machine = Machine(threads=1, workers=loaders)
    expected = {e[0]: e[1:] for e in segmented(Colours(), rows, root, whole, machine, True)}
    masks = {e[0]: e[1:] for e in segmented(Colours(), rows, root, tiled, machine)}
    kept = {e[0]: e[1:] for e in segmented(Colours(), rows, root, tiled, machine, True)}
    assert masks.keys() == kept.keys() == expected.keys() == {"0", "1", "2"}
    for name, (mask, about, further) in expected.items():
        assert masks[name][1] == about
        np.testing.assert_array_equal(masks[name][0], mask)
        np.testing.assert_array_equal(kept[name][0], mask)
        shares = kept[name][2]["probabilities"]
        assert shares.dtype == np.float16
        np.testing.assert_allclose(shares, further["probabilities"], atol=1e-3)


def test_probabilities_are_averaged_where_tiles_overlap():
    # Tiles of 32 from 0 and from 24, of an image 56 wide: columns 24 to 31 lie in both.
    inference = Inference(tiles=TILES)
    ((rows, shares),) = predict_strips(
        Ramp(), torch.zeros(3, 20, 56, dtype=torch.uint8), inference, "cpu"
    )
    ramp = torch.linspace(0.1, 0.9, 32)
    expected = torch.cat([ramp[:24], (ramp[24:] + ramp[:8]) / 2, ramp[8:]])
    assert (rows, shares.shape) == (slice(0, 20), (2, 20, 56))
    torch.testing.assert_close(shares[1], expected.expand(20, 56))


def test_strips_are_no_higher_than_a_tile_and_follow_each_other():
    image = torch.randint(0, 256, (3, 107, 50), dtype=torch.uint8)
    strips = list(predict_strips(Colours(), image, Inference(tiles=TILES, batch_size=3), "cpu"))
    assert [(rows.start, rows.stop) for rows, _ in strips] == [
        (0, 24), (24, 48), (48, 72), (72, 75), (75, 107),
    ]  # fmt: skip
    found = torch.cat([shares for _, shares in strips], 1)
    expected = predict(Colours(), image[None].float() / 255, Inference())[0]
    torch.testing.assert_close(found, expected)


def test_a_network_with_a_wider_view_differs_at_the_borders_of_tiles_alone():
    """Where tiles overlap by more than twice the view, only near their borders."""
    torch.manual_seed(0)
    network = nn.Conv2d(3, 2, 3, padding=1).eval()
    image = torch.randint(0, 256, (3, 32, 56), dtype=torch.uint8)
    ((_, found),) = predict_strips(network, image, Inference(tiles=TILES), "cpu")
    expected = predict(network, image[None].float() / 255, Inference())[0]
    wrong = ((found - expected).abs().amax((0, 1)) > 1e-5).nonzero()[:, 0].tolist()
    assert wrong == [24, 31]  # the first column of the second tile, the last of the first


@pytest.mark.filterwarnings("ignore:Image size:PIL.Image.DecompressionBombWarning")
def test_images_beyond_pillows_limit_are_read_in_tiles_alone(photos, monkeypatch):
    root, rows = photos
    monkeypatch.setattr(images.Image, "MAX_IMAGE_PIXELS", 5000)
    whole, tiled = Inference(), Inference(tiles=TILES)
    with pytest.raises(UserError, match=r"0\.png: more than 5,000 pixels; make it smaller"):
        list(segmented(Colours(), rows, root, whole, Machine(threads=1)))
    masks = {e[0]: e[1] for e in segmented(Colours(), rows, root, tiled, Machine(threads=1))}
    np.testing.assert_array_equal(masks["0"], read_image(root / "0.png").argmax(2))


def test_the_option_is_in_the_key_only_if_it_is_set():
    assert "tiles" not in Inference().key()
    assert Inference(tiles={}).key()["tiles"] == {"size": 512, "overlap": 64}
