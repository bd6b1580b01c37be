"""Local prototypes of the classes by K-Means (Chen & Sun, CVPR 2023, eq. 1-4).

The local features of a class's images are split at CAM >= τ into features of the class and of its
context. Both are clustered by direction, and the classifier's confidence selects the centres that
become prototypes.

Differs from the paper: if no centre of the class passes `min_class_score`, the best one is kept
(the public code stops with an error). At most `samples` features of each kind are clustered,
sampled uniformly. Differs from the public code: the split uses the CAM at one scale, as in eq. 1,
in the code the multi-scale CAM; K-Means is scikit-learn's, with a limit on iterations (with `tol`
it is the code's, which otherwise may not terminate). As in the code, features are assigned by
direction, and a centre is the mean of unnormalised features, whose length eq. 3 needs.

Classes are processed one after the other, and features are computed again for each. So memory holds
the samples of one class and a batch of images, for any number of images: with 20,000 samples of
2,048 channels 160 MB for each kind, and twice as much for clustering. This takes one forward pass
at one scale per tag of an image; maps of four scales and flips take as much as fifteen such passes.
"""

import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from sklearn.cluster import KMeans
from sklearn.exceptions import ConvergenceWarning
from threadpoolctl import threadpool_limits
from torch import Tensor, nn

from tags2masks.config.prototypes import Prototypes
from tags2masks.data.randomness import image_seed
from tags2masks.data.views import WholeImages, size_by_size
from tags2masks.machine import Machine
from tags2masks.nets.score_maps import normalize
from tags2masks.progress import progress
from tags2masks.prototypes.store import ClassPrototypes, Patch

NEAREST = 8  # patches kept of each centre


class Sample:
    """A uniform random sample of at most `limit` of the offered features.

    It keeps the features with the smallest random keys, so the order of offers does not matter.
    """

    def __init__(self, limit: int):
        self.limit = limit
        self._keys = np.empty(0)
        self._features, self._places = np.empty((0, 0), np.float32), np.empty((0, 0), np.int32)

    def offer(self, keys: np.ndarray, features: np.ndarray, places: np.ndarray) -> None:
        """keys: random, [n]; features: float32 [n, C]; places: where they are from, int [n, P]."""
        held = len(self._keys)
        if len(keys) == 0:
            return
        if held == 0:
            # Pages that are never written take no memory.
            self._features = np.empty((self.limit, features.shape[1]), np.float32)
            self._places = np.empty((self.limit, places.shape[1]), np.int32)
        both = np.concatenate([self._keys, keys])
        best = np.arange(len(both))
        if len(both) > self.limit:
            best = np.argpartition(both, self.limit - 1)[: self.limit]
        stays = np.zeros(len(both), bool)
        stays[best] = True
        new = np.flatnonzero(stays[held:])
        left = np.flatnonzero(~stays[:held])
        slots = np.concatenate([left, np.arange(held, held + len(new) - len(left))])
        self._keys = np.concatenate([self._keys, np.empty(len(new) - len(left))])
        self._keys[slots], self._features[slots] = keys[new], features[new]
        self._places[slots] = places[new]

    def taken(self) -> tuple[np.ndarray, np.ndarray]:
        """The features float32 [n, C] and their places int [n, P], in the order of their keys."""
        order = np.argsort(self._keys)
        return self._features[order], self._places[order]


