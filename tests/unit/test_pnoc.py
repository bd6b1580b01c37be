"""P-NOC's training: two networks in turn, resumed exactly; and the others through the same loop."""

import json

import pytest
import torch
import torch.nn.functional as F

from tags2masks.classifiers import pnoc, poc
from tags2masks.classifiers.occse import draw_class, erase, hard_share, soft_share
from tags2masks.classifiers.puzzle import merge, tile
from tags2masks.config.classifiers import METHODS, Pnoc, Poc
from tags2masks.config.tag_training import TagAugment
from tags2masks.config.training import Optimizer
from tags2masks.machine import Machine, prepare
from tags2masks.methods import method_module
from tags2masks.nets.checkpoint import save_model
from tags2masks.nets.classifier import Classifier
from tags2masks.nets.trained import load_trained
from tags2masks.provenance import provenance
from tags2masks.training import Moment, poly_rate
from tags2masks.workflow.ids import artifact_id
from tests.unit.learning import CONVNET, TINY, Scenes, resumed, same, trained, weights_of

NEW = ("puzzle", "occse", "poc", "pnoc")


def spec_of(method, **changes):
    """A short run of a tiny network."""
    values = {"backbone": CONVNET, "epochs": 4, "batch_size": 2, "augment": TagAugment(crop=8)}
    optimizer = Optimizer(lr=0.02, head_factor=2, momentum=0.9)
    return METHODS[method](**values | {"optimizer": optimizer} | changes)


@pytest.mark.parametrize("method", NEW)
def test_a_killed_run_resumes_to_the_same_bytes(tmp_path, method):
    resumed(tmp_path, spec_of(method))


def test_only_pnoc_changes_the_ordinary_classifier(tmp_path):
    torch.manual_seed(0)
    for method in NEW:
        prepare(Machine(threads=1), 0)
        Classifier(CONVNET, 3)
        before = Classifier(CONVNET, 3).state_dict()
        after = trained(tmp_path / method, spec_of(method))[0]
        kept = all(torch.equal(before[name], after[f"oc.{name}"]) for name in before)
        assert kept == (method != "pnoc"), method


def test_the_schedules_are_in_the_table(tmp_path):
    # Three steps in each of four epochs: the means are those of the middle steps.
    rows = trained(tmp_path / "a", spec_of("pnoc"))[1]
    middles = [1 / 12, 4 / 12, 7 / 12, 10 / 12]
    means = [(0 + 1 + 2) / 12 / 3 * 8, (3 + 4 + 5) / 12 / 3 * 8, 4, 4]
    assert [row["lambda_re"] for row in rows] == pytest.approx(means)
    assert [row["lambda_cse"] for row in rows] == pytest.approx([0.3 + 0.7 * p for p in middles])
    assert [row["lambda_noc"] for row in rows] == pytest.approx(middles)
    assert [row["delta_noc"] for row in rows] == pytest.approx([0.2] * 4)
    assert {row["k_noc"] for row in rows} == {1}
    changed = trained(tmp_path / "b", spec_of("pnoc", delta_noc={"end": 0.8}, k_noc=2))[1]
    assert changed[1]["delta_noc"] == pytest.approx(0.4)
    assert {row["k_noc"] for row in changed} == {2}


def test_the_effective_rate_of_the_ordinary_classifier_by_hand(tmp_path):
    # Step s of 12 has the rate 0.02 · (1 − s/12) and the weight s/12: 0.02 · s (12 − s) / 144.
    optimizer = Optimizer(lr=0.02, head_factor=2, poly_power=1)
    rows = trained(tmp_path, spec_of("pnoc", optimizer=optimizer, k_noc=2))[1]
    sums = [0 + 11 + 20, 27 + 32 + 35, 36 + 35 + 32, 27 + 20 + 11]
    assert [row["lr_noc"] for row in rows] == pytest.approx([0.02 * n / 144 / 3 for n in sums])
    assert "lr_noc" not in trained(tmp_path / "poc", spec_of("poc"))[1][0]


