"""RIB against steps made by hand on a linear network, and against a plain loop over copies."""

import copy

import numpy as np
import pandas as pd
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from torch import nn

from tags2masks.config.base import ConfigError
from tags2masks.config.climbing import Rib
from tags2masks.config.maps import Cam
from tags2masks.config.project import parse_config
from tags2masks.config.training import Augment, Backbone
from tags2masks.data.training_images import TrainingImages
from tags2masks.maps import cam
from tags2masks.maps.advcam import ascend, ends
from tags2masks.maps.batch import Batch
from tags2masks.maps.rib import adapt, companions, localize, loss_of, pooled, trainable
from tags2masks.nets.classifier import Classifier

AUGMENT = Augment(resize=(20, 30), crop=24)
SMALL = {"steps": 3, "companions": 2, "augment": AUGMENT}


@pytest.fixture(scope="module")
def training(tmp_path_factory):
    """Six training images of 3 classes: a, b, b, c, a and c, and one without a tag."""
    folder = tmp_path_factory.mktemp("images")
    tags = [("a",), ("b",), ("b",), ("c",), ("a", "c"), ()]
    rng = np.random.default_rng(0)
    for number in range(len(tags)):
        pixels = rng.integers(0, 256, (20, 26, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.png")
    rows = pd.DataFrame({"path": [f"{n}.png" for n in range(len(tags))], "tags": tags})
    rows = rows.assign(height=20, width=26)
    return TrainingImages(rows, folder, ["a", "b", "c"])


@pytest.fixture
def network():
    """A small network with random weights, in float64, frozen as a trained one comes."""
    torch.manual_seed(3)
    made = Classifier(Backbone(name="test_resnet", output_stride=8), 3).eval()
    return made.double().requires_grad_(False)


def a_batch():
    torch.manual_seed(0)
    tagged = torch.tensor([[True, False, True], [False, True, False], [False, False, False]])
    return Batch(torch.rand(3, 3, 24, 32, dtype=torch.float64), tagged, [7, 8, 9])


# -- training images -------------------------------------------------------------------------------


def test_images_that_share_no_tag_by_hand(training):
    tagged = np.array([[1, 0, 0], [0, 1, 0], [1, 1, 1], [0, 0, 0]], bool)
    found = [np.flatnonzero(row).tolist() for row in training.sharing_no_tag(tagged)]
    assert found == [[1, 2, 3], [0, 3, 4], [], [0, 1, 2, 3, 4]]


def test_views_are_theirs_alone_and_threads_change_nothing(training):
    batches = [[(0, (1, 2)), (3, (1, 3))], [(0, (1, 4))]]
    fill = (0.5, 0.5, 0.5)
    plain = list(training.views(batches, AUGMENT, fill))
    assert [part.shape for part in plain] == [(2, 3, 24, 24), (1, 3, 24, 24)]
    assert not torch.equal(plain[0][0], plain[1][0])
    (alone,) = training.views([[(3, (1, 3))]], AUGMENT, fill)
    assert torch.equal(alone[0], plain[0][1])
    ahead = copy.copy(training)
    ahead.threads = 2
    for one, other in zip(ahead.views(batches, AUGMENT, fill), plain, strict=True):
        assert torch.equal(one, other)
    assert list(ahead.views([], AUGMENT, fill)) == []
    assert training.image(3) is training.image(3)


def test_memory_holds_no_more_images_than_fit(training, monkeypatch):
    fresh = copy.copy(training)
    fresh._kept, fresh._bytes = {}, 0
    monkeypatch.setattr("tags2masks.data.training_images.KEPT_BYTES", 20 * 26 * 3 + 1)
    first = fresh.image(0)
    assert fresh.image(1) is not fresh.image(1)
    assert fresh.image(0) is first


# -- companions ------------------------------------------------------------------------------------


def test_companions_are_drawn_anew_without_repetition():
    spec = Rib(companions=3, steps=4)
    rows = np.array([2, 5, 6, 8, 11])
    draws = companions(rows, 41, spec)
    assert len(draws) == 4
    for step, drawn in enumerate(draws):
        chosen = [row for row, _ in drawn]
        assert len(set(chosen)) == 3 and set(chosen) <= set(rows.tolist())
        assert [seeds for _, seeds in drawn] == [(41, step, place) for place in range(3)]
    assert len({tuple(row for row, _ in drawn) for drawn in draws}) > 1
    assert draws == companions(rows, 41, spec) != companions(rows, 42, spec)


def test_where_few_images_are_disjoint_all_are_taken_and_none_is_none():
    spec = Rib(companions=3, steps=2)
    assert [sorted(row for row, _ in drawn) for drawn in companions(np.array([4, 9]), 0, spec)] == [
        [4, 9],
        [4, 9],
    ]
    assert companions(np.array([], int), 0, spec) == []
    assert companions(np.array([1]), 0, Rib(companions=0)) == []


# -- a step by hand --------------------------------------------------------------------------------


class Scaled(nn.Module):
    """Features are the colours times a weight; class 0 is red and class 1 is green."""

    def __init__(self):
        super().__init__()
        self.normalize = nn.Module()
        self.normalize.mean = torch.full((1, 3, 1, 1), 0.5)
        self.normalize.std = torch.full((1, 3, 1, 1), 0.5)
        self.gain = nn.Parameter(torch.tensor(1.0))
        self.head = nn.Conv2d(3, 2, 1, bias=False)
        self.head.weight.data[:] = torch.eye(3)[:2].view(2, 3, 1, 1)
        self.requires_grad_(False)

    def features(self, images):
        return images * self.gain

    def score_maps(self, features):
        return self.head(features)

    def head_parameters(self):
        return list(self.head.parameters())


class Plain:
    """Training images that are all of one colour, (0.2, 0.4, 1), and of class 1."""

    tagged = np.array([[False, True]] * 4)

    def sharing_no_tag(self, tagged):
        return ~(tagged @ self.tagged.T)

    def views(self, batches, augment, fill):
        assert fill == [0.5, 0.5, 0.5]
        colour = torch.tensor([51, 102, 255], dtype=torch.uint8).view(1, 3, 1, 1)
        return (colour.repeat(len(batch), 1, 8, 8) for batch in batches)


# Two pixels, of which the second is half as red.
IMAGE = torch.tensor([[0.8, 0.4], [0.25, 0.25], [0, 0]]).view(1, 3, 1, 2)
ONE_VIEW = {"scales": (1,), "flip": False, "stride": 1, "steps": 1, "companions": 1, "lr": 0.1}


def adapted(**options):
    """The maps of class 0 at the two pixels at each step."""
    spec = Rib(**(ONE_VIEW | options))
    network, tagged = Scaled(), torch.tensor([True, False])
    draws = companions(np.arange(4), 0, spec)
    climbed = ends(network, IMAGE, tagged, spec) if spec.climb else None
    with trainable(network):
        steps = list(adapt(network, IMAGE, tagged, draws, spec, Plain(), climbed))
    return torch.stack(steps)[:, 0, 0]


def test_a_step_by_hand():
    # GAP: colours' mean (0.6, 0.25, 0), logit 0.6. The companion's is 0.4. So the gain rises by
    # 0.1 · (0.6 + 0.4), and class 0's weights by ten times 0.1 · (0.6, 0.25, 0).
    found = adapted(pooling="gap")
    expected = [1.1 * (1.6 * red + 0.25 * 0.25) for red in (0.8, 0.4)]
    torch.testing.assert_close(found, torch.tensor([[0.8, 0.4], expected]))


def test_the_non_discriminative_region_by_hand():
    # The map is 1 and 0.5: up to 0.5 the second pixel alone is pooled, (0.4, 0.25, 0).
    # The companion is of one score, 1 everywhere: none of it is pooled.
    found = adapted(pooled_below=0.5)
    expected = [1.04 * (1.4 * red + 0.25 * 0.25) for red in (0.8, 0.4)]
    torch.testing.assert_close(found, torch.tensor([[0.8, 0.4], expected]))


def test_pooling_by_hand():
    scores = torch.tensor([[[4.0, 2, 1, -1]], [[-4, -2, -1, -1]]]).unsqueeze(0)
    # Normalised 1, 0.5, 0.25, 0: up to 0.4 there are 1 and −1, up to 0.6 also 2. A map without a
    # positive score is nowhere discriminative.
    spec = Rib()
    assert pooled(scores, spec).tolist() == [[0, -2]]
    two_thirds = pooled(scores, spec.model_copy(update={"pooled_below": 0.6}))
    torch.testing.assert_close(two_thirds, torch.tensor([[2 / 3, -2]]))
    assert pooled(scores, spec.model_copy(update={"pooling": "gap"})).tolist() == [[1.5, -2]]


@pytest.mark.parametrize(
    ("loss", "squash"),
    [
        ("bce_sigmoid", lambda y: 1 / (1 + np.exp(-y))),
        ("bce_tanh", lambda y: (np.tanh(y) + 1) / 2),
        ("bce_softsign", lambda y: (y / (1 + abs(y)) + 1) / 2),
    ],
)
def test_binary_cross_entropies_by_hand(loss, squash):
    logits = torch.tensor([[0.7, -1.5, 3.0], [-0.2, 0.0, 2.0]], dtype=torch.float64)
    tagged = torch.tensor([[True, False, True], [False, True, False]])
    a, t = squash(logits.numpy()), tagged.numpy()
    expected = -np.where(t, np.log(a), np.log(1 - a)).sum()
    assert loss_of(logits, tagged, Rib(loss=loss)).item() == pytest.approx(expected, rel=1e-9)
    # Far out it stays finite, as do gradients.
    far = torch.tensor([[900.0, -900.0]], requires_grad=True)
    value = loss_of(far, torch.tensor([[False, True]]), Rib(loss=loss))
    value.backward()
    assert torch.isfinite(value) and torch.isfinite(far.grad).all()
    assert (far.grad.sign() == torch.tensor([[1.0, -1.0]])).all()


def test_ribs_own_loss_by_hand():
    logits = torch.tensor([[700.0, -5.0, 3.0]])
    tagged = torch.tensor([[True, False, True]])
    assert loss_of(logits, tagged, Rib()).item() == -(600 + 3)


def test_a_step_of_a_binary_cross_entropy_by_hand():
    # GAP's logits of the image are 0.6 and 0.25, of which the first is to rise: σ(−0.6) = 0.354 and
    # −σ(0.25) = −0.562; of the companion 0.2 and 0.4, the second is to rise. The gain's gradient is
    # what they weigh.
    found = adapted(pooling="gap", loss="bce_sigmoid", head_factor=1e-9)
    sigmoid = torch.tensor([-0.6, 0.25, 0.2, -0.4]).sigmoid()
    rise = 0.1 * (sigmoid * torch.tensor([0.6, -0.25, -0.2, 0.4])).sum()
    torch.testing.assert_close(found[1], (1 + rise) * torch.tensor([0.8, 0.4]))


def test_logits_above_the_margin_no_longer_count():
    # The image's logit 0.6 is above, the companion's 0.4 is not.
    found = adapted(pooling="gap", margin=0.5)
    torch.testing.assert_close(found[1], 1.04 * torch.tensor([0.8, 0.4]))


def test_without_companions_the_image_is_learned_from_alone():
    found = adapted(pooling="gap", companions=0)
    expected = [1.06 * (1.6 * red + 0.25 * 0.25) for red in (0.8, 0.4)]
    torch.testing.assert_close(found[1], torch.tensor(expected))


def test_the_rate_falls_by_option():
    # Of two steps the second has half the rate: the gain rises by 0.1 and by half of what follows.
    fixed = adapted(pooling="gap", steps=2, head_factor=1e-9)
    falling = adapted(pooling="gap", steps=2, head_factor=1e-9, poly_power=1)
    torch.testing.assert_close(fixed[:, 0], torch.tensor([0.8, 0.88, 0.96]))
    torch.testing.assert_close(falling[:, 0], torch.tensor([0.8, 0.88, 0.92]))


def test_views_are_learned_from_by_option():
    # Image and mirror image: twice the image's part.
    found = adapted(pooling="gap", learn_from="views", flip=True)
    # With the mirror image's map, the sum of both.
    expected = [2 * 1.16 * (2.2 * red + 0.5 * 0.25) for red in (0.8, 0.4)]
    torch.testing.assert_close(found, torch.tensor([[1.6, 0.8], expected]))


def test_early_exits_by_hand():
    many = {"pooling": "gap", "steps": 5, "early_exit": True, "exit_area": 1}
    assert len(adapted(**many)) == 6
    # Logits are 0.6 and, after a step, 1.1 · (1.6 · 0.6 + 0.0625) = 1.12, after which it ends.
    assert len(adapted(**many, margin=1)) == 2
    # The second pixel is half the first, and after a step 0.77 / 1.48 = 0.53 of it.
    area = many | {"exit_area": 0.5, "exit_score": 0.52}
    assert len(adapted(**area)) == 1
    assert len(adapted(**area | {"early_exit": False})) == 6


# AdvCAM's climb of one step of 0.4, without its mask term.
CLIMB = {"steps": 1, "step_size": 0.4, "restrict_weight": 0}


def test_the_maps_of_a_climbed_image_by_hand():
    # Normalised, the gradients of the logits' means over two pixels are 0.5/2 for red and −0.5/2
    # for green: they change by 0.1, colours by 0.05. The network learns from the image.
    found = adapted(pooling="gap", climb=CLIMB)
    expected = [1.1 * (1.6 * red + 0.25 * 0.2) for red in (0.85, 0.45)]
    torch.testing.assert_close(found, torch.tensor([[0.85, 0.45], expected]))
    # Views learn as without a climb; the maps of both are summed.
    found = adapted(pooling="gap", climb=CLIMB, learn_from="views", flip=True)
    expected = [2 * 1.16 * (2.2 * red + 0.5 * 0.2) for red in (0.85, 0.45)]
    torch.testing.assert_close(found, torch.tensor([[1.7, 0.9], expected]))


# -- against a plain loop --------------------------------------------------------------------------


def plain_ends(network, image, number, spec):
    """The image at the end of its climb for one class, with its mirror image, at each scale."""
    mean, std = network.normalize.mean, network.normalize.std
    found = []
    for scale in spec.scales:
        size = [round(side * scale) for side in image.shape[-2:]]
        scaled = F.interpolate(image[None], size, mode="bilinear")
        steps = spec.climb.steps_below_one if scale < 1 else spec.climb.steps
        views = torch.cat([scaled, scaled.flip(-1)])
        for _, climbed in ascend(network, views, torch.tensor([number]), steps, spec.climb):
            last = climbed
        found.append(last * std + mean)
    return found


def maps_of_ends(network, of_class, number, size):
    """The map of a class, normalised; of_class: from `plain_ends`."""
    total = 0
    for straight, mirrored in of_class:
        for view, mirror in ((straight, False), (mirrored, True)):
            scores = network.score_maps(network.features(view[None]))[:, number : number + 1]
            seen = scores.relu().flip(-1) if mirror else scores.relu()
            total = total + F.interpolate(seen, size, mode="bilinear")[0, 0]
    return total / (total.max() + 1e-5)


def plain_rib(network, image, tagged, seed, spec, training):
    """The maps of one image's tags from a copy of the network, written down plainly."""
    network = copy.deepcopy(network).requires_grad_(True)
    numbers = tagged.nonzero().flatten().tolist()
    climbed = [plain_ends(network, image, n, spec) for n in numbers] if spec.climb else None
    head = list(network.head.parameters())
    optimizer = torch.optim.SGD(
        [
            {"params": list(network.backbone.parameters()), "lr": spec.lr},
            {"params": head, "lr": spec.lr * 10},
        ]
    )
    rows = np.flatnonzero(training.sharing_no_tag(tagged.numpy()[None])[0])
    steps = []
    for step in range(spec.steps + 1):
        with torch.no_grad():
            scales = Cam(scales=spec.scales, flip=spec.flip, stride=spec.stride)
            one = Batch(image[None], tagged[None], [seed])
            steps.append(cam.localize(network, one, scales)[0, tagged])
            if climbed:
                pairs = zip(climbed, numbers, strict=True)
                size = steps[-1].shape[-2:]
                steps[-1] = torch.stack([maps_of_ends(network, *pair, size) for pair in pairs])
        if step == spec.steps:
            break
        count = min(spec.companions, len(rows))
        chosen = np.random.default_rng([seed, step]).choice(rows, count, replace=False)
        fill = network.normalize.mean.flatten().tolist()
        examples = [(image[None], tagged)]
        for place, row in enumerate(chosen):
            (view,) = training.views([[(row, (seed, step, place))]], spec.augment, fill)
            examples.append((view / 255, torch.from_numpy(training.tagged[row])))
        if spec.learn_from == "views":
            examples.append((image[None].flip(-1), tagged))
            for scale in spec.scales:
                if scale > 1:
                    size = [round(side * scale) for side in image.shape[-2:]]
                    larger = F.interpolate(image[None], size, mode="bilinear")
                    examples += [(larger, tagged), (larger.flip(-1), tagged)]
        loss = 0
        for views, tags in examples:
            scores = network.score_maps(network.features(views))[0]
            for number in tags.nonzero().flatten().tolist():
                map_ = scores[number].relu().detach()
                normal = map_ / (map_.max() + 1e-5)
                inside = scores[number][normal <= spec.pooled_below]
                logit = inside.mean() if len(inside) else torch.tensor(0.0)
                loss = loss - torch.clamp(logit, max=spec.margin)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    total = sum(steps)  # those of CAM are normalised
    return total / (total.amax((1, 2), keepdim=True) + 1e-5)


CLIMBS = {"steps": 1, "steps_below_one": 1, "step": "scaled", "step_size": 0.5}


@pytest.mark.parametrize(
    "options",
    [
        {"companions_per_pass": 1},
        {"learn_from": "views"},
        {"climb": CLIMBS | {"steps": 2}, "scales": (1.0, 0.5)},
        {"climb": CLIMBS | {"pairs_per_pass": 1}, "scales": (0.5, 1.0)},
    ],
)
def test_it_equals_a_plain_loop_over_copies(network, training, options):
    spec = Rib(**SMALL, lr=0.01, **options)
    batch = a_batch()
    found = localize(network, batch, spec, training=training)
    assert found.shape == (3, 3, 6, 8)
    assert not found[~batch.tagged].any()
    for row in (0, 1):
        expected = plain_rib(
            network, batch.images[row], batch.tagged[row], batch.seeds[row], spec, training
        )
        torch.testing.assert_close(
            found[row, batch.tagged[row]], expected, atol=1e-5, rtol=1e-5, check_dtype=False
        )
    plain = cam.localize(network, batch, Cam())
    assert (found - plain)[batch.tagged].abs().max() > 0.01
    if spec.climb:
        without = localize(
            network, batch, spec.model_copy(update={"climb": None}), training=training
        )
        assert (found - without)[batch.tagged].abs().max() > 0.01


def test_a_climb_of_no_step_is_none(network, training):
    batch = a_batch()
    found = [
        localize(network, batch, Rib(**SMALL, scales=(1,), climb=climb), training=training)
        for climb in (None, {"steps": 0})
    ]
    torch.testing.assert_close(*found, atol=1e-6, rtol=1e-5)


def test_no_step_is_plain_cam(network, training):
    batch = a_batch()
    plain = cam.localize(network, batch, Cam())[batch.tagged]
    still = localize(network, batch, Rib(steps=0), training=training)[batch.tagged]
    torch.testing.assert_close(still, plain, atol=3e-5, rtol=0, check_dtype=False)


def test_the_network_is_left_as_it_was_and_images_do_not_see_each_other(network, training):
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    spec, batch = Rib(**SMALL, lr=0.01), a_batch()
    found = localize(network, batch, spec, training=training)
    for name, tensor in network.state_dict().items():
        assert torch.equal(tensor, before[name]), name
    assert not any(parameter.requires_grad for parameter in network.parameters())
    assert all(parameter.grad is None for parameter in network.parameters())
    assert not any(module.training for module in network.modules())
    second = Batch(batch.images[1:2], batch.tagged[1:2], batch.seeds[1:2])
    assert torch.equal(localize(network, second, spec, training=training)[0], found[1])
    other = second._replace(seeds=[1])
    assert not torch.equal(localize(network, other, spec, training=training)[0], found[1])


def test_the_network_is_left_as_it_was_by_an_error(network):
    weight = network.head.weight.clone()
    with pytest.raises(RuntimeError, match="on purpose"), trainable(network):
        network.head.weight.data.zero_()
        raise RuntimeError("on purpose")
    assert torch.equal(network.head.weight, weight)
    assert not network.head.weight.requires_grad


def test_an_image_that_stops_early_leaves_no_gradient_to_the_next():
    # It stops for its area, after its gradients were made.
    gap = ONE_VIEW | {"pooling": "gap"}
    stopping = Rib(**gap | {"steps": 3}, early_exit=True, exit_area=0.5, exit_score=0)
    network, tagged = Scaled(), torch.tensor([True, False])
    with trainable(network) as restore:
        draws = companions(np.arange(4), 0, stopping)
        assert len(list(adapt(network, IMAGE, tagged, draws, stopping, Plain()))) == 1
        restore()
        steps = list(adapt(network, IMAGE, tagged, draws, Rib(**gap), Plain()))
    torch.testing.assert_close(torch.stack(steps)[:, 0, 0], adapted(pooling="gap"))


def test_steps_after_an_early_exit_are_no_numbers(network, training):
    spec = Rib(**SMALL, lr=0.01, early_exit=True, exit_score=0, exit_area=0, keep_steps=True)
    batch = a_batch()
    found = localize(network, batch, spec, training=training)
    assert found.steps.shape == (3, 3, 4, 6, 8)
    assert found.steps[batch.tagged][:, 1:].isnan().all()
    assert not found.steps[batch.tagged][:, 0].isnan().any()
    plain = cam.localize(network, batch, Cam())[batch.tagged]
    torch.testing.assert_close(
        found.maps[batch.tagged], plain, atol=3e-5, rtol=0, check_dtype=False
    )


def test_half_precision_learns_too(training):
    torch.manual_seed(3)
    small = Classifier(Backbone(name="test_resnet", output_stride=8), 3).eval()
    small.requires_grad_(False)
    batch = a_batch()._replace(images=a_batch().images.float())
    spec = Rib(**SMALL, lr=0.01, keep_steps=True)
    whole = localize(small, batch, spec, training=training).steps[1, 1]
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        half = localize(small, batch, spec, training=training).steps[1, 1]
    growth, half_growth = (steps.amax((1, 2)) / steps[0].max() for steps in (whole, half))
    assert growth[-1] > 1.2
    torch.testing.assert_close(half_growth, growth, rtol=0.1, atol=0)


def test_scales_without_one_are_refused():
    config = {
        "datasets": {"digits": {"kind": "digits"}},
        "maps": {"rib": {"method": "rib", "scales": [0.5, 2.0]}},
        "experiments": ["digits"],
    }
    with pytest.raises(ConfigError, match=r"maps\.rib\.scales: scales must hold 1"):
        parse_config(config)