def unit(vectors: np.ndarray) -> np.ndarray:
    """The rows of [n, C] at length 1; rows of zeros stay."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / np.maximum(lengths, 1e-12)


def cluster(features: np.ndarray, clusters: int, iterations: int, seed: int) -> np.ndarray:
    """The cluster of every feature by its direction: int [n], 0 to the number of clusters − 1.

    features: float32 [n, C], none of them zero. There are fewer clusters than asked for where
    there are fewer features of different directions. iterations: the most that K-Means takes.
    """
    if len(features) == 0:
        return np.empty(0, np.int64)
    means = KMeans(
        min(clusters, len(features)), n_init=1, max_iter=iterations, random_state=seed, copy_x=False
    )
    # With more threads partial sums are added in the order in which the threads end.
    with warnings.catch_warnings(), threadpool_limits(1):
        # Warnings on equal features, whose clusters stay empty, and on the iteration limit.
        warnings.simplefilter("ignore", ConvergenceWarning)
        labels = means.fit_predict(unit(features))
    return np.unique(labels, return_inverse=True)[1]


def cluster_raw(
    features: np.ndarray, clusters: int, iterations: int, tol: float, seed: int
) -> np.ndarray:
    """The cluster of every feature as LPCAM's public code has it: int [n], as of `cluster`.

    A feature is of the centre of the highest cosine; a centre is the mean of its features as they
    are, at first a feature by chance; a centre without features stays. Ends when (Σ |way of a
    centre|)² < tol, at most after `iterations`.
    """
    if len(features) == 0:
        return np.empty(0, np.int64)
    rng = np.random.default_rng(seed)
    chosen = rng.choice(len(features), min(clusters, len(features)), replace=False)
    centres, directions = features[chosen].astype(np.float64), unit(features)
    for _ in range(iterations):
        labels = (directions @ unit(centres).T).argmax(1)
        before = centres.copy()
        for number in np.unique(labels):
            centres[number] = features[labels == number].mean(0, dtype=np.float64)
        if np.linalg.norm(centres - before, axis=1).sum() ** 2 < tol:
            break
    return np.unique(labels, return_inverse=True)[1]


def centres_of(features: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """The mean of the features of each cluster, float32 [clusters, C]."""
    count = int(labels.max(initial=-1)) + 1
    means = [features[labels == number].mean(0, dtype=np.float64) for number in range(count)]
    return np.array(means, np.float32).reshape(count, features.shape[1])


def class_scores(network: nn.Module, centres: np.ndarray, number: int) -> np.ndarray:
    """softmax(w·F) of class `number` for each centre F of [n, C] (eq. 3, 4): float [n]."""
    if len(centres) == 0:
        return np.empty(0)
    vectors = torch.from_numpy(centres).to(next(network.parameters()).device)
    if hasattr(network, "vector_scores"):  # a head that sees several cells at once
        logits = network.vector_scores(vectors)
    else:
        logits = network.score_maps(vectors[..., None, None]).flatten(1)
    return logits.double().softmax(1)[:, number].cpu().numpy()


def choose(scores: np.ndarray, spec: Prototypes) -> np.ndarray:
    """Select the prototypes among a class's centres: bool [n], at least one if n > 0."""
    chosen = scores > spec.min_class_score
    if len(scores) and not chosen.any():
        chosen[scores.argmax()] = True
    return chosen


def choose_context(scores: np.ndarray, spec: Prototypes) -> np.ndarray:
    """Select the prototypes among the context's centres: bool [n], possibly none."""
    return (scores >= spec.min_context_score) & (scores < spec.max_context_score)


def nearest_places(features: np.ndarray, centres: np.ndarray, images: np.ndarray) -> Iterator[list]:
    """For each centre the features that are most like it: lists of (number, cosine).

    features: [n, C]; images: int [n], whose features they are; each image comes once in a list.
    """
    for likeness in unit(centres) @ unit(features).T:
        order = np.argsort(-likeness, kind="stable")
        first = np.sort(np.unique(images[order], return_index=True)[1])[:NEAREST]
        yield [(int(number), float(likeness[number])) for number in order[first]]


