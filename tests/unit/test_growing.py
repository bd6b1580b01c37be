"""Growing seeds: by hand on 5 x 5 cells, and against a queue."""

from collections import deque

import numpy as np
import pytest

from tags2masks.segmenters.dsrg import classes_seeded, grow


def table(text):
    """uint8 cells of rows of digits; a dot is a cell without a label."""
    rows = [[255 if c == "." else int(c) for c in row] for row in text.split()]
    return np.array(rows, np.uint8)


def shares(text, count=3):
    """[count, h, w] of rows such as `1a`: the likeliest class, and how sure by the letter."""
    sure = {"a": 0.995, "b": 0.9, "c": 0.7}
    cells = [row.split() for row in text.strip().splitlines()]
    out = np.empty((count, len(cells), len(cells[0])))
    for y, row in enumerate(cells):
        for x, (number, letter) in enumerate(row):
            out[:, y, x] = (1 - sure[letter]) / (count - 1)
            out[int(number), y, x] = sure[letter]
    return out


def grown_from(seeds, probabilities, tagged=None, foreground=0.99, background=0.85):
    seeds = seeds[None]
    tagged = classes_seeded(seeds, len(probabilities)) if tagged is None else tagged
    return grow(seeds, probabilities[None], tagged, foreground, background)[0]


def queue_growth(seeds, probabilities, tagged, foreground, background):
    """The same as the paper tells it: from each seed, neighbour by neighbour."""
    grown = seeds.copy()
    height, width = seeds.shape
    classes = [c for c in range(len(probabilities)) if tagged[c]]
    waiting = deque((y, x) for y in range(height) for x in range(width) if seeds[y, x] != 255)
    while waiting:
        y, x = waiting.popleft()
        number = grown[y, x]
        if number not in classes:
            continue
        limit = foreground if number else background
        for v in range(max(0, y - 1), min(height, y + 2)):
            for u in range(max(0, x - 1), min(width, x + 2)):
                best = max(classes, key=lambda c: probabilities[c, v, u])
                if grown[v, u] == 255 and best == number and probabilities[best, v, u] > limit:
                    grown[v, u] = number
                    waiting.append((v, u))
    return grown


def test_growing_by_hand():
    """Class 1 passes a corner, stops at what is unsure, and cannot reach its island; background
    grows at its own, lower threshold; class 2 has no seed and does not appear."""
    seeds = table("""
        1....
        .....
        .....
        .....
        ....0
    """)
    probabilities = shares("""
        1a 1b 0b 1a 1a
        1b 1a 1b 0c 1b
        0c 0c 1a 2a 0b
        1a 0c 0c 0b 0b
        1a 1a 0c 0c 0b
    """)
    expected = table("""
        1....
        .1...
        ..1.0
        ...00
        ....0
    """)
    np.testing.assert_array_equal(grown_from(seeds, probabilities), expected)


def test_each_threshold_is_for_its_own_kind():
    seeds, probabilities = table("1.0"), shares("1a 1b 0b")
    assert grown_from(seeds, probabilities).tolist() == [[1, 255, 0]]
    assert grown_from(seeds, probabilities, foreground=0.85).tolist() == [[1, 1, 0]]
    seeds, probabilities = table("1..0"), shares("1a 1b 0b 0b")
    assert grown_from(seeds, probabilities, background=0.99).tolist() == [[1, 255, 255, 0]]
    at_the_threshold = probabilities[1, 0, 1]
    found = grown_from(seeds, probabilities, foreground=at_the_threshold)
    assert found.tolist() == [[1, 255, 0, 0]]  # above, not at


def test_seeds_stay_and_bar_the_way():
    """A seed of class 2, which the network takes for class 1: it stays, and nothing passes."""
    seeds, probabilities = table("1.2.."), shares("1a 1a 1a 1a 1a")
    assert grown_from(seeds, probabilities).tolist() == [[1, 1, 2, 255, 255]]


def test_the_likeliest_among_the_images_classes():
    """Class 2 is the likeliest of all; where the image does not have it, class 1 is."""
    probabilities = np.array([0.1, 0.4, 0.5])[:, None, None].repeat(3, axis=2)
    seeds = table("1..")
    both, one = np.array([[True, True, True]]), np.array([[True, True, False]])
    limits = {"foreground": 0.3, "background": 0.3}
    assert grown_from(seeds, probabilities, both, **limits).tolist() == [[1, 255, 255]]
    assert grown_from(seeds, probabilities, one, **limits).tolist() == [[1, 1, 1]]


@pytest.mark.parametrize("limits", [(0.99, 0.85), (0.5, 0.6), (0.3, 0.2)])
def test_as_a_queue_would(limits):
    rng = np.random.default_rng(7)
    logits = rng.normal(size=(20, 4, 9, 11)) * 6
    logits += rng.normal(size=(20, 4, 1, 1)) * 3  # larger regions
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    seeds = np.where(rng.random((20, 9, 11)) < 0.08, rng.integers(0, 4, (20, 9, 11)), 255)
    seeds = seeds.astype(np.uint8)
    tagged = classes_seeded(seeds, 4)
    tagged[::3, 2] = False  # also seeds of a class that may not grow
    found = grow(seeds, probabilities, tagged, *limits)
    for number in range(20):
        expected = queue_growth(seeds[number], probabilities[number], tagged[number], *limits)
        np.testing.assert_array_equal(found[number], expected)
    assert (found != 255).sum() > 1.3 * (seeds != 255).sum()
    np.testing.assert_array_equal(found[seeds != 255], seeds[seeds != 255])


def test_each_image_grows_by_itself_and_the_seeds_are_not_written_to():
    seeds = np.stack([table("1.."), table("..."), table("..0")])
    kept = seeds.copy()
    probabilities = np.stack([shares("1a 1a 1a")] * 3)
    found = grow(seeds, probabilities, classes_seeded(seeds, 3), 0.99, 0.85)
    assert found[:, 0].tolist() == [[1, 1, 1], [255, 255, 255], [255, 255, 0]]
    np.testing.assert_array_equal(seeds, kept)
    again = grow(seeds, probabilities, classes_seeded(seeds, 3), 0.99, 0.85)
    assert again.tobytes() == found.tobytes()


def test_classes_seeded():
    seeds = np.stack([table("2."), table(".."), table("01")])
    expected = [[True, False, True], [True, False, False], [True, True, False]]
    assert classes_seeded(seeds, 3).tolist() == expected
