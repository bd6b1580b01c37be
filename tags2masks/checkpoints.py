"""Checkpoints of a training: one file per epoch, from which a killed run resumes exactly."""

import contextlib
import io
import lzma
import pickle
import struct
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from tags2masks.errors import UserError
from tags2masks.files import remove, written_whole
from tags2masks.given import open_given


@dataclass(frozen=True)
class State:
    """The folder of a run's checkpoints, and the fingerprint of its recipe, code and data."""

    folder: Path
    fingerprint: str


def state_file(folder: Path, epoch: int) -> Path:
    """The file of the state after an epoch, counted from 1."""
    return folder / f"epoch-{epoch:04d}.pt"


def save(
    state: State,
    networks: Sequence[nn.Module],
    optimizers: Sequence[torch.optim.Optimizer],
    scaler: torch.amp.GradScaler | None,
    rows: list[dict],
    keep: bool,
) -> None:
    """Write the checkpoint after len(rows) epochs; remove earlier ones unless `keep`."""
    path = state_file(state.folder, len(rows))
    earlier = [] if keep else list(state.folder.glob("epoch-*.pt"))
    buffer = io.BytesIO()
    torch.save(
        {
            "fingerprint": state.fingerprint,
            "networks": [network.state_dict() for network in networks],
            "optimizers": [optimizer.state_dict() for optimizer in optimizers],
            "scaler": scaler.state_dict() if scaler else {},
            "rows": rows,
        },
        buffer,
    )
    if path.is_dir():
        remove(path)
    with written_whole(path) as beside:
        # Not with torch.save: its error for a full disk is not an OSError.
        beside.write_bytes(buffer.getbuffer())
    for other in earlier:
        if other != path:
            remove(other)


def resume(
    state: State,
    networks: Sequence[nn.Module],
    optimizers: Sequence[torch.optim.Optimizer],
    scaler: torch.amp.GradScaler | None,
) -> list[dict]:
    """Load the last checkpoint of this run into the arguments and return its rows; [] without one.

    Files that are not checkpoints, do not fit the networks or have another fingerprint are skipped
    with a printed line.
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
        if not _fits(saved, networks, optimizers):
            print(f"{path}: of other networks; left aside, no need to act", flush=True)
            continue
        for parts, key in ((networks, "networks"), (optimizers, "optimizers")):
            for part, values in zip(parts, saved[key], strict=True):
                part.load_state_dict(values)
        if scaler:
            scaler.load_state_dict(saved["scaler"])
        print(f"{path}: going on after epoch {len(saved['rows'])}", flush=True)
        return saved["rows"]
    return []


def _fits(
    saved: dict, networks: Sequence[nn.Module], optimizers: Sequence[torch.optim.Optimizer]
) -> bool:
    """Whether a checkpoint fits the networks and optimizers; checked before anything is loaded."""
    if (len(saved["networks"]), len(saved["optimizers"])) != (len(networks), len(optimizers)):
        return False
    for network, values in zip(networks, saved["networks"], strict=True):
        if _shapes(network.state_dict()) != _shapes(values):
            return False
    for optimizer, values in zip(optimizers, saved["optimizers"], strict=True):
        groups, theirs = optimizer.param_groups, values.get("param_groups", [])
        counts = [len(group["params"]) for group in groups]
        if counts != [len(group.get("params", [])) for group in theirs]:
            return False
        own = [parameter for group in groups for parameter in group["params"]]
        order = [number for group in theirs for number in group["params"]]
        for number, parameter in zip(order, own, strict=True):
            kept = values.get("state", {}).get(number, {})
            if any(tensor.ndim and tensor.shape != parameter.shape for tensor in _tensors(kept)):
                return False
    return True


def _shapes(state: dict) -> dict[str, torch.Size]:
    return {name: value.shape for name, value in state.items()}


def _tensors(values: dict) -> list[torch.Tensor]:
    return [value for value in values.values() if isinstance(value, torch.Tensor)]


def load_plain(path: Path) -> object:
    """Load a file of `torch.save` on the CPU, without running code from it.

    Raises pickle.UnpicklingError for a file that would run code, and ValueError with a one-line
    message for a file that is absent, damaged or of another kind.
    """
    try:
        with open_given(path) as file:
            start = file.read(2)
        if start != b"PK" and start[:1] != b"\x80":
            raise ValueError("no file of torch.save")
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:
        raise
    except FAILURES as error:
        raise ValueError(str(error).partition("\n")[0] or type(error).__name__) from None


# Exceptions that torch, pickle and zipfile raise for damaged files.
FAILURES = (
    RuntimeError,
    EOFError,
    OSError,
    ValueError,
    KeyError,
    IndexError,
    TypeError,
    AttributeError,
    AssertionError,
    MemoryError,
    OverflowError,
    zipfile.BadZipFile,
    struct.error,
    zlib.error,
    lzma.LZMAError,
)
PARTS = {"fingerprint": str, "networks": list, "optimizers": list, "scaler": dict, "rows": list}


def read_state(path: Path) -> dict:
    """Read a checkpoint: `fingerprint`, `networks` (the state of each), `rows`, …

    Raises UserError naming a file that cannot be read or is no checkpoint.
    """
    try:
        _check_members(path)
        saved = load_plain(path)
    except (ValueError, pickle.UnpicklingError) as error:
        said = str(error).partition("\n")[0]
        raise UserError(f"{path}: not readable ({said})") from None
    if not _is_checkpoint(saved):
        raise UserError(f"{path}: not readable (no checkpoint of a training)")
    return saved


def _check_members(path: Path) -> None:
    """Raise ValueError if a member of the zip file fails its checksum; torch does not check it."""
    try:
        with open_given(path) as file, zipfile.ZipFile(file) as archive:
            damaged = archive.testzip()
    except FAILURES as error:
        raise ValueError(str(error) or type(error).__name__) from None
    if damaged is not None:
        raise ValueError(f"{damaged} is damaged")


def _is_checkpoint(saved: object) -> bool:
    if not isinstance(saved, dict):
        return False
    if not all(isinstance(saved.get(part), kind) for part, kind in PARTS.items()):
        return False
    inner = [*saved["networks"], *saved["optimizers"], *saved["rows"]]
    if not saved["networks"] or not all(isinstance(part, dict) for part in inner):
        return False
    return all(
        isinstance(value, torch.Tensor) for state in saved["networks"] for value in state.values()
    )


def end_state(state: State, keep: bool) -> None:
    """Remove the checkpoints of a run whose results are written, unless `keep`."""
    for path in sorted(state.folder.glob("epoch-*.pt")) if not keep else []:
        remove(path)
    with contextlib.suppress(OSError):
        state.folder.rmdir()