@torch.inference_mode()
def sample_features(
    network: nn.Module,
    rows: pd.DataFrame,
    root: Path,
    number: int,
    spec: Prototypes,
    seed: int,
    machine: Machine,
    desc: str,
) -> tuple[Sample, Sample]:
    """Features of class `number` and of its context in the images of `rows`.

    Their places are (row, cell's row, cell's column, rows of cells, columns of cells).
    """
    own, context = Sample(spec.samples), Sample(spec.samples)
    images = rows["image"].tolist()
    loader = size_by_size(WholeImages(rows, root, spec.batch_size), machine.loaders)
    with progress(loader, desc, total=len(rows)) as bar:
        for numbers, pixels in loader:
            features = network.features(pixels.to(machine.device).float() / 255)
            inside = own_places(network, features, number, spec.foreground_score).cpu().numpy()
            height, width = inside.shape[-2:]
            local = features.float().permute(0, 2, 3, 1).cpu().numpy()
            cells = np.indices((height, width)).reshape(2, -1).T
            for row, vectors, is_own in zip(numbers, local, inside, strict=True):
                vectors, is_own = vectors.reshape(len(cells), -1), is_own.ravel()
                keys = np.random.default_rng([image_seed(seed, images[row]), number])
                keys = keys.random(len(cells))
                places = np.full((len(cells), 5), (row, 0, 0, height, width), np.int32)
                places[:, 1:3] = cells
                directed = vectors.any(1)  # a feature of zeros has no direction
                for sample, mine in ((own, is_own & directed), (context, ~is_own & directed)):
                    sample.offer(keys[mine], vectors[mine], places[mine])
            bar.update(len(numbers))
    return own, context


def own_places(network: nn.Module, features: Tensor, number: int, least: float) -> Tensor:
    """Where the CAM of class `number` is `least` or more (eq. 1, 2): bool [B, h, w].

    Its peak always counts: normalised it is a little less than 1.
    """
    scores = network.score_maps(features)[:, number].float().relu()
    peak = (scores == scores.amax((-2, -1), keepdim=True)) & (scores > 0)
    return (normalize(scores) >= least) | peak


def prototypes_of_class(
    network: nn.Module,
    rows: pd.DataFrame,
    root: Path,
    number: int,
    spec: Prototypes,
    seed: int,
    machine: Machine,
    desc: str = "class",
) -> ClassPrototypes:
    """The prototypes of class `number` from the images of `rows`, which are tagged with it.

    network: frozen, in evaluation mode, with `features` and `score_maps`. No rows: no prototypes.
    """
    rng = np.random.default_rng([seed, number])
    if spec.images is not None and len(rows) > spec.images:
        rows = rows.iloc[np.sort(rng.choice(len(rows), spec.images, replace=False))]
        rows = rows.reset_index(drop=True)
    samples = sample_features(network, rows, root, number, spec, seed, machine, desc)
    parts = []
    for sample, is_context in zip(samples, (False, True), strict=True):
        features, places = sample.taken()
        seed_of_clusters = int(rng.integers(2**31))
        if spec.tol is None:
            labels = cluster(features, spec.clusters, spec.iterations, seed_of_clusters)
        else:
            labels = cluster_raw(
                features, spec.clusters, spec.iterations, spec.tol, seed_of_clusters
            )
        centres = centres_of(features, labels)
        scores = class_scores(network, centres, number)
        chosen = (choose_context if is_context else choose)(scores, spec)
        images = places[:, 0] if len(places) else np.empty(0, np.int32)
        nearest = [
            [_patch(rows, places[at], likeness) for at, likeness in neighbours]
            for neighbours in nearest_places(features, centres, images)
        ]
        sizes = np.bincount(labels, minlength=len(centres))
        context = np.full(len(centres), is_context)
        parts.append(ClassPrototypes(centres, context, scores, chosen, sizes, nearest))
    return _joined(parts)


def _patch(rows: pd.DataFrame, place: Sequence[int], similarity: float) -> Patch:
    row, down, right, height, width = map(int, place)
    image = rows.iloc[row]
    # Cells share the image evenly; box edges are rounded outwards.
    top, bottom = down * image["height"] // height, -(-(down + 1) * image["height"] // height)
    left, right_edge = right * image["width"] // width, -(-(right + 1) * image["width"] // width)
    box = (int(left), int(top), int(right_edge), int(bottom))
    return Patch(image["image"], (down, right), box, similarity)


def _joined(parts: Sequence[ClassPrototypes]) -> ClassPrototypes:
    channels = max(part.vectors.shape[1] for part in parts)
    vectors = [part.vectors.reshape(len(part.vectors), channels) for part in parts]
    rest = zip(*(part[1:5] for part in parts), strict=True)
    nearest = [patches for part in parts for patches in part.nearest]
    return ClassPrototypes(
        np.concatenate(vectors), *(np.concatenate(values) for values in rest), nearest
    )