def plain_algorithm(steps):
    """Algorithm 1 with two optimizers, one network at a time: the weights of both after it."""
    prepare(Machine(threads=1), 0)
    spec = spec_of("pnoc", k_noc=2, label_smoothing=0.1)
    f, oc = Classifier(CONVNET, 3), Classifier(CONVNET, 3)
    optimizers = {}
    for net in (f, oc):
        groups = [
            {"params": list(net.backbone.parameters()), "lr": 0.02},
            {"params": list(net.head.parameters()), "lr": 0.04},
        ]
        optimizers[net] = torch.optim.SGD(groups, momentum=0.9, weight_decay=1e-4)

    def loss(logits, y, of=1.0):
        each = F.binary_cross_entropy_with_logits(logits, y * 0.9 + 0.05, reduction="none")
        return (each.mean(1) * of).mean()

    for i, (images, tags, moment) in enumerate(steps):
        x, progress, mean = images / 255, i / len(steps), CONVNET.mean
        for net, lr in ((f, 0.02), (oc, 0.02)):
            rate = poly_rate(i, len(steps), spec.optimizer)
            for group, factor in zip(optimizers[net].param_groups, (1, 2), strict=True):
                group["lr"] = lr * factor * rate
        # Fix noc and train f.
        oc.requires_grad_(False)
        maps = f.score_maps(f.features(x))
        merged = merge(f.score_maps(f.features(tile(x))))
        r = draw_class(tags, moment.uniform(len(tags)))
        has = r.sum(1)
        p_oc = oc(erase(x, soft_share(maps, r, x.shape[-2:], "batch"), mean))
        total = loss(maps.mean((2, 3)), tags) + loss(merged.mean((2, 3)), tags)
        apart = (maps - merged).abs() * tags[:, :, None, None]
        total = total + min(1, progress / 0.5) * 4 * apart.mean()
        total = total + (0.3 + 0.7 * progress) * loss(p_oc, tags - r, has)
        optimizers[f].zero_grad()
        total.backward()
        optimizers[f].step()
        oc.requires_grad_(True)
        # Fix f and train noc.
        if i % 2 == 0:
            hard = erase(x, hard_share(maps.detach(), r, x.shape[-2:], 0.2), mean)
            optimizers[oc].zero_grad()
            (progress * loss(oc(hard), tags, has)).backward()
            optimizers[oc].step()
    return weights_of(f, oc)


def test_the_loop_is_algorithm_1(tmp_path):
    seen, original = [], pnoc.step

    def recording(network, batch, moment, spec):
        seen.append((batch[0].clone(), batch[1].clone(), moment))
        return original(network, batch, moment, spec)

    pnoc.step = recording
    try:
        looped, rows = trained(tmp_path, spec_of("pnoc", k_noc=2, label_smoothing=0.1))
    finally:
        pnoc.step = original
    assert len(seen) == 12
    for name, tensor in plain_algorithm(seen).items():
        torch.testing.assert_close(looped[name], tensor, rtol=1e-4, atol=1e-6)
    assert all(row["noc"] > 0 for row in rows)


def test_each_loss_teaches_its_own_network():
    torch.manual_seed(0)
    spec = spec_of("pnoc")
    f, oc = Classifier(CONVNET, 3), Classifier(CONVNET, 3)
    images = torch.stack([Scenes(8)[row, 0, 0, 0][0] for row in range(5)])

    def frozen(erased):
        weights = {name: weight.detach() for name, weight in oc.named_parameters()}
        return torch.func.functional_call(oc, weights, (erased,))

    moment = Moment(0.5, 0, (0, 0, 0), consult=frozen, second=oc)
    losses = pnoc.step(f, [images, Scenes.tags], moment, spec)
    losses["second_loss"].backward(retain_graph=True)
    assert all(weight.grad is None for weight in f.parameters())
    assert all(weight.grad.abs().max() > 0 for weight in oc.parameters() if weight.ndim > 1)
    oc.zero_grad()
    losses["loss"].backward()
    assert all(weight.grad is None for weight in oc.parameters())
    assert f.head.weight.grad.abs().max() > 0
    rest = pnoc.step(
        f,
        [images, Scenes.tags],
        Moment(0.5, 1, (0, 0, 0), consult=frozen),
        spec_of("pnoc", k_noc=2),
    )
    assert "second_loss" not in rest and "noc" not in rest


