"""The machine of a program: device, threads, loading processes, precision, several processes."""

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
    """Where a job runs. It changes results only by rounding, except for several devices: each
    normalises its own part of a batch by live batch norm, and has the loss of its part, of which
    the mean counts, though in one part more pixels or cells may be known than in another.
    """

    device: str = "cpu"
    devices: int = 1
    threads: int = 2
    workers: int | None = None

    @property
    def loaders(self) -> int:
        """Number of image loading processes: by default `threads` with a GPU, none on a CPU."""
        if self.workers is not None:
            return self.workers
        return self.threads if self.device == "cuda" else 0

    @property
    def pass_pixels(self) -> int | None:
        """The pixels of images to localize in one pass, which are at least one image; None: any.

        A bound on memory where it is malloc's. CAMs by MobileNetV2 of 437 photographs of 40 sizes,
        at most 500 × 500, with mirror images, scales up to 1.5 and batches of 16: 13.9 GB without
        the bound and `allocator.give_back`, 3.1 GB with both and 2^20 pixels, 2.5 GB with these, in
        the same time.
        """
        return 800_000 if self.device == "cpu" else None


def prepare(machine: Machine, seed: int) -> None:
    """Set seeds, threads and deterministic algorithms for this process.

    Raises UserError if the config asks for a GPU and there is none.
    """
    if machine.device == "cuda" and not torch.cuda.is_available():
        raise UserError("device: cuda, but there is no GPU here; set device: cpu")
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    keep_freed_memory()
    torch.set_num_threads(machine.threads)
    torch.set_flush_denormal(True)  # denormal numbers in gradients slow a CPU down many times
    torch.use_deterministic_algorithms(True, warn_only=machine.device == "cuda")
    # By default deterministic mode fills each new tensor with NaN, to find reads of uninitialised
    # memory. This takes a fifth of the time of a network of many small operations.
    torch.utils.deterministic.fill_uninitialized_memory = False
    torch.manual_seed(seed)


def start_fabric(
    machine: Machine, precision: Precision, scaler: torch.amp.GradScaler | None
) -> Fabric:
    """Start the processes of a training.

    scaler: the loss scaler of 16-mixed, owned by the caller because its state is part of
    checkpoints; None for other precisions.
    """
    # Set explicitly: in a Slurm job Lightning would assume that srun starts its processes.
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
    """Whether this process is the one of a run that writes results."""
    return int(os.environ.get("LOCAL_RANK", 0)) == 0
