"""Cross-consistency training: ramp, perturbations and loss by hand, and what teaches which part."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from tags2masks.config.segmenters import Cct, Perturbations
from tags2masks.segmenters import cct
from tags2masks.segmenters.learning import step as plain_step
from tags2masks.segmenters.perturbations import (
    PERTURBATIONS,
    Prediction,
    Seen,
    adversarial,
    context_masking,
    cutout,
    dropout,
    feature_drop,
    feature_noise,
    object_masking,
    vat,
)
from tags2masks.training import Moment

OFF = dict.fromkeys(PERTURBATIONS, 0)
ONE_EACH = dict.fromkeys(PERTURBATIONS, 1)
WITHOUT = {"growing": None, "label_smoothing": 0}  # options of plain segmenters
MOMENT = Moment(0.05, 5, (0, 1, 5))


def block(**perturbations):
    return Cct(
        backbone={"name": "test_resnet", "output_stride": 8}, perturbations=OFF | perturbations
    )


def seen(prediction=None, decoder=None, **options):
    spec, generator = Perturbations(**options), torch.Generator().manual_seed(0)
    return Seen(decoder, prediction, spec, generator)


def test_the_defaults_are_the_papers():
    spec = Cct()
    assert cct.kinds(spec.perturbations) == (
        ["dropout"] * 6 + ["cutout"] * 6 + ["vat"] * 2 + ["context_masking"] * 2
        + ["object_masking"] * 2 + ["feature_drop"] * 6 + ["feature_noise"] * 6
    )  # fmt: skip
    assert (spec.optimizer.lr, spec.optimizer.lr * spec.optimizer.head_factor) == (1e-3, 1e-2)
    assert (spec.batch_size, spec.augment.crop, spec.backbone.output_stride) == (10, 320, 8)


def test_the_ramp():
    assert 30 * cct.rise(0, 0.1) == pytest.approx(30 * math.exp(-5)) == pytest.approx(0.202, 1e-2)
    assert 30 * cct.rise(0.05, 0.1) == pytest.approx(30 * math.exp(-1.25))
    assert 30 * cct.rise(0.05, 0.1) == pytest.approx(8.6, 1e-2)
    assert cct.rise(0.1, 0.1) == cct.rise(0.7, 0.1) == cct.rise(0, 0) == 1


def test_dropout_drops_whole_channels_of_each_image_and_scales_the_others():
    found = dropout(torch.ones(2, 400, 2, 3), seen())
    per_channel = found.flatten(2)
    assert (per_channel == per_channel[..., :1]).all()
    assert set(per_channel.unique().tolist()) == {0, 2}
    shares = (per_channel[..., 0] == 0).float().mean(1)
    assert ((shares - 0.5).abs() < 4 * 0.5 / 400**0.5).all()
    assert not torch.equal(per_channel[0], per_channel[1])


def square(height, width, *boxes):
    """Logits of one image whose class is not background in boxes (top, left, height, width)."""
    logits = torch.zeros(1, 2, height, width)
    logits[:, 0] = 1
    for top, left, tall, wide in boxes:
        logits[0, 1, top : top + tall, left : left + wide] = 2
    return logits


def test_objects_are_connected_regions_that_are_not_tiny():
    # Two squares that touch at a corner are one object; one of 49 pixels is too small.
    logits = square(40, 40, (0, 0, 8, 8), (8, 8, 8, 8), (30, 30, 7, 7))
    prediction = Prediction.of(logits)
    assert prediction.boxes == [[(0, 0, 16, 16)]]
    assert prediction.objects.sum() == 64 + 64 + 49
    assert Prediction.of(square(40, 40, (0, 0, 5, 10))).boxes == [[(0, 0, 5, 10)]]


def test_cutout_erases_a_part_of_each_object():
    # Cells of one pixel: 40 % of 10 × 20 are 4 × 8, anywhere in the object.
    prediction = Prediction.of(square(40, 40, (5, 10, 10, 20)))
    found = {}
    for seed in range(200):
        state = seen(prediction)
        state.generator.manual_seed(seed)
        erased = (cutout(torch.ones(1, 3, 40, 40), state) == 0)[0]
        assert (erased == erased[:1]).all() and erased[0].sum() == 32
        rows, columns = erased[0].nonzero().unbind(1)
        assert (rows.max() - rows.min(), columns.max() - columns.min()) == (3, 7)
        found[rows.min().item(), columns.min().item()] = True
    tops, lefts = ({place[axis] for place in found} for axis in (0, 1))
    assert tops == set(range(5, 12)) and lefts == set(range(10, 23))


def test_cutout_on_coarse_features_and_without_objects():
    # A cell of 8 pixels is erased if its top left pixel is: all of the object, so cells 1 and 2.
    prediction = Prediction.of(square(32, 32, (5, 5, 16, 16)))
    found = cutout(torch.ones(1, 1, 4, 4), seen(prediction, cutout_share=1))
    expected = torch.ones(4, 4)
    expected[1:3, 1:3] = 0
    assert torch.equal(found[0, 0], expected)
    nothing = Prediction.of(square(32, 32))
    assert torch.equal(cutout(torch.ones(1, 1, 4, 4), seen(nothing)), torch.ones(1, 1, 4, 4))


def test_context_and_object_masking_are_complements():
    prediction = Prediction.of(square(8, 8, (0, 0, 4, 8)))
    features = torch.arange(8.0).view(1, 2, 2, 2) + 1
    objects = context_masking(features, seen(prediction))
    assert objects[0].tolist() == [[[1, 2], [0, 0]], [[5, 6], [0, 0]]]
    context = object_masking(features, seen(prediction))
    assert context[0].tolist() == [[[0, 0], [3, 4]], [[0, 0], [7, 8]]]


def test_feature_drop_zeroes_the_most_active_cells():
    # Means 1, 5, 8, 10: of 10, a share of 0.8 and more is dropped.
    features = torch.tensor([[1.0, 5, 8, 10]]).view(1, 1, 2, 2).repeat(1, 2, 1, 1)
    features = torch.cat([features, 3 * features])
    found = feature_drop(features, seen(drop_range=(0.8, 0.8)))
    assert found[:, 0].flatten(1).tolist() == [[1, 5, 0, 0], [3, 15, 0, 0]]
    found = feature_drop(features, seen(drop_range=(0.81, 0.99)))
    assert found[0, 1].flatten().tolist() == [1, 5, 8, 0]


def test_noise_is_relative_and_alike_in_all_images():
    features = torch.rand(2, 50, 4, 4) + 1
    change = feature_noise(features, seen()) / features - 1
    torch.testing.assert_close(change[0], change[1])
    assert 0.28 < change.abs().max() <= 0.3 and change.mean().abs() < 4 * 0.3 / 3**0.5 / 800**0.5


@pytest.fixture
def decoder():
    torch.manual_seed(1)
    return cct.make_decoder(3, 4, 4).double()


def test_the_adversarial_direction_is_the_gradient_of_the_divergence(decoder):
    features = torch.rand(2, 3, 2, 2, dtype=torch.float64)
    start = torch.randn_like(features)
    start /= start.flatten(1).norm(dim=1).view(-1, 1, 1, 1)
    found = adversarial(decoder, features, start)
    expected = torch.zeros_like(features)
    step = 1e-5
    for image in range(2):  # KL at x + ξd, differentiated by autograd, with a small ξ
        moved = (features[image] + step * start[image])[None].requires_grad_()
        shares = decoder(features[image][None]).detach().softmax(1)
        divergence = (shares * (shares.log() - decoder(moved).log_softmax(1))).sum()
        (gradient,) = torch.autograd.grad(divergence, moved)
        expected[image] = gradient[0] / gradient.norm()
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-3)
    torch.testing.assert_close(found.flatten(1).norm(dim=1), torch.ones(2, dtype=torch.float64))
    assert all(weight.grad is None for weight in decoder.parameters())


def test_the_adversarial_direction_of_a_linear_decoder_by_hand():
    # Two logits (x, 0) with p = 1/2: F = 1/4 [[1, −1], [−1, 1]], J = [[1, 0], [0, 0]] of features
    # (x, y): the direction is x's, whatever the start.
    linear = nn.Conv2d(2, 2, 1, bias=False)
    with torch.no_grad():
        linear.weight.copy_(torch.tensor([[1.0, 0], [0, 0]])[..., None, None])
    features = torch.zeros(1, 2, 1, 1)
    start = torch.tensor([0.6, 0.8]).view(1, 2, 1, 1)
    assert adversarial(linear, features, start).flatten().tolist() == [1, 0]
    moved = vat(features, seen(decoder=linear, vat_distance=3))
    assert moved.flatten().abs().tolist() == [3, 0]


def test_the_start_may_be_more_precise_than_the_features(decoder):
    # On GPUs autocast makes lengths float32 while features are of half precision.
    features = torch.rand(2, 3, 2, 2)
    start = torch.randn_like(features)
    found = adversarial(decoder.bfloat16(), features.bfloat16(), start)
    assert found.dtype == torch.bfloat16
    exact = adversarial(decoder.float(), features.bfloat16().float(), start.bfloat16().float())
    assert F.cosine_similarity(found.float().flatten(1), exact.flatten(1)).min() > 0.98


def test_the_decoder_shuffles_channels_into_pixels():
    torch.manual_seed(0)
    decoder = cct.make_decoder(5, 3, 8)
    assert [type(layer).__name__ for layer in decoder] == ["Conv2d"] + [
        "Conv2d", "ReLU", "PixelShuffle"
    ] * 3  # fmt: skip
    logits = decoder(torch.randn(2, 5, 4, 6))
    assert logits.shape == (2, 3, 32, 48) and (logits >= 0).all()
    spread = decoder[1].weight.view(3, 4, 3)  # the four pixels of each channel start equal
    assert torch.equal(spread, spread[:, :1].expand_as(spread))


class Given(nn.Module):
    """Gives logits that do not depend on the images."""

    def __init__(self, main, target, auxiliary):
        super().__init__()
        self.answer = main, target, auxiliary

    def all_logits(self, *inputs):
        return self.answer


def one_pixel(*logits):
    return torch.tensor(logits).view(1, -1, 1, 1)


def batch_of(mask, pseudo_mask):
    image = torch.zeros(1, 3, 1, 1, dtype=torch.uint8)
    labels = (torch.full((1, 1, 1), label, dtype=torch.uint8) for label in (mask, pseudo_mask))
    return [image, next(labels), image, next(labels)]


def test_the_loss_by_hand():
    even, sure = one_pixel(0.0, 0.0), one_pixel(0.0, math.log(3))
    network = Given(sure, even, [even, sure])
    found = cct.step(network, batch_of(1, 0), MOMENT, block())
    # Main: p = 3/4 of the true class. Auxiliary: (1/2, 1/2) is as the main's, (1/4, 3/4) is off by
    # 1/4 in both classes. Their mean cost of pseudo-label 0: (ln 2 + ln 4) / 2.
    consistency, weak = 0.25**2 / 2, 1.5 * math.log(2)
    assert found["supervised"].item() == pytest.approx(math.log(4 / 3))
    assert found["consistency"].item() == pytest.approx(consistency)
    assert found["weak"].item() == pytest.approx(weak)
    risen = math.exp(-1.25)
    total = math.log(4 / 3) + risen * 30 * consistency + risen * 0.4 * weak
    assert found["loss"].item() == pytest.approx(total)
    assert found["consistency_weight"] == pytest.approx(30 * risen)
    assert found["pixel_agreement"] == 1
    ignored = cct.step(network, batch_of(1, 255), MOMENT, block())
    assert ignored["weak"] == 0
    assert ignored["loss"].item() == pytest.approx(total - risen * 0.4 * weak)


def images_of(seed):
    generator = torch.Generator().manual_seed(seed)
    images = torch.randint(256, (2, 3, 32, 32), generator=generator, dtype=torch.uint8)
    labels = torch.randint(3, (2, 32, 32), generator=generator, dtype=torch.uint8)
    return [images, labels]


def gradients(network, spec, part):
    """The sum of absolute gradients of a part of the loss, by part of the network."""
    network.zero_grad()
    cct.step(network, images_of(0) + images_of(1), MOMENT, spec)[part].backward()
    parts = {"main": network.main, "auxiliary": network.auxiliary, "backbone": network.backbone}
    return {
        name: sum(p.grad.abs().sum().item() for p in module.parameters() if p.grad is not None)
        for name, module in parts.items()
    }


def test_pseudo_masks_and_consistency_teach_the_main_decoder_nothing():
    torch.manual_seed(0)
    spec = block(**ONE_EACH)
    network = cct.build(spec, 2)
    for part in ("weak", "consistency"):
        found = gradients(network, spec, part)
        assert found["main"] == 0 < min(found["auxiliary"], found["backbone"]), part
    found = gradients(network, spec, "supervised")
    assert found["auxiliary"] == 0 < min(found["main"], found["backbone"])


def test_without_auxiliary_decoders_it_is_plain_training_on_the_labelled_half():
    torch.manual_seed(0)
    spec = block()
    network = cct.build(spec, 2)
    found = cct.step(network, images_of(0) + images_of(1), MOMENT, spec)
    found["loss"].backward()
    mine = [p.grad.clone() for p in network.parameters() if p.grad is not None]
    means = network.pool.join[1].running_mean.clone()
    torch.manual_seed(0)
    network = cct.build(spec, 2)
    plain = plain_step(network, images_of(0), MOMENT, spec.model_copy(update=WITHOUT))
    plain["loss"].backward()
    assert torch.equal(found["loss"], plain["loss"])
    others = [p.grad for p in network.parameters() if p.grad is not None]
    assert len(mine) == len(others) and all(map(torch.equal, mine, others))
    assert torch.equal(means, network.pool.join[1].running_mean)


def test_a_step_depends_on_its_seeds_alone():
    torch.manual_seed(0)
    spec = block(**ONE_EACH)
    network = cct.build(spec, 2).eval()

    def loss(moment):
        torch.rand(3)  # the global state does not count
        return cct.step(network, images_of(0) + images_of(1), moment, spec)["loss"].item()

    assert loss(MOMENT) == loss(MOMENT)
    assert loss(MOMENT) != loss(Moment(0.05, 5, (0, 1, 6)))
    assert loss(MOMENT) != loss(Moment(0.05, 5, (0, 1, 5), rank=1, ranks=2))


def test_pooling_is_of_one_two_three_and_six_cells():
    torch.manual_seed(0)
    pool = cct.PyramidPooling(8).eval()
    features = torch.rand(1, 8, 6, 12)
    joined = [features]
    for side, (_, convolution, *_) in zip((1, 2, 3, 6), pool.pools, strict=True):
        means = features.unflatten(3, (side, -1)).unflatten(2, (side, -1)).mean((3, 5))
        mixed = F.conv2d(means, convolution.weight).relu() / math.sqrt(1 + 1e-5)
        joined.append(F.interpolate(mixed, (6, 12), mode="bilinear", align_corners=False))
    expected = F.conv2d(torch.cat(joined, 1), pool.join[0].weight, padding=1).relu()
    torch.testing.assert_close(pool(features), expected / math.sqrt(1 + 1e-5))


def test_guidance_does_not_depend_on_the_batch():
    logits = torch.cat([square(40, 40, (0, 0, 8, 8)), square(40, 40, (4, 4, 20, 20))])
    assert Prediction.of(logits).boxes == [[(0, 0, 8, 8)], [(4, 4, 20, 20)]]
    assert np.array_equal(Prediction.of(logits[1:]).objects, Prediction.of(logits).objects[1:])
