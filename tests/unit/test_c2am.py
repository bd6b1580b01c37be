"""C²AM, with and without hints, by hand; batches larger than memory; which side is the object."""

import math

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from tags2masks.config.objectness import C2amHMaps, C2amMaps, RefinedMaps
from tags2masks.config.saliency_networks import C2am, C2amH, Refined
from tags2masks.config.training import Backbone
from tags2masks.errors import UserError
from tags2masks.nets.backbones import create_backbone, load_initial_weights
from tags2masks.objectness.c2am import find
from tags2masks.objectness.c2am_h import find as find_hinted
from tags2masks.objectness.refined import find as find_refined
from tags2masks.saliency_networks import c2am, c2am_h, refined
from tags2masks.saliency_networks.contrast import alike, border_mean, contrast, unlike
from tags2masks.training import make_optimizer

TINY = Backbone(name="test_resnet", output_stride=8)


def plain_contrast(foregrounds, backgrounds, decay, pairs):
    """Eq. 4 with loops; `pairs: all` as the public code has it."""
    count, total = len(foregrounds), 0.0
    for vectors in (foregrounds, backgrounds):
        close = torch.tensor(
            [[torch.cosine_similarity(a, b, 0).item() for b in vectors] for a in vectors]
        ).clamp(5e-4, 1 - 5e-4)
        for i in range(count):
            others = sorted((j for j in range(count) if j != i), key=lambda j: -close[i, j])
            for rank, j in enumerate(others):
                total -= (
                    math.exp(-decay * rank)
                    * close[i, j].log()
                    / (count * (count - 1) if pairs == "others" else count**2)
                )
            if pairs == "all":
                total -= math.exp(decay) * close[i, i].log() / count**2
    for one in foregrounds:
        for other in backgrounds:
            close = torch.cosine_similarity(one, other, 0).clamp(5e-4, 1 - 5e-4)
            total -= (1 - close).log() / count**2
    return float(total)


def test_two_vectors_by_hand():
    # Their cosine is 1/√2: −log 0.7071 = 0.3466.
    vectors = torch.tensor([[1.0, 0], [1, 1]])
    assert alike(vectors, 0.25, "others").item() == pytest.approx(0.34657, abs=1e-5)
    # The public code: a vector's own cosine is clamped to 0.9995, and its weight is e^0.25 = 1.284.
    itself = math.exp(0.25) * -math.log(0.9995)
    by_code = (2 * 0.34657 + 2 * itself) / 4
    assert alike(vectors, 0.25, "all").item() == pytest.approx(by_code, abs=1e-5)
    assert by_code == pytest.approx(0.1736, abs=1e-4)


def test_foreground_and_background_at_right_angles_by_hand():
    # A cosine of 0 is clamped to 0.0005: −log 0.9995 = 5.0e-4, and no gradient.
    foreground = torch.tensor([[1.0, 0]], requires_grad=True)
    loss = unlike(foreground, torch.tensor([[0.0, 1]]))
    loss.backward()
    assert loss.item() == pytest.approx(5.0e-4, abs=1e-6) and not foreground.grad.any()


@pytest.mark.parametrize("pairs", ["others", "all"])
def test_the_loss_is_the_plain_one(pairs):
    torch.manual_seed(0)
    foregrounds, backgrounds = torch.rand(2, 6, 5)
    spec = C2am(pairs=pairs, rank_decay=0.4)
    figures = contrast(foregrounds, backgrounds, spec)
    plain = plain_contrast(foregrounds, backgrounds, 0.4, pairs)
    assert figures["loss"].item() == pytest.approx(plain, rel=1e-5)
    terms = (figures[name] for name in ("foregrounds", "backgrounds", "contrast"))
    assert figures["loss"].item() == pytest.approx(sum(terms).item(), rel=1e-6)


def test_one_image_has_no_other():
    assert alike(torch.ones(1, 3), 0.25, "others").item() == 0


def test_borders_by_hand():
    # 28 cells of a side have a border of 4, as in the public code.
    inside = torch.zeros(1, 1, 28, 28)
    inside[..., 4:24, 4:24] = 1
    assert border_mean(inside, 0.143).tolist() == [0]
    assert border_mean(1 - inside, 0.143).tolist() == [1]
    one = torch.zeros(1, 1, 28, 28)
    one[..., 3, 10] = 1
    assert border_mean(one, 0.143).item() == pytest.approx(1 / (28 * 28 - 20 * 20))


class Fixed(nn.Module):
    """A network with given logits, by the mean of an image."""

    def __init__(self, logits, inverted=False):
        super().__init__()
        self.fixed = logits
        self.register_buffer("inverted", torch.tensor(inverted))

    def logits(self, images):
        return self.fixed.expand(len(images), -1, -1, -1)


