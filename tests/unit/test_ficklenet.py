"""FickleNet: the expanded convolution, autograd's Grad-CAM, expectations, seeds, and its masks."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from tags2masks.classifiers.ficklenet import build, step
from tags2masks.config.base import ConfigError
from tags2masks.config.hosts import FickleNet
from tags2masks.config.maps import Cam, FickleNetMaps
from tags2masks.config.masks import AnyPass
from tags2masks.config.project import parse_config
from tags2masks.config.training import Augment
from tags2masks.maps import cam, ficklenet
from tags2masks.maps.batch import Batch, plain_batch
from tags2masks.masks.any_pass import make_mask
from tags2masks.nets.random_windows import (
    RandomWindows,
    activation_maps,
    offset_scores,
    pooled_logits,
)
from tags2masks.training import Moment
from tags2masks.workflow.building import build_experiments
from tests.unit.learning import CONVNET, TINY, localized, resumed


def by_window(mask, size, kernel):
    """A mask by the cell that it keeps, [h·w, s²], as a mask by window and offset, [h, w, s, s]."""
    windows, half = torch.zeros(*size, kernel, kernel), kernel // 2
    cells = mask.view(*size, kernel, kernel)
    for y, x, dy, dx in np.ndindex(*size, kernel, kernel):
        row, column = y + dy - half, x + dx - half
        if 0 <= row < size[0] and 0 <= column < size[1]:
            windows[y, x, dy, dx] = cells[row, column, dy, dx]
    return windows


def expanded(features, weight, mask):
    """The source's way: an expanded map whose windows do not overlap, dropped, and a convolution of
    stride = kernel. features: [C, h, w]; mask: [h, w, s, s]. Returns the score map [K, h, w].
    """
    kernel = weight.shape[-1]
    windows = F.unfold(features[None], kernel, padding=kernel // 2)[0]
    windows = windows.view(len(features), kernel, kernel, *features.shape[1:])
    windows = windows.permute(0, 3, 1, 4, 2) * mask.permute(0, 2, 1, 3)
    large = windows.reshape(len(features), *(side * kernel for side in features.shape[1:]))
    return F.conv2d(large[None], weight, stride=kernel)[0]


@pytest.mark.parametrize(("size", "kernel"), [((5, 7), 3), ((4, 3), 9), ((1, 6), 5), ((6, 5), 1)])
@pytest.mark.parametrize("keep_centre", [True, False])
def test_the_masked_sums_are_the_expanded_convolution_and_its_grad_cam(size, kernel, keep_centre):
    generator = torch.Generator().manual_seed(kernel)
    windows = RandomWindows(kernel, 0.6, keep_centre)
    features = torch.rand(4, *size, generator=generator)
    weight = torch.randn(3, 4, kernel, kernel, generator=generator)
    cells = size[0] * size[1]
    masks = windows.draw((5, cells), generator) * windows.scale(size)
    scores = offset_scores(features, weight)
    logits = pooled_logits(features.expand(5, -1, -1, -1), weight, masks)
    maps = activation_maps(scores, masks).unflatten(2, size) / cells
    for number, mask in enumerate(masks):
        learning = features.clone().requires_grad_()
        score_map = expanded(learning, weight, by_window(mask, size, kernel))
        assert score_map.shape == (3, *size)
        of_class = score_map.mean((1, 2))
        torch.testing.assert_close(logits[number], of_class, atol=1e-5, rtol=1e-5)
        for class_ in range(3):
            (gradient,) = torch.autograd.grad(of_class[class_], learning, retain_graph=True)
            grad_cam = (gradient * learning).sum(0).detach()
            torch.testing.assert_close(maps[number, class_], grad_cam, atol=1e-5, rtol=1e-5)
    assert maps.abs().max() > 0.01


def test_nothing_dropped_is_a_padded_convolution_and_window_sums():
    torch.manual_seed(0)
    features, weight = torch.rand(2, 4, 5, 6), torch.randn(3, 4, 3, 3)
    windows = RandomWindows(3, 0.0)
    kept = windows.draw((2, 30), torch.Generator().manual_seed(0))
    assert kept.all() and torch.equal(windows.scale((5, 6)), windows.expected((5, 6)))
    logits = pooled_logits(features, weight, kept * windows.scale((5, 6)))
    plain = F.conv2d(features, weight, padding=1)
    torch.testing.assert_close(logits, plain.mean((2, 3)), atol=1e-5, rtol=1e-5)
    # A cell inside is in nine windows, at each offset once: its map is x·Σ W.
    scores = offset_scores(features[0], weight)
    maps = activation_maps(scores, windows.expected((5, 6))[None])[0].unflatten(1, (5, 6))
    sums = torch.einsum("kcyx,chw->khw", weight, features[0])
    torch.testing.assert_close(maps[:, 1:-1, 1:-1], sums[:, 1:-1, 1:-1], atol=1e-5, rtol=1e-5)
    # In the corner, above and left of which there is no window, offsets 0 and 1 alone.
    corner = torch.einsum("kcyx,c->k", weight[..., :2, :2], features[0, :, 0, 0])
    torch.testing.assert_close(maps[:, 0, 0], corner, atol=1e-5, rtol=1e-5)


def test_by_hand():
    # Two cells of 1 and 3, one class, weights 2, 5, 7 in the middle row. The left cell is in the
    # window around it at the middle, in that of the right cell at offset 0; the right cell in the
    # left one's at offset 2.
    weight = torch.zeros(1, 1, 3, 3)
    weight[0, 0, 1] = torch.tensor([2.0, 5, 7])
    features, windows = torch.tensor([[[1.0, 3.0]]]), RandomWindows(3, 0.75)
    scores = offset_scores(features, weight)
    assert activation_maps(scores, windows.expected((1, 2))[None]).tolist() == [[[7, 36]]]
    # Score maps: left 5·1 + 7·3 = 26, right 2·1 + 5·3 = 17.
    expected = windows.expected((1, 2))
    assert pooled_logits(features[None], weight, expected).tolist() == [[43 / 2]]
    # Drop all but the centres and the right cell in the left window, which then counts fourfold.
    kept = torch.zeros(2, 9)
    kept[:, 4] = kept[1, 5] = 1
    masks = kept * windows.scale((1, 2))
    assert activation_maps(scores, masks[None]).tolist() == [[[5, 15 + 4 * 21]]]
    assert pooled_logits(features[None], weight, masks).tolist() == [[(5 + 15 + 84) / 2]]


@pytest.mark.parametrize("drop", [0.0, 0.5, 0.9, 0.999])
def test_the_centre_is_kept_whatever_is_dropped(drop):
    generator = torch.Generator().manual_seed(0)
    kept = RandomWindows(5, drop).draw((400,), generator)
    assert kept[:, 12].all()
    others = torch.cat([kept[:, :12], kept[:, 13:]], 1).float().mean().item()
    assert abs(others - (1 - drop)) <= 3 * (drop * (1 - drop) / (400 * 24)) ** 0.5
    assert drop == 0 or not RandomWindows(5, drop, False).draw((400,), generator)[:, 12].all()


def test_the_mean_of_many_masks_is_the_expected_map():
    generator = torch.Generator().manual_seed(1)
    windows, size, count = RandomWindows(3, 0.9), (3, 4), 2000
    features = torch.rand(2, *size, generator=generator)
    weight = torch.randn(2, 2, 3, 3, generator=generator)
    scores = offset_scores(features, weight)
    masks = windows.draw((count, 12), generator) * windows.scale(size)
    maps = activation_maps(scores, masks)
    closed = activation_maps(scores, windows.expected(size)[None])[0]
    # The variance of a kept cell's count, 1/(1 − p) or 0, is p/(1 − p); the centre has none.
    spread = windows.expected(size) * 9.0
    spread[:, 4] = 0
    error = (torch.einsum("kau,ua->ku", scores**2, spread) / count).sqrt()
    z = ((maps.mean(0) - closed) / error).abs()
    assert (z < 3).all() and z.mean() > 0.3
    of_images = pooled_logits(features.expand(count, -1, -1, -1), weight, masks).mean(0)
    head = F.conv2d(features[None], weight, padding=1).mean((2, 3))[0]
    torch.testing.assert_close(closed.sum(1) / 12, head, atol=1e-5, rtol=1e-5)
    assert ((of_images - head).abs() < 3 * (error**2).sum(1).sqrt() / 12).all()


@pytest.fixture
def network():
    torch.manual_seed(0)
    return build(FickleNet(backbone=TINY, kernel=3, drop=0.7), 3).eval().requires_grad_(False)


def test_a_prototype_is_judged_as_if_it_were_all_around(network):
    kernel = network.head.kernel_size[0]
    vectors = torch.rand(3, network.head.in_channels)
    everywhere = vectors[..., None, None].expand(-1, -1, kernel, kernel)
    middle = F.conv2d(everywhere, network.head.weight)[..., 0, 0]
    torch.testing.assert_close(network.vector_scores(vectors), middle)


def test_without_masks_it_classifies_by_the_expected_map(network):
    images = torch.rand(2, 3, 40, 33)
    scores = network.score_maps(network.features(images))
    torch.testing.assert_close(network(images), scores.mean((2, 3)), atol=1e-5, rtol=1e-5)


def passes_in_a_loop(network, image, class_, seed, count):
    """The mean and the highest value of the maps, a pass at a time by autograd."""
    features, generator = network.features(image[None])[0], torch.Generator().manual_seed(seed)
    size, windows = features.shape[1:], network.windows
    maps = []
    for _ in range(count):
        mask = windows.draw((size[0] * size[1],), generator) * windows.scale(size)
        learning = features.clone().requires_grad_()
        scores = expanded(learning, network.head.weight, by_window(mask, size, windows.kernel))
        (gradient,) = torch.autograd.grad(scores[class_].sum(), learning)
        map_ = (gradient * learning.detach()).sum(0).relu()
        maps.append(map_ / (map_.max() + 1e-5))
    return torch.stack(maps).mean(0), torch.stack(maps).amax(0)


def test_passes_are_those_of_the_expanded_way(network, monkeypatch):
    images, spec = torch.rand(2, 3, 32, 40), FickleNetMaps(passes=7, stride=8)
    tagged = torch.tensor([[True, False, True], [False, True, False]])
    found = ficklenet.localize(network, Batch(images, tagged, [11, 12]), spec)
    assert found.maps.shape == (2, 3, 4, 5) and found.passes.shape == (2, 3, 2, 4, 5)
    for row, class_ in tagged.nonzero().tolist():
        mean, highest = passes_in_a_loop(network, images[row], class_, 11 + row, 7)
        both = torch.stack([mean, highest])
        torch.testing.assert_close(found.passes[row, class_], both, atol=1e-5, rtol=1e-5)
        whole = mean / (mean.max() + 1e-5)
        torch.testing.assert_close(found.maps[row, class_], whole, atol=1e-5, rtol=1e-5)
    assert not found.maps[~tagged].any() and not found.passes[~tagged].any()
    monkeypatch.setattr(ficklenet, "VALUES", 1)  # one pass at a time
    again = ficklenet.localize(network, Batch(images, tagged, [11, 12]), spec)
    torch.testing.assert_close(again.passes, found.passes, atol=1e-6, rtol=1e-6)


def test_kept_passes_are_the_first_of_all(network, monkeypatch):
    images, tagged = torch.rand(1, 3, 32, 40), torch.tensor([[True, False, True]])
    batch = Batch(images, tagged, [11])
    found = ficklenet.localize(network, batch, FickleNetMaps(passes=5, keep_passes=3, stride=8))
    plain = ficklenet.localize(network, batch, FickleNetMaps(passes=5, stride=8))
    assert plain.singles is None and found.singles.shape == (1, 3, 3, 4, 5)
    assert torch.equal(found.maps, plain.maps) and torch.equal(found.passes, plain.passes)
    # The sum of the first passes by the slow way: n times the mean of n.
    for class_ in (0, 2):
        sums = [n * passes_in_a_loop(network, images[0], class_, 11, n)[0] for n in (1, 2, 3)]
        for number, (sum_, before) in enumerate(zip(sums, [0, *sums], strict=False)):
            single = found.singles[0, class_, number]
            torch.testing.assert_close(single, sum_ - before, atol=1e-5, rtol=1e-5)
    assert not found.singles[0, 1].any()
    assert (found.singles[0, 0, 0] - found.singles[0, 0, 1]).abs().max() > 0.01
    monkeypatch.setattr(ficklenet, "VALUES", 1)  # one pass at a time
    spec = FickleNetMaps(passes=5, keep_passes=3, stride=8)
    again = ficklenet.localize(network, batch, spec)
    torch.testing.assert_close(again.singles, found.singles, atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("options", [{"passes": 2, "keep_passes": 3}, {"passes": "expected"}])
def test_no_more_passes_are_kept_than_made(options):
    maps = {"r": {"method": "ficklenet", "keep_passes": 1} | options}
    with pytest.raises(ConfigError, match=r"maps\.r: keep_passes: \d of passes: .*; keep no more"):
        parse_config(CONFIG | {"maps": CONFIG["maps"] | maps})


def test_an_images_passes_depend_on_its_seed_and_not_on_its_batch(network):
    images, spec = torch.rand(3, 3, 32, 40), FickleNetMaps(passes=4)
    batch = Batch(images, torch.ones(3, 3, dtype=torch.bool), [5, 6, 7])
    whole = ficklenet.localize(network, batch, spec)
    for row in range(3):
        alone = Batch(*(part[row : row + 1] for part in batch))
        single = ficklenet.localize(network, alone, spec)
        torch.testing.assert_close(single.passes[0], whole.passes[row], atol=1e-5, rtol=1e-5)
    # Fewer tags draw the same masks.
    fewer = batch._replace(tagged=torch.tensor([[False, True, False]] * 3))
    some = ficklenet.localize(network, fewer, spec)
    torch.testing.assert_close(some.passes[:, 1], whole.passes[:, 1], atol=1e-5, rtol=1e-5)
    other = ficklenet.localize(network, batch._replace(seeds=[5, 6, 8]), spec)
    torch.testing.assert_close(other.maps[:2], whole.maps[:2])
    assert (other.maps[2] - whole.maps[2]).abs().max() > 0.01


def test_the_expected_pass_is_the_limit_of_many_and_cam_of_one_cell():
    torch.manual_seed(0)
    images = torch.rand(1, 3, 32, 40)
    network = build(FickleNet(backbone=TINY, kernel=3, drop=0.2), 2).eval().requires_grad_(False)
    network.head.weight.abs_()  # every cell speaks for the class
    batch = plain_batch(images, 2)
    many = ficklenet.localize(network, batch, FickleNetMaps(passes=3000, stride=8)).maps
    expected = ficklenet.localize(network, batch, FickleNetMaps(passes="expected", stride=8))
    assert expected.passes is None
    torch.testing.assert_close(many, expected.maps, atol=0.05, rtol=0)
    # Windows of one cell are a linear head, whose gradient × activation is CAM.
    network = build(FickleNet(backbone=TINY, kernel=1), 2).eval().requires_grad_(False)
    found = ficklenet.localize(network, batch, FickleNetMaps(passes="expected")).maps
    one_scale = cam.localize(network, batch, Cam(scales=(1,), flip=False))
    torch.testing.assert_close(found, one_scale, atol=1e-4, rtol=1e-3)


def test_a_steps_masks_are_of_the_runs_seed_and_the_step():
    spec = FickleNet(backbone=CONVNET, kernel=3)
    torch.manual_seed(0)
    network = build(spec, 2)
    batch = [torch.randint(256, (3, 3, 8, 9)), torch.tensor([[1.0, 0], [0, 1], [1, 1]])]

    def loss(*seeds):
        return step(network, batch, Moment(0, 0, seeds), spec)["loss"].item()

    assert loss(1, 0, 0) == loss(1, 0, 0)
    assert len({loss(1, 0, 0), loss(2, 0, 0), loss(1, 1, 0), loss(1, 0, 1)}) == 4


def test_it_learns_resumes_and_other_map_methods_can_use_it(tmp_path):
    spec = FickleNet(
        backbone=TINY,
        epochs=3,
        batch_size=2,
        augment=Augment(resize=(32, 40), crop=32).model_dump(),
    )
    rows = resumed(tmp_path, spec)
    assert len(rows) == 3 and rows[0]["loss"] > 0
    localized(tmp_path, spec)


IMAGE = np.empty((1, 5, 3), np.uint8)
# Two classes: mean and highest value of the passes at five pixels.
PASSES = np.array(
    [
        [[[0.1, 0.3, 0.2, 0.35, 0.9]], [[0.3, 0.4, 0.6, 0.35, 1.0]]],
        [[[0.2, 0.1, 0.1, 0.30, 0.1]], [[0.3, 0.3, 0.9, 0.30, 0.3]]],
    ],
    np.float16,
)


def test_masks_by_hand():
    # None reaches 0.35; class 7 alone; both, 7 with the higher mean though 2's highest is higher;
    # float16's 0.35 is 0.35009765625, above; 7 alone.
    mask = make_mask(IMAGE, PASSES[:, 0], [7, 2], AnyPass(), PASSES)
    assert mask.dtype == np.uint8 and mask.tolist() == [[255, 7, 7, 7, 7]]
    mask = make_mask(IMAGE, PASSES[:, 0], [7, 2], AnyPass(score=0.7), PASSES)
    assert mask.tolist() == [[255, 255, 2, 255, 7]]
    # Background is where no class is and nothing is salient.
    saliency = np.array([[[0.0, 0.0, 0.0, 1.0, 1.0]]], np.float16)
    spec = AnyPass(score=0.7, saliency="c2am")
    mask = make_mask(IMAGE, PASSES[:, 0], [7, 2], spec, PASSES, saliency)
    assert mask.tolist() == [[0, 0, 2, 255, 7]]
    none = make_mask(IMAGE, PASSES[:0, 0], [], spec, PASSES[:0], saliency)
    assert none.tolist() == [[0, 0, 0, 255, 255]]


CONFIG = {
    "datasets": {"d": {"kind": "digits"}},
    "classifiers": {"v": {"method": "vanilla"}, "f": {"method": "ficklenet"}},
    "maps": {
        "c": {"method": "cam"},
        "r": {"method": "ficklenet"},
        "e": {"method": "ficklenet", "passes": "expected"},
    },
    "masks": {"a": {"method": "any_pass"}, "t": {"method": "threshold"}},
    "experiments": ["d / f / r / {a,t}"],
}


def test_what_it_follows():
    one, other = build_experiments(parse_config(CONFIG))
    assert one.artifacts["maps"].id == other.artifacts["maps"].id
    for chain, told in [
        ("v / r", "maps.r: ficklenet needs a classifier with random windows, and classifiers.v"),
        ("f / c / a", "masks.a: any_pass needs maps with passes, and maps.c (cam) has none"),
        ("f / e / a", "masks.a: any_pass needs maps with passes, and maps.e"),
    ]:
        with pytest.raises(ConfigError) as error:
            build_experiments(parse_config(CONFIG | {"experiments": [f"d / {chain}"]}))
        assert told in str(error.value)
    with pytest.raises(ConfigError, match="4 has no middle; use an odd number"):
        parse_config(CONFIG | {"classifiers": {"f": {"method": "ficklenet", "kernel": 4}}})
