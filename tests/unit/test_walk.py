"""Pairs of cells, and random walks along them."""

import numpy as np
import pytest
import torch

from tags2masks.affinity.pairs import cells, half_disc, path
from tags2masks.affinity.walk import coefficients, transition, walk


def matrix_of(affinities, offsets, size, beta):
    """The transition matrix by its definition, dense and in float64."""
    height, width = size
    whole = np.eye(height * width)
    for (dy, dx), affinity in zip(offsets, affinities, strict=True):
        for y in range(height - dy):
            for x in range(max(0, -dx), width - max(0, dx)):
                here, there = y * width + x, (y + dy) * width + x + dx
                value = float(affinity[y, x - max(0, -dx)]) ** beta
                whole[here, there] = whole[there, here] = value
    return whole / whole.sum(1, keepdims=True)


def random_affinities(offsets, size, seed=0):
    generator = torch.Generator().manual_seed(seed)
    like = torch.empty(size)
    return [torch.rand(cells(like, o).shape, generator=generator) for o in offsets]


def test_half_disc():
    assert half_disc(2) == ((0, 1), (1, -1), (1, 0), (1, 1))
    assert len(half_disc(5)) == 34  # with their opposites and the cell itself 69
    disc = {(y, x) for y in range(-4, 5) for x in range(-4, 5) if 0 < y * y + x * x < 25}
    assert {*half_disc(5), *((-y, -x) for y, x in half_disc(5))} == disc
    with pytest.raises(ValueError, match="radius 1 reaches no other cell"):
        half_disc(1)


def test_paths():
    assert path((0, 2)) == ((0, 0), (0, 1), (0, 2))
    assert path((1, 1)) == ((0, 0), (0, 1), (1, 0), (1, 1))  # both corners are 0.7 away
    corners = {(0, 2), (2, 0)}  # 1.4 away
    assert {*path((2, 2))} == {(y, x) for y in range(3) for x in range(3)} - corners
    assert {*path((2, -2))} == {(y, -x) for y, x in path((2, 2))}


def test_cells():
    values = torch.arange(12).reshape(3, 4)
    assert cells(values, (1, -2)).tolist() == [[2, 3], [6, 7]]
    assert cells(values, (1, -2), (1, -2)).tolist() == [[4, 5], [8, 9]]
    assert cells(values, (0, 3)).tolist() == [[0], [4], [8]]
    assert cells(values, (3, 0)).numel() == 0 and cells(values, (0, 7)).numel() == 0


def test_a_walk_by_hand():
    offsets, size = half_disc(2), (3, 3)
    halves = [torch.full(cells(torch.empty(size), o).shape, 0.5) for o in offsets]
    matrix = transition(halves, offsets, size, 1)
    centre = torch.zeros(1, 3, 3)
    centre[0, 1, 1] = 1
    # To itself 1, to 3, 5 or 8 neighbours a half each: sums 2.5, 3.5 and 5.
    once = [[0.2, 1 / 7, 0.2], [1 / 7, 0.2, 1 / 7], [0.2, 1 / 7, 0.2]]
    np.testing.assert_allclose(walk(matrix, centre, 1)[0], once, atol=1e-7)
    middle = (0.2 + 0.5 * (4 * 0.2 + 4 / 7)) / 5
    corner = (0.2 + 0.5 * (2 / 7 + 0.2)) / 2.5
    assert walk(matrix, centre, 2)[0, 1, 1] == pytest.approx(middle, abs=1e-7)
    assert walk(matrix, centre, 2)[0, 2, 0] == pytest.approx(corner, abs=1e-7)
    squared = transition(halves, offsets, size, 2)  # 1 and quarters: 1 / (1 + 8 / 4)
    assert walk(squared, centre, 1)[0, 1, 1] == pytest.approx(1 / 3, abs=1e-7)
    assert torch.equal(walk(matrix, centre, 0), centre)


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (7, 1), (2, 3), (11, 8), (16, 21)])
@pytest.mark.parametrize("steps", [1, 7, 256])
def test_equal_to_the_dense_power(size, steps):
    offsets = half_disc(5)
    affinities = random_affinities(offsets, size)
    scores = torch.rand(3, *size, generator=torch.Generator().manual_seed(1))
    dense = np.linalg.matrix_power(matrix_of(affinities, offsets, size, 8), steps)
    expected = (scores.flatten(1).double().numpy() @ dense.T).reshape(scores.shape)
    found = walk(transition(affinities, offsets, size, 8), scores, steps).numpy()
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=3e-7)
    with_background = [np.pad(s / s.max(), ((1, 0), (0, 0), (0, 0)), constant_values=0.25)
                       for s in (found, expected)]  # fmt: skip
    assert np.array_equal(*[s.argmax(0) for s in with_background])


def test_nothing_crosses_a_wall():
    offsets, size = half_disc(2), (4, 5)
    edges = torch.zeros(size)
    edges[:, 2] = 1
    affinities = [
        1 - torch.stack([cells(edges, o, step) for step in path(o)]).amax(0) for o in offsets
    ]
    scores = torch.zeros(1, *size)
    scores[0, 0, 0] = 1
    found = walk(transition(affinities, offsets, size, 10), scores, 256)[0]
    assert (found[:, :2] > 0.05).all() and (found[:, 2:].abs() < 1e-7).all()


def test_coefficients():
    assert coefficients(0) == (1,)
    np.testing.assert_allclose(coefficients(1), (0, 1))
    np.testing.assert_allclose(coefficients(2), (0.5, 0, 0.5))  # x² = (1 + T_2) / 2
    np.testing.assert_allclose(coefficients(3), (0, 0.75, 0, 0.25))
    many = coefficients(256)
    assert len(many) < 90 and 1 - sum(many) <= 1e-7
    chebyshev = np.polynomial.chebyshev.chebval(np.linspace(-1, 1, 101), many)
    np.testing.assert_allclose(chebyshev, np.linspace(-1, 1, 101) ** 256, atol=1e-7)


def test_the_same_bytes_again():
    offsets, size = half_disc(4), (23, 31)
    affinities = random_affinities(offsets, size)
    scores = torch.rand(2, *size, generator=torch.Generator().manual_seed(2))
    one, two = (walk(transition(affinities, offsets, size, 10), scores, 64) for _ in range(2))
    assert torch.equal(one, two)


def test_the_matrix_is_whole():
    offsets, size = half_disc(3), (5, 4)
    matrix = transition(random_affinities(offsets, size), offsets, size, 2)
    columns = matrix.col_indices()
    assert columns.min() == 0 and columns.max() == 19
    assert matrix.crow_indices().diff().eq(25).all()  # as many as there are cells in the disc
    np.testing.assert_allclose(matrix.to_dense().sum(1), 1)
