"""Where a program computes: device, threads, loading processes, precision, several processes."""

import os
from dataclasses import dataclass

import torch
from lightning_fabric import Fabric
from lightning_fabric.plugins import MixedPrecision
from lightning_fabric.plugins.environments import LightningEnvironment

from tags2masks.allocator import keep_freed_memory
from tags2masks.config.training import Precision
from tags2masks.errors import UserError

AUTOCAST = {"32-true": None, "bf16-mixed": torch.bfloat16, "16-mixed": torch.float16}
"""The dtype of autocast for each precision of the config; None: no autocast."""


@dataclass(frozen=True)
class Machine:
    """Where a job runs. It changes results by rounding alone, but for live batch norm on several
    devices: each normalises its own part of a batch.
    """

    device: str = "cpu"
    devices: int = 1
    threads: int = 2
    workers: int | None = None

    @property
    def loaders(self) -> int:
        """Image loading processes: by default none on a CPU, whose cores the network keeps busy."""
        if self.workers is not None:
            return self.workers
        return self.threads if self.device == "cuda" else 0


def prepare(machine: Machine, seed: int) -> None:
    """Make everything that follows in this process repeatable.

    Raises UserError when the config asks for a GPU that is not there.
    """
    if machine.device == "cuda" and not torch.cuda.is_available():
        raise UserError("device: cuda, but there is no GPU here; set device: cpu")
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    keep_freed_memory()
    torch.set_num_threads(machine.threads)
    torch.set_flush_denormal(True)  # vanishing gradients would take a CPU many times as long
    torch.use_deterministic_algorithms(True, warn_only=machine.device == "cuda")
    # Else each new tensor is filled with NaN, to find code that reads it unwritten: a fifth of the
    # time of a network of many small operations.
    torch.utils.deterministic.fill_uninitialized_memory = False
    torch.manual_seed(seed)


def start_fabric(
    machine: Machine, precision: Precision, scaler: torch.amp.GradScaler | None
) -> Fabric:
    """Start the processes of a training.

    scaler: the loss scaler of 16-mixed, which the caller keeps because its state is part of a
    checkpoint; None for every other precision.
    """
    # The environment is named because Lightning would take a Slurm job for one of its own making.
    plugins: list = [LightningEnvironment()]
    if scaler is not None:
        plugins.append(MixedPrecision("16-mixed", machine.device, scaler))
    fabric = Fabric(
        accelerator=machine.device,
        devices=machine.devices,
        strategy="ddp" if machine.devices > 1 else "auto",
        precision=None if scaler is not None else precision,
        plugins=plugins,
    )
    fabric.launch()
    return fabric


def is_main_process() -> bool:
    """Whether this process, of a run's several, is the one that writes the results."""
    return int(os.environ.get("LOCAL_RANK", 0)) == 0