def test_poc_is_the_sum_of_its_parts():
    torch.manual_seed(0)
    f, oc = Classifier(CONVNET, 3), Classifier(CONVNET, 3)
    batch = [torch.stack([Scenes(8)[row, 0, 0, 0][0] for row in range(5)]), Scenes.tags]
    moment = Moment(0.25, 0, (0, 0, 0), consult=oc)
    losses = {
        method: method_module("classifiers", {"method": method}).step(
            f, batch, moment, spec_of(method)
        )
        for method in ("puzzle", "occse", "poc")
    }
    assert isinstance(spec_of("poc"), Poc) and poc.build is pnoc.build
    for name in ("cls", "re_cls", "re", "lambda_re"):
        assert losses["poc"][name] == losses["puzzle"][name]
    assert losses["poc"]["cse"] == losses["occse"]["cse"]
    both = losses["puzzle"]["loss"] + losses["occse"]["loss"] - losses["occse"]["cls"]
    torch.testing.assert_close(losses["poc"]["loss"], both)


@pytest.mark.parametrize("precision", ["bf16-mixed", "16-mixed"])
@pytest.mark.parametrize("method", ["occse", "pnoc"])
def test_mixed_precision_runs_and_resumes(tmp_path, method, precision):
    spec = spec_of(method, precision=precision)
    whole, rows = trained(tmp_path / "whole", spec)
    assert not same(whole, trained(tmp_path / "full", spec_of(method))[0])
    assert all(row["loss"] == row["loss"] for row in rows)
    assert {tensor.dtype for tensor in whole.values()} <= {torch.float32, torch.int64}
    trained(tmp_path / "kept", spec_of(method, precision=precision, keep_states=True))
    for epoch in (3, 4):
        (tmp_path / f"kept/epoch-000{epoch}.pt").unlink()
    assert same(whole, trained(tmp_path / "kept", spec)[0])


@pytest.mark.parametrize("method", ["vanilla", *NEW])
def test_batches_of_one_image_and_images_without_a_tag(tmp_path, method):
    rows = trained(tmp_path, spec_of(method, batch_size=1, epochs=2))[1]
    assert len(rows) == 2 and rows[-1]["loss"] > 0


def test_the_ordinary_classifiers_batch_norm_is_fixed(tmp_path):
    augment = TagAugment(crop=32)
    changes = {"backbone": TINY, "augment": augment, "epochs": 1, "freeze_bn": False}
    after, _ = trained(tmp_path, spec_of("pnoc", **changes))
    fresh = Classifier(TINY, 3).state_dict()
    names = [name for name in fresh if "running_mean" in name]
    assert names
    assert all(torch.equal(fresh[name], after[f"oc.{name}"]) for name in names)
    assert not any(torch.equal(fresh[name], after[f"f.{name}"]) for name in names)


@pytest.mark.parametrize("method", NEW)
def test_what_is_saved_is_a_classifier(tmp_path, method):
    spec = spec_of(method)
    network = method_module("classifiers", {"method": method}).build(spec, 3)
    save_model(network, tmp_path / "model.safetensors")
    values = spec.key()
    values.pop("ordinary", None)
    recipe = {"stage": "classifier", "method": method, "spec": values, "upstream": {}}
    (tmp_path / "spec.json").write_text(
        json.dumps(provenance(recipe) | {"classes": ["a", "b", "c"]})
    )
    upstream = {"classifier": artifact_id(recipe)}
    files = (tmp_path / "model.safetensors", tmp_path / "spec.json")
    loaded, _ = load_trained("classifier", *files, upstream)
    image = torch.rand(1, 3, 12, 10)
    assert type(loaded) is Classifier
    assert torch.equal(loaded(image), network.eval()(image))
    assert loaded.score_maps(loaded.features(image)).shape == (1, 3, 12, 10)
    assert isinstance(spec_of("pnoc"), Pnoc)
