"""Random walks: sparse polynomials against dense squaring, and against plain sparse products."""

import sys
from functools import partial
from pathlib import Path

import numpy as np
import scipy.sparse
import torch
from torch import Tensor

from benchmarks.peak import watched
from benchmarks.timing import Row, alternate, compared, counted
from tags2masks.affinity.irn import affinity
from tags2masks.affinity.pairs import half_disc
from tags2masks.affinity.walk import transition, walk

TITLE = "Random walk (IRN, AffinityNet)"
HEADINGS = ("here", "plain")
ABOUT = (
    "A map of one class walks 2^8 steps along the boundaries of a random image: from affinities "
    "(radius 5, β 10) to the walked map, the sparse matrix's making included. Dense: the public "
    "codes' way, eight squarings of an N × N matrix of float32. Sparse: 256 products with scipy's "
    "matrix of float64, made beforehand (of float32 the map would be off by 2e-4). The floor of "
    "ours is reading the matrix, some 69 numbers and places a cell, 84 times. Argmax at the "
    "background score 0.25 is identical in all rows, or they fail. The last but one rows tell how "
    "time grows with the pixels; the last, what a walk of 94 × 125 cells, a VOC image, adds to the "
    "process's memory."
)
STEPS, BETA, BACKGROUND = 256, 10, 0.25
OFFSETS = half_disc(5)


def material(height: int, width: int) -> tuple[list[Tensor], Tensor]:
    """Affinities of random boundaries, smooth enough to walk across, and a class's scores."""
    generator = torch.Generator().manual_seed(0)
    edges = torch.rand(height, width, generator=generator) ** 6
    scores = torch.rand(1, height, width, generator=generator) ** 4 * (1 - edges)
    return [affinity(edges, offset) for offset in OFFSETS], scores


def sparse(affinities: list[Tensor], scores: Tensor) -> Tensor:
    """The walk as the masks are made with it."""
    return walk(transition(affinities, OFFSETS, scores.shape[1:], BETA), scores, STEPS)


def matrix_of(affinities: list[Tensor], scores: Tensor) -> Tensor:
    """The transition matrix, dense, float64."""
    return transition(affinities, OFFSETS, scores.shape[1:], BETA).to_dense()


def squared(matrix: Tensor, scores: Tensor) -> Tensor:
    """The walk by dense squaring of the transition matrix."""
    for _ in range(STEPS.bit_length() - 1):
        matrix = matrix @ matrix
    return (matrix @ scores.flatten()).reshape(scores.shape)


def multiplied(matrix: scipy.sparse.csr_array, scores: Tensor) -> Tensor:
    """The walk by one sparse product for each step."""
    values = scores.flatten().double().numpy()
    for _ in range(STEPS):
        values = matrix @ values
    return torch.from_numpy(values).float().reshape(scores.shape)


def same(first: Tensor, second: Tensor) -> None:
    """Raise AssertionError unless the maps are alike, and their masks the same."""
    first, second = first / first.max(), second / second.max()
    torch.testing.assert_close(first, second, atol=5e-4, rtol=0)
    assert torch.equal(first > BACKGROUND, second > BACKGROUND), "another mask"


def measure(quick: bool) -> list[Row]:
    """Seconds per image."""
    sizes = [(6, 8), (9, 12)] if quick else [(32, 40), (48, 64), (72, 96)]
    rows = []
    for height, width in sizes:
        affinities, scores = material(height, width)
        dense = matrix_of(affinities, scores)
        plain, dense = scipy.sparse.csr_array(dense.numpy()), dense.float()
        result = sparse(affinities, scores)
        same(result, multiplied(plain, scores))
        same(result, squared(dense, scores))
        times = alternate(
            [
                partial(sparse, affinities, scores),
                partial(squared, dense, scores),
                partial(multiplied, plain, scores),
            ],
            1 if height * width > 4000 else 3,
        )
        rows.append(compared(f"{height} × {width}; dense squaring", times[0], times[1]))
        rows.append(compared(f"{height} × {width}; sparse products", times[0], times[2]))
    return [*rows, *_growth(quick), _memory(*((12, 16) if quick else (94, 125)))]


def _growth(quick: bool) -> list[Row]:
    """A size against four times as many cells."""
    sides = [(6, 8)] if quick else [(32, 40), (64, 80)]
    rows = []
    for height, width in sides:
        few, many = material(height, width), material(2 * height, 2 * width)
        work = [partial(sparse, *few), partial(sparse, *many)]
        [run() for run in work]
        what = f"{height} × {width}; {2 * height} × {2 * width}, four times the cells"
        rows.append(compared(what, *alternate(work, 5)))
    return rows


def _memory(height: int, width: int) -> Row:
    command = [sys.executable, "-m", "benchmarks.walk", str(height), str(width)]
    grown = float(watched(command, Path(__file__).resolve().parents[1]).printed)
    cells = height * width
    return counted(
        f"memory, {height} × {width}; a dense matrix alone", grown, 4 * cells**2 / 1e6, "MB"
    )


def _status(name: str) -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:")) * 1024 / 1e6


if __name__ == "__main__":
    given = material(*map(int, sys.argv[1:]))
    sparse(*material(5, 5))  # what the libraries take at their first use is not the walk's
    before = _status("VmRSS")
    sparse(*given)
    print(max(0.1, np.round(_status("VmHWM") - before, 1)))
