"""The training loop: schedule, batches, exact resume after a kill."""

import io
import zipfile

import pytest
import torch
from torch import nn

from tags2masks.checkpoints import State, end_state
from tags2masks.config.training import Augment, Backbone, Optimizer, Training
from tags2masks.errors import UserError
from tags2masks.machine import Machine, prepare
from tags2masks.training import epoch_batches, fit, poly_rate


class Tiny(nn.Module):
    """One convolution, dropout (a random choice inside the network) and a linear head."""

    def __init__(self):
        super().__init__()
        self.backbone = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Dropout(0.5))
        self.head = nn.Linear(4, 2)

    def forward(self, images):
        return self.head(self.backbone(images).mean((2, 3)))

    def head_parameters(self):
        return list(self.head.parameters())


class Noise(torch.utils.data.Dataset):
    """Images drawn from their draw alone."""

    def __len__(self):
        return 7

    def __getitem__(self, draw):
        generator = torch.Generator().manual_seed(hash(draw) % 2**31)
        return torch.rand(3, 8, 8, generator=generator), torch.tensor([draw[0] % 2, 1.0])


def step(network, batch, moment, spec):
    images, tags = batch
    return {"loss": nn.functional.multilabel_soft_margin_loss(network(images), tags)}


def spec(**changes):
    """A short run."""
    values = {"epochs": 4, "batch_size": 3, "freeze_bn": False, "backbone": Backbone()}
    return Training(**values | {"augment": Augment(), "optimizer": Optimizer(lr=0.1)} | changes)


def trained(folder, spec_=None, measure=lambda network, epoch: {}, fingerprint="f"):
    """Weights and rows of a run from scratch in this process."""
    prepare(Machine(threads=1), 0)
    network = Tiny()
    state = State(folder, fingerprint)
    rows = fit(network, Noise(), step, spec_ or spec(), 0, Machine(threads=1), state, measure)
    return network.state_dict(), rows


def same(one, other):
    return all(torch.equal(one[name], other[name]) for name in one)


def test_measures_are_of_the_network_at_rest_and_know_the_epoch(tmp_path):
    _, rows = trained(
        tmp_path, spec(epochs=3), lambda network, epoch: {"at": epoch, "rest": not network.training}
    )
    assert [(row["at"], row["rest"]) for row in rows] == [(1, True), (2, True), (3, True)]


def test_poly_rate_by_hand():
    plain = Optimizer(poly_power=2)
    assert poly_rate(0, 10, plain) == 1
    assert poly_rate(5, 10, plain) == pytest.approx(0.25)
    warm = Optimizer(poly_power=0, warmup=0.4)
    assert [poly_rate(n, 10, warm) for n in range(5)] == pytest.approx([0.25, 0.5, 0.75, 1, 1])
    dropping = Optimizer(poly_power=0, drops=(0.5, 0.8))
    rates = [poly_rate(n, 10, dropping) for n in range(10)]
    assert rates == pytest.approx([1] * 5 + [0.1] * 3 + [0.01] * 2)


def test_an_epoch_shows_every_image_once_and_ranks_share_it():
    whole = epoch_batches(10, 4, seed=3, epoch=1, rank=0, ranks=1)
    assert [len(batch) for batch in whole] == [4, 4, 2]
    assert sorted(draw[0] for batch in whole for draw in batch) == list(range(10))
    halves = [epoch_batches(10, 4, 3, 1, rank, 2) for rank in (0, 1)]
    # The last batch of two is filled up to two images for each of the two processes.
    assert [[len(b) for b in half] for half in halves] == [[2, 2, 2], [2, 2, 2]]
    assert {d for half in halves for d in half[0]} == set(whole[0])
    assert whole != epoch_batches(10, 4, 3, 2, 0, 1)


@pytest.mark.parametrize(("count", "expected"), [(1, [2]), (5, [4, 2]), (4, [4])])
def test_no_batch_of_one_image(count, expected):
    assert [len(b) for b in epoch_batches(count, 4, 0, 0, 0, 1)] == expected


def test_two_runs_give_the_same_bytes(tmp_path):
    assert same(trained(tmp_path / "a")[0], trained(tmp_path / "b")[0])


@pytest.mark.parametrize("killed_after", [1, 3])
def test_a_killed_run_resumes_to_the_same_bytes(tmp_path, killed_after):
    undisturbed, rows = trained(tmp_path / "whole")
    epochs = []

    def kill(network, epoch):
        epochs.append(1)
        if len(epochs) == killed_after + 1:
            raise KeyboardInterrupt
        return {}

    with pytest.raises(KeyboardInterrupt):
        trained(tmp_path / "killed", measure=kill)
    assert [p.name for p in (tmp_path / "killed").iterdir()] == [f"epoch-{killed_after:04d}.pt"]
    counted = []
    resumed, again = trained(tmp_path / "killed", measure=lambda *_: counted.append(1) or {})
    assert len(counted) == 4 - killed_after
    assert same(undisturbed, resumed)
    assert [row["loss"] for row in rows] == [row["loss"] for row in again]