@pytest.mark.parametrize(("outside", "inverted"), [(3.0, True), (0.0, False), (-3.0, False)])
def test_borders_that_are_foreground_are_background(outside, inverted):
    logits = torch.full((1, 1, 28, 28), outside)
    logits[..., 8:20, 8:20] = -outside
    network = Fixed(logits)
    c2am.settle(network, [torch.zeros(2, 3, 8, 8, dtype=torch.uint8)] * 3, C2am())
    assert bool(network.inverted) is inverted


@pytest.mark.parametrize(
    ("inverted", "option", "expected"),
    [
        (False, "negated", [0, 0.5, 1]),
        (True, "negated", [1, 0, 0]),
        (True, "complement", [1, 0.25, 0]),  # 1 − logit: 2, 0.5, 0
    ],
)
def test_maps_by_hand(inverted, option, expected):
    network = Fixed(torch.tensor([[[[-1.0, 0.5, 1.0]]]]), inverted)
    spec = C2amMaps(scales=(1,), flip=False, stride=1, inverted=option)
    maps = find(network, torch.zeros(1, 3, 1, 3), spec)
    torch.testing.assert_close(maps, torch.tensor([[[expected]]]).float(), atol=1e-4, rtol=0)


def test_refined_maps_are_mean_probabilities():
    def network(images):
        return images[:, :1] * 4 - 2  # −2 or 2

    image = torch.zeros(1, 3, 2, 4)
    image[..., :2] = 1
    maps = find_refined(network, image, RefinedMaps(flip=True, stride=2))
    high = 1 / (1 + math.exp(-2))
    torch.testing.assert_close(maps, torch.tensor([[[[high, 1 - high]]]]))


def test_maps_with_hints_are_never_inverted_by_hand():
    spec = C2amHMaps(network=C2amH(hints="a/b"), scales=(1,), flip=False, stride=1)
    maps = find_hinted(Fixed(torch.tensor([[[[-1.0, 0.5, 1.0]]]])), torch.zeros(1, 3, 1, 3), spec)
    torch.testing.assert_close(maps, torch.tensor([[[[0, 0.5, 1]]]]), atol=1e-4, rtol=0)


def test_the_refined_networks_loss_by_hand():
    def network(images):
        return torch.tensor([0.0, 2.0, -1.0, 9.0]).reshape(1, 1, 1, 4)

    masks = torch.tensor([[[0, 1, 1, 255]]], dtype=torch.uint8)
    images = torch.zeros(1, 3, 1, 4, dtype=torch.uint8)
    figures = refined.step(network, [images, masks], None, Refined())
    # −log 0.5, −log sigmoid(2) and −log sigmoid(−1); the ignored pixel does not count.
    expected = (math.log(2) + math.log1p(math.exp(-2)) + math.log1p(math.exp(1))) / 3
    assert figures["loss"].item() == pytest.approx(expected, abs=1e-6)
    salient = (0.5 + 1 / (1 + math.exp(-2)) + 1 / (1 + math.exp(1))) / 3
    assert figures["salient"].item() == pytest.approx(salient, abs=1e-6)


@pytest.mark.parametrize("decoder", ["unet", "fpn"])
def test_the_refined_network_has_a_logit_for_each_pixel(decoder):
    spec = Refined(backbone=Backbone(name="test_resnet", output_stride=32), decoder=decoder)
    network = refined.build(spec, 20).eval()
    assert network(torch.zeros(1, 3, 40, 52)).shape == (1, 1, 40, 52)


def test_hints_by_hand():
    logits, hints = torch.tensor([[[[0.0, 2.0, 5.0]]]]), torch.tensor([[[[0.5, 0.6, 0.4]]]])

    def loss(**options):
        spec = C2amH(hints="a/b", hint_score=0.4, **options)
        return c2am_h.hint_loss(logits, hints, spec).item()

    # Cells above 0.4 alone: −log sigmoid(0) = 0.6931 and −log sigmoid(2) = 0.1269.
    assert loss() == pytest.approx((0.6931 + 0.1269) / 2, abs=1e-4)
    assert loss(hint_mean="sum") == pytest.approx(0.8201, abs=1e-4)
    # A target of 0.95: unchanged at logit 0, 0.1269 + 0.05 · 2 at logit 2.
    assert loss(label_smoothing=0.1) == pytest.approx((0.6931 + 0.2269) / 2, abs=1e-4)


def test_without_a_hint_the_loss_is_that_of_c2am():
    torch.manual_seed(0)
    spec = C2amH(backbone=TINY, hints="a/b")
    network = c2am_h.build(spec, 3).eval()
    images = torch.randint(256, (3, 3, 32, 32), dtype=torch.uint8)
    none = torch.full((3, 32, 32), 102, dtype=torch.uint8)  # 0.4, which is not above 0.4
    figures = c2am_h.step(network, [images, none], None, spec)
    plain = c2am.step(network, [images], None, C2am(backbone=TINY))
    assert figures["hints"].item() == 0
    assert figures["loss"].item() == pytest.approx(plain["loss"].item(), abs=1e-6)


