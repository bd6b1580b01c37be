"""The training loop of all stages: schedule, steps, figures per epoch.

All random choices of an epoch depend only on (seed, epoch), so a run that is killed and resumed at
the start of an epoch gives the same result as an uninterrupted one.
"""

import itertools
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import wraps

import numpy as np
import torch
from lightning_fabric import Fabric
from lightning_utilities.core.apply_func import apply_to_collection
from torch import Tensor, nn
from torch.func import functional_call
from torch.utils.data import DataLoader, Dataset

from tags2masks.checkpoints import State, resume, save
from tags2masks.config.training import Optimizer, Ramp, Training
from tags2masks.data.views import Draw
from tags2masks.errors import UserError
from tags2masks.machine import Machine, start_fabric
from tags2masks.progress import progress


@dataclass(frozen=True)
class Moment:
    """Arguments of a training step in addition to the network and the batch.

    progress: share of the run's steps that are done, in [0, 1); number: the number of these steps.
    seeds: (seed of the run, epoch, step of the epoch); rank: this process among `ranks`.
    consult: the second network as a function, with constant weights; second: the second network
    itself, if it is trained. rate: the backbone's learning rate in this step.
    """

    progress: float
    number: int
    seeds: tuple[int, int, int]
    rank: int = 0
    ranks: int = 1
    consult: Callable[..., Tensor] | None = None
    second: nn.Module | None = None
    rate: float = 0.0

    def weight(self, ramp: Ramp, spec: Training) -> float:
        """The ramp's value at this step."""
        return ramp.at(self.progress, self.number, spec.epochs)

    def uniform(self, count: int) -> Tensor:
        """A random number in [0, 1) for each image of this process's batch, [count], on the CPU.

        It does not depend on the number of processes that share the batch.
        """
        seed = int(np.random.SeedSequence(self.seeds).generate_state(1, np.uint64)[0])
        generator = torch.Generator().manual_seed(seed)
        return torch.rand(count * self.ranks, generator=generator)[self.rank :: self.ranks]

    def generator(self, device: torch.device) -> torch.Generator:
        """A generator of this step's random numbers on a device, another one for each process."""
        seeds = np.random.SeedSequence((*self.seeds, self.rank, 1))
        return torch.Generator(device).manual_seed(int(seeds.generate_state(1, np.uint64)[0]))


# A method's training step on a batch of its stage. Returns named figures, among them "loss", which
# the network minimises, and optionally "second_loss" for the second network.
Step = Callable[[nn.Module, list[Tensor], Moment, Training], dict[str, Tensor | float]]
DESCENDED = ("loss", "second_loss")
# A measurement after an epoch, counted from 1, of the unwrapped network in evaluation mode.
Measure = Callable[[nn.Module, int], dict[str, float]]


def poly_rate(step: int, steps: int, optimizer: Optimizer) -> float:
    """Learning rate relative to the initial one: warmup · (1 − step/steps)^power, and drops."""
    rise = optimizer.warmup * steps
    rising = min(1.0, (step + 1) / rise) if rise else 1.0
    dropped = sum(step >= share * steps for share in optimizer.drops)
    return rising * (1 - step / steps) ** optimizer.poly_power * 0.1**dropped


def epoch_batches(count: int, batch_size: int, seed: int, epoch: int, rank: int, ranks: int):
    """The batches of an epoch for one of several processes, as lists of draws.

    Every image once in random order. The last batch may be smaller; if a process would get fewer
    than two images (batch norm needs two), it is filled with images from the start.
    """
    order = np.random.default_rng([seed, epoch]).permutation(count).tolist()
    batches = []
    for start in range(0, count, batch_size):
        rows = order[start : start + batch_size]
        short = max(0, 2 * ranks - len(rows)) if batch_size >= 2 * ranks else 0
        short = short or -len(rows) % ranks
        rows += list(itertools.islice(itertools.cycle(order), short))
        draws = [(row, seed, epoch, start + place) for place, row in enumerate(rows)]
        batches.append(draws[rank::ranks])
    return batches


