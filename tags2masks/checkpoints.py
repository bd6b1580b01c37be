"""Checkpoints of a training: one file per epoch, from which a killed run resumes exactly."""

import contextlib
import pickle
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from tags2masks.errors import UserError
from tags2masks.files import written_whole


@dataclass(frozen=True)
class State:
    """Where a run keeps its checkpoints, and the fingerprint of its recipe, code and data."""

    folder: Path
    fingerprint: str


def state_file(folder: Path, epoch: int) -> Path:
    """Where the state after an epoch, counted from 1, is written."""
    return folder / f"epoch-{epoch:04d}.pt"


def save(
    state: State,
    networks: Sequence[nn.Module],
    optimizers: Sequence[torch.optim.Optimizer],
    scaler: torch.amp.GradScaler | None,
    rows: list[dict],
    keep: bool,
) -> None:
    """Write the checkpoint of a run after len(rows) epochs; earlier ones go unless `keep`."""
    path = state_file(state.folder, len(rows))
    earlier = [] if keep else list(state.folder.glob("epoch-*.pt"))
    with written_whole(path) as beside:
        torch.save(
            {
                "fingerprint": state.fingerprint,
                "networks": [network.state_dict() for network in networks],
                "optimizers": [optimizer.state_dict() for optimizer in optimizers],
                "scaler": scaler.state_dict() if scaler else {},
                "rows": rows,
            },
            beside,
        )
    for other in earlier:
        if other != path:
            other.unlink(missing_ok=True)


def resume(
    state: State,
    networks: Sequence[nn.Module],
    optimizers: Sequence[torch.optim.Optimizer],
    scaler: torch.amp.GradScaler | None,
) -> list[dict]:
    """Fill everything from the run's last checkpoint and return its rows; [] where there is none.

    Files that cannot be read or have another fingerprint are passed over, with a line that says so.
    """
    for path in sorted(state.folder.glob("epoch-*.pt"), reverse=True):
        try:
            saved = read_state(path)
        except UserError as error:
            print(f"{error}; left aside, no need to act", flush=True)
            continue
        if saved["fingerprint"] != state.fingerprint:
            print(f"{path}: from another code or data; starting anew", flush=True)
            continue
        for own, key in ((networks, "networks"), (optimizers, "optimizers")):
            for one, values in zip(own, saved[key], strict=True):
                one.load_state_dict(values)
        if scaler:
            scaler.load_state_dict(saved["scaler"])
        print(f"{path}: going on after epoch {len(saved['rows'])}", flush=True)
        return saved["rows"]
    return []


def read_state(path: Path) -> dict:
    """A checkpoint's contents: `fingerprint`, `networks` (the state of each), `rows`, …

    Raises UserError naming a file that cannot be read.
    """
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, EOFError, OSError, ValueError, pickle.UnpicklingError) as error:
        said = str(error).partition("\n")[0]
        raise UserError(f"{path}: not readable ({said})") from None


def end_state(state: State, keep: bool) -> None:
    """Remove the checkpoints of a run whose results are safely written, unless they are kept."""
    for path in sorted(state.folder.glob("epoch-*.pt")) if not keep else []:
        path.unlink(missing_ok=True)
    with contextlib.suppress(OSError):
        state.folder.rmdir()