def gradients(spec, micro_batch=None):
    """The loss, the gradients and the buffers after a pass of a network from the same weights.

    In double precision, where the order of sums does not matter.
    """
    torch.manual_seed(0)
    network, images = c2am.build(spec, 3).double().train(), torch.rand(6, 3, 32, 32).double()
    if spec.freeze_bn:
        network.backbone.eval()
    _, foregrounds, backgrounds = network(images, micro_batch)
    loss = contrast(foregrounds, backgrounds, spec)["loss"]
    loss.backward()
    found = {name: parameter.grad for name, parameter in network.named_parameters()}
    return loss.item(), found, dict(network.named_buffers())


@pytest.mark.parametrize("micro_batch", [1, 4, 5])
def test_micro_batches_have_the_gradients_of_the_whole_batch(micro_batch):
    loss, whole, buffers = gradients(C2am(backbone=TINY, freeze_bn=True))
    again, parts, others = gradients(C2am(backbone=TINY, freeze_bn=True), micro_batch)
    assert again == pytest.approx(loss, abs=1e-12)
    assert whole["head.0.weight"].any() and whole["backbone.conv1.0.weight"].any()
    for name, gradient in whole.items():
        torch.testing.assert_close(parts[name], gradient, rtol=1e-6, atol=1e-12)
    for name, buffer in buffers.items():  # the head's batch norm saw the whole batch
        torch.testing.assert_close(others[name], buffer, rtol=1e-6, atol=1e-12)


def test_a_micro_batch_moves_the_statistics_of_batch_norm_once():
    loss, whole, buffers = gradients(C2am(backbone=TINY))
    again, parts, others = gradients(C2am(backbone=TINY), 6)
    assert again == pytest.approx(loss, abs=1e-12)
    for name, gradient in whole.items():
        torch.testing.assert_close(parts[name], gradient, rtol=1e-6, atol=1e-12)
    moved = [name for name in buffers if name.endswith("running_mean")]
    assert moved and all(buffers[name].any() for name in moved)
    for name, buffer in buffers.items():
        torch.testing.assert_close(others[name], buffer, rtol=1e-6, atol=1e-12)


def test_the_background_is_exact_where_nearly_all_is_foreground():
    torch.manual_seed(0)
    network, features = c2am.build(C2am(backbone=TINY), 3).eval(), torch.rand(2, 512, 14, 14)
    with torch.no_grad():
        shares = torch.full((2, 1, 14, 14), 0.98)
        network.features = lambda images: features
        network.head = nn.Identity()
        network.head.forward = lambda cells: shares.logit()
        _, foreground, background = network(None)
        torch.testing.assert_close(foreground, 0.98 * features.mean((2, 3)))
        torch.testing.assert_close(background, 0.02 * features.mean((2, 3)), rtol=1e-4, atol=0)
        network.features = lambda images: features.bfloat16()
        _, _, rough = network(None)
    torch.testing.assert_close(rough.float(), background, rtol=0.02, atol=0)


def test_strides_of_the_refined_network():
    with pytest.raises(ValueError, match=r"backbone\.output_stride: the encoder's is 32"):
        Refined(backbone={"name": "resnet18", "output_stride": 16})
    assert Refined(backbone={"name": "resnet18"}).backbone.output_stride == 32


def test_the_new_layer_learns_faster_and_batch_norm_learns():
    spec = C2am(backbone=TINY)
    network = c2am.build(spec, 3)
    backbone, head = make_optimizer(network, spec.optimizer).param_groups
    assert head["lr"] == pytest.approx(10 * backbone["lr"])
    assert {id(p) for p in head["params"]} == {id(p) for p in network.head.parameters()}
    learned = {id(p) for p in backbone["params"]}
    assert learned == {id(p) for p in network.backbone.parameters()}


def test_weights_of_a_self_supervised_checkpoint(tmp_path):
    torch.manual_seed(0)
    source = create_backbone(TINY)
    prefix = "module.encoder_q."
    state = {prefix + name: tensor for name, tensor in source.state_dict().items()}
    file = tmp_path / "moco.safetensors"
    save_file(state | {prefix + "fc.weight": torch.ones(2, 2), "queue": torch.ones(1)}, file)
    block = TINY.model_copy(update={"weights": str(file), "weights_prefix": prefix})
    network = create_backbone(TINY)
    load_initial_weights(network, block)
    for name, tensor in source.state_dict().items():
        torch.testing.assert_close(network.state_dict()[name], tensor)
    wrong = block.model_copy(update={"weights_prefix": "module.base."})
    with pytest.raises(UserError, match=r"no tensor's name begins with 'module\.base\.'"):
        load_initial_weights(network, wrong)