class _Batches:
    """A batch sampler whose epoch is set by the training loop."""

    def __init__(self, *args):
        self.args, self.epoch = args, 0

    def __iter__(self) -> Iterator[list[Draw]]:
        count, batch_size, seed, rank, ranks = self.args
        yield from epoch_batches(count, batch_size, seed, self.epoch, rank, ranks)

    def __len__(self) -> int:
        return -(-self.args[0] // self.args[1])


def fit(
    network: nn.Module,
    views: Dataset,
    step: Step,
    spec: Training,
    seed: int,
    machine: Machine,
    state: State,
    measure: Measure = lambda network, epoch: {},
    second: nn.Module | None = None,
) -> list[dict[str, float]]:
    """Train a network in place and return a row per epoch: losses, rate, images/s, measures.

    views: gives a training example for a draw (row, seed, epoch, position). Its `collate`, if it
    has one, makes a batch of a list of examples.
    network: has `head_parameters()`, whose rate is multiplied by `head_factor`, and a `backbone`,
    whose batch norm is fixed by `freeze_bn`. `forward_methods` names further methods that a step
    may call.
    second: a second network that steps use. If some of its weights require a gradient, it is
    trained with its own optimizer, in evaluation mode. Both losses of a step are computed before
    any update. Resumes from the checkpoint in the state folder if it belongs to this run (same
    fingerprint).
    Raises UserError if the loss or a weight is not finite, and if a batch of one image is too small
    for the network's batch norm.
    """
    scaler = torch.amp.GradScaler(machine.device) if spec.precision == "16-mixed" else None
    fabric = start_fabric(machine, spec.precision, scaler)
    inner = network
    learning = [network] + ([second] if second is not None and _learns(second) else [])
    prepared = [
        fabric.setup(
            module.to(memory_format=torch.channels_last), make_optimizer(module, spec.optimizer)
        )
        for module in learning
    ]
    (network, *seconds), optimizers = zip(*prepared, strict=True)
    for name in getattr(inner, "forward_methods", ()):
        network.mark_forward_method(name)
        if fabric.world_size == 1 and spec.precision != "32-true":
            # Fabric redirects them to `forward`, which autocasts, with several processes alone.
            setattr(inner, name, _autocast(fabric, getattr(inner, name)))
    consult = None if second is None else _constant(fabric, second)
    rows = resume(state, learning, optimizers, scaler)
    sampler = _Batches(len(views), spec.batch_size, seed, fabric.global_rank, fabric.world_size)
    loader = fabric.setup_dataloaders(
        DataLoader(
            views,
            batch_sampler=sampler,
            collate_fn=getattr(views, "collate", None),
            num_workers=machine.loaders,
            persistent_workers=False,  # new workers get the sampler's current epoch
            pin_memory=machine.device == "cuda",
        ),
        use_distributed_sampler=False,
    )
    steps = spec.epochs * len(sampler)
    for epoch in range(len(rows), spec.epochs):
        torch.manual_seed(seed * 100_003 + epoch)
        sampler.epoch = epoch
        _train_mode(inner, spec.freeze_bn)
        sums: dict[str, Tensor | float] = {}
        counts: dict[str, int] = {}
        began = time.perf_counter()
        bar = progress(loader, f"epoch {epoch + 1}/{spec.epochs}", unit="batch")
        for number, batch in enumerate(bar):
            done = epoch * len(sampler) + number
            rate = poly_rate(done, steps, spec.optimizer)
            for group in (group for optimizer in optimizers for group in optimizer.param_groups):
                group["lr"] = group["initial_lr"] * rate
            moment = Moment(
                done / steps,
                done,
                (seed, epoch, number),
                fabric.global_rank,
                fabric.world_size,
                consult,
                *seconds,
                rate=spec.optimizer.lr * rate,
            )
            figures = _stepped(step, network, batch, moment, spec)
            for optimizer, name in zip(optimizers, DESCENDED, strict=False):
                if name in figures:
                    fabric.backward(figures[name])
                    optimizer.step()
                    optimizer.zero_grad()
            for name, value in figures.items():
                value = value.detach() if isinstance(value, Tensor) else value
                sums[name] = sums.get(name, 0) + value
                counts[name] = counts.get(name, 0) + 1
        took = time.perf_counter() - began
        means = {
            name: fabric.all_reduce(total / counts[name]).item() for name, total in sums.items()
        }
        for name in DESCENDED:
            if not np.isfinite(means.get(name, 0)):
                raise UserError(
                    f"the {name.replace('_', ' ')} became {means[name]} in epoch {epoch + 1}; "
                    "lower optimizer.lr"
                )
        for module in learning:
            if not all(torch.isfinite(parameter).all() for parameter in module.parameters()):
                raise UserError(
                    f"the weights are no longer finite in epoch {epoch + 1}; lower optimizer.lr"
                )
        inner.eval()
        with torch.no_grad():
            measured = measure(inner, epoch + 1)
        rows.append(
            {"epoch": epoch + 1, **means, **measured, "lr": spec.optimizer.lr * rate}
            | {"images_per_s": len(views) / took}
        )
        if fabric.is_global_zero:
            _announce(rows[-1], spec.epochs)
            save(state, learning, optimizers, scaler, rows, spec.keep_states)
        fabric.barrier()
    inner.eval()
    for name in getattr(inner, "forward_methods", ()):
        vars(inner).pop(name, None)
    return rows


def _autocast(fabric: Fabric, method: Callable) -> Callable:
    """A method of a network in the run's precision; it returns float32, as `forward` then does."""

    @wraps(method)
    def called(*inputs: Tensor) -> Tensor | list[Tensor]:
        with fabric.autocast():
            found = method(*inputs)
        return apply_to_collection(found, Tensor, Tensor.float)

    return called


def _stepped(
    step: Step, network: nn.Module, batch: list[Tensor], moment: Moment, spec: Training
) -> dict[str, Tensor | float]:
    try:
        return step(network, batch, moment, spec)
    except ValueError as error:
        if "more than 1 value per channel" not in str(error):
            raise
        raise UserError(
            f"batch_size: {spec.batch_size} leaves batch norm one value per channel; take two or "
            "more images for each GPU"
        ) from None


def _learns(network: nn.Module) -> bool:
    return any(parameter.requires_grad for parameter in network.parameters())


def _constant(fabric: Fabric, network: nn.Module) -> Callable[..., Tensor]:
    """The network as a function with constant weights, in the run's precision; returns float32."""
    fabric.to_device(network.eval())

    def answer(*inputs: Tensor) -> Tensor:
        weights = {name: parameter.detach() for name, parameter in network.named_parameters()}
        with fabric.autocast():
            return functional_call(network, weights, inputs).float()

    return answer


def make_optimizer(network: nn.Module, spec: Optimizer) -> torch.optim.Optimizer:
    """The optimizer of a network; group 1: pretrained weights, group 2: head parameters."""
    head = {id(parameter) for parameter in network.head_parameters()}
    trained = [p for p in network.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in trained if (id(p) in head) == new], "lr": spec.lr * factor}
        for new, factor in ((False, 1), (True, spec.head_factor))
    ]
    if spec.name == "sgd":
        optimizer = torch.optim.SGD(groups, momentum=spec.momentum, weight_decay=spec.weight_decay)
    else:
        optimizer = torch.optim.AdamW(groups, weight_decay=spec.weight_decay)
    for group in optimizer.param_groups:
        group["initial_lr"] = group["lr"]
    return optimizer


def _train_mode(network: nn.Module, freeze_bn: bool) -> None:
    network.train()
    if freeze_bn:  # only the backbone: new layers have no statistics yet
        for module in network.backbone.modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm):
                module.eval()


def _announce(row: dict, epochs: int) -> None:
    figures = [f"{name} {value:.4g}" for name, value in row.items() if name != "epoch"]
    print(f"epoch {row['epoch']}/{epochs}: {', '.join(figures)}", flush=True)