def flipped(written):
    """A checkpoint with a bit flipped in one of its tensors."""
    with zipfile.ZipFile(io.BytesIO(written)) as archive:
        part = next(m for m in archive.infolist() if m.filename.endswith("data/0"))
        place = written.index(archive.read(part), part.header_offset)
    return written[:place] + bytes([written[place] ^ 1]) + written[place + 1 :]


def test_a_state_of_another_run_or_a_damaged_one_is_not_used(tmp_path, capsys):
    undisturbed, _ = trained(tmp_path / "whole")
    trained(tmp_path / "s", spec(epochs=2), fingerprint="other")
    assert same(undisturbed, trained(tmp_path / "s")[0])
    assert "from another code or data; starting anew" in capsys.readouterr().out
    for left in (0, 10, 100, 2000, "flipped"):
        (path,) = (tmp_path / "s").iterdir()
        written = path.read_bytes()
        path.write_bytes(flipped(written) if left == "flipped" else written[:left])
        assert same(undisturbed, trained(tmp_path / "s")[0])
        lines = [line for line in capsys.readouterr().out.splitlines() if "not readable" in line]
        assert len(lines) == 1 and lines[0].endswith("left aside, no need to act")


def _reshaped(saved):
    saved["networks"][0]["head.weight"] = torch.zeros(3, 4)
    return saved


def _other_momentum(saved):
    saved["optimizers"][0]["state"][0]["momentum_buffer"] = torch.zeros(1, 2)
    return saved


CONTENTS = {
    "tensor": lambda saved: torch.zeros(3),
    "list": lambda saved: [1],
    "no fingerprint": lambda saved: {k: v for k, v in saved.items() if k != "fingerprint"},
    "number": lambda saved: saved | {"networks": 3},
    "no tensors": lambda saved: saved | {"networks": [{"a": 1}]},
    "other shapes": _reshaped,
    "fewer layers": lambda saved: saved | {"networks": [{"a": torch.zeros(1)}]},
    "other momentum": _other_momentum,
    "no optimizers": lambda saved: saved | {"optimizers": []},
}


@pytest.mark.parametrize("kind", [*CONTENTS, "text", "folder"])
def test_what_is_no_checkpoint_of_this_run_is_passed_over(tmp_path, capsys, kind):
    undisturbed, _ = trained(tmp_path / "whole")
    trained(tmp_path / "s", spec(epochs=2))
    path = tmp_path / "s/epoch-0002.pt"
    if kind in CONTENTS:
        torch.save(CONTENTS[kind](torch.load(path)), path)
    elif kind == "text":
        path.write_text("hello\n")
    else:
        path.unlink()
        (path / "inner").mkdir(parents=True)
        for number in (1, 4):  # the next to be written, and a later one
            (tmp_path / f"s/epoch-{number:04d}.pt").mkdir()
    capsys.readouterr()
    weights, rows = trained(tmp_path / "s")
    assert same(undisturbed, weights) and len(rows) == 4
    (line, *_) = capsys.readouterr().out.splitlines()
    assert "epoch-000" in line and line.endswith("left aside, no need to act")
    assert [p.name for p in (tmp_path / "s").iterdir() if p.is_file()] == ["epoch-0004.pt"]
    end_state(State(tmp_path / "s", "f"), keep=False)
    assert not (tmp_path / "s").exists()


def test_the_head_learns_faster_and_frozen_batch_norm_stays(tmp_path):
    still = spec(epochs=1, freeze_bn=True, optimizer=Optimizer(lr=1e-9, head_factor=1e6))
    prepare(Machine(threads=1), 0)
    start = Tiny().state_dict()
    end, rows = trained(tmp_path, still)
    assert (end["head.weight"] - start["head.weight"]).abs().max() > 1e-6
    assert (end["backbone.0.weight"] - start["backbone.0.weight"]).abs().max() < 1e-8
    assert torch.equal(end["backbone.1.running_mean"], start["backbone.1.running_mean"])
    assert set(rows[0]) == {"epoch", "loss", "lr", "images_per_s"}


def test_a_batch_that_is_too_small_for_batch_norm_is_told(tmp_path):
    class Pooled(Tiny):
        def __init__(self):
            super().__init__()
            self.norm = nn.BatchNorm1d(4)

        def forward(self, images):
            return self.head(self.norm(self.backbone(images).mean((2, 3))))

    prepare(Machine(threads=1), 0)
    with pytest.raises(UserError, match=r"batch_size: 1 leaves batch norm one value .* two"):
        fit(
            Pooled(), Noise(), step, spec(batch_size=1), 0, Machine(threads=1), State(tmp_path, "f")
        )


def test_states_are_kept_on_request_and_else_removed(tmp_path):
    trained(tmp_path / "kept", spec(keep_states=True))
    assert len(list((tmp_path / "kept").iterdir())) == 4
    end_state(State(tmp_path / "kept", "f"), keep=True)
    assert len(list((tmp_path / "kept").iterdir())) == 4
    end_state(State(tmp_path / "kept", "f"), keep=False)
    assert not (tmp_path / "kept").exists()


def test_a_diverging_loss_is_told(tmp_path):
    with pytest.raises(UserError, match=r"loss became .* in epoch \d; lower optimizer\.lr"):
        trained(tmp_path, spec(optimizer=Optimizer(lr=1000, head_factor=1e6), epochs=20))


def test_weights_that_are_not_finite_are_told_before_they_are_measured(tmp_path):
    def overflowing(network, batch, moment, spec):
        bias = network.head.bias  # a loss of 0, whose gradient throws it far at the last step
        return {"loss": (bias - bias.detach()).sum() * (1e38 if moment.number == 2 else 0)}

    prepare(Machine(threads=1), 0)
    measured, state = [], State(tmp_path, "f")
    fast = spec(epochs=1, optimizer=Optimizer(lr=1000))
    with pytest.raises(UserError, match=r"no longer finite in epoch 1; lower optimizer\.lr"):
        fit(
            Tiny(), Noise(), overflowing, fast, 0, Machine(threads=1), state,
            measure=lambda *_: measured.append(1) or {},
        )  # fmt: skip
    assert measured == []


@pytest.mark.parametrize("precision", ["bf16-mixed", "16-mixed"])
def test_mixed_precision_runs_and_resumes(tmp_path, precision):
    mixed = spec(precision=precision)
    whole, rows = trained(tmp_path / "whole", mixed)
    assert not same(whole, trained(tmp_path / "full")[0])
    assert rows[-1]["loss"] < 1
    for path in sorted((tmp_path / "whole").iterdir()):
        assert path.name == "epoch-0004.pt"
    kept = spec(precision=precision, keep_states=True)
    trained(tmp_path / "kept", kept)
    (tmp_path / "kept/epoch-0004.pt").unlink()
    (tmp_path / "kept/epoch-0003.pt").unlink()
    assert same(whole, trained(tmp_path / "kept", mixed)[0])


def test_a_consulted_network_answers_in_the_runs_precision_and_is_left_alone(tmp_path):
    prepare(Machine(threads=1), 0)
    network, consulted, seen = Tiny(), Tiny().requires_grad_(False), set()
    consulted.head.register_forward_hook(lambda module, given, answer: seen.add(answer.dtype))
    before = {name: tensor.clone() for name, tensor in consulted.state_dict().items()}

    def asking(network, batch, moment, spec):
        answer = moment.consult(batch[0])
        assert answer.dtype == torch.float32 and moment.second is None
        return {"loss": (network(batch[0]) - answer).square().mean(), "told": moment.progress}

    state, mixed = State(tmp_path, "f"), spec(precision="bf16-mixed")
    rows = fit(network, Noise(), asking, mixed, 0, Machine(threads=1), state, second=consulted)
    assert seen == {torch.bfloat16}
    assert same(before, consulted.state_dict())
    # Three steps in each of four epochs; a row has the mean over an epoch's steps.
    assert [row["told"] for row in rows] == pytest.approx([1 / 12, 4 / 12, 7 / 12, 10 / 12])


class TinyOfTwo(Tiny):
    """As `Tiny`, with a method that steps call beside `forward`."""

    forward_methods = ("both",)

    def both(self, *batches):
        return [self.head(self.backbone(images).mean((2, 3))) for images in batches]


@pytest.mark.parametrize(
    ("precision", "dtype"), [("32-true", torch.float32), ("bf16-mixed", torch.bfloat16)]
)
def test_methods_beside_forward_have_the_runs_precision_too(tmp_path, precision, dtype):
    prepare(Machine(threads=1), 0)
    network, seen = TinyOfTwo(), set()
    network.head.register_forward_hook(lambda module, given, answer: seen.add(answer.dtype))

    def calling(network, batch, moment, spec):
        answers = network.both(batch[0], batch[0])
        assert all(answer.dtype == torch.float32 for answer in answers)
        return {"loss": sum(answer.square().mean() for answer in answers)}

    state, mixed = State(tmp_path, "f"), spec(precision=precision)
    fit(network, Noise(), calling, mixed, 0, Machine(threads=1), state)
    assert seen == {dtype}
    network.both(torch.zeros(1, 3, 8, 8))  # after the training as it was before
    assert torch.float32 in seen
