"""Local prototypes: folded into one vector a class against a loop; clustering of a sample."""

import numpy as np
import torch
import torch.nn.functional as F
from sklearn.cluster import KMeans
from torch import Tensor

from benchmarks.cam import batched as cam
from benchmarks.cam import make_network
from benchmarks.timing import Row, alternate, compared, counted
from tags2masks.allocator import keep_freed_memory
from tags2masks.config.maps import Cam, Lpcam
from tags2masks.config.prototypes import Prototypes
from tags2masks.maps.batch import plain_batch
from tags2masks.maps.likeness import fold, likeness
from tags2masks.maps.lpcam import localize
from tags2masks.maps.scales import multi_scale
from tags2masks.nets.classifier import Classifier
from tags2masks.nets.score_maps import normalize
from tags2masks.prototypes.kmeans import Sample, centres_of, cluster, unit
from tags2masks.prototypes.store import ClassPrototypes

TITLE = "Local prototypes (LPCAM)"
HEADINGS = ("here", "beside it")
ABOUT = (
    "20 classes, 12 prototypes each and 12 of their context, features of MobileNetV2 (1,280 "
    "channels). Scoring: from given features to maps. Plain: a cosine map for each prototype of "
    "each class. The public code makes those of an image's tags alone, so it is shown with one "
    "class too, though here all 20 are made. Whole maps: network, four scales and flips included. "
    "Clustering: the directions of features around 30 centres, a sample of them against all; the "
    "inertia is that of all features about the centres found."
)
CLASSES = 20
PROTOTYPES = 12
# The public code cuts no iterations off; both sides have the same cap here.
ITERATIONS = Prototypes().iterations


def make_prototypes(channels: int) -> list[ClassPrototypes]:
    """Prototypes of every class, by chance."""
    rng = np.random.default_rng(0)
    count = 2 * PROTOTYPES
    is_context = np.arange(count) >= PROTOTYPES
    return [
        ClassPrototypes(
            rng.random((count, channels), np.float32),
            is_context,
            np.ones(count),
            np.ones(count, bool),
            np.ones(count, np.int64),
            [[]] * count,
        )
        for _ in range(CLASSES)
    ]


def folded(features: Tensor, prototypes: list[ClassPrototypes]) -> Tensor:
    """The scores [B, K, h, w] of features, as the method makes them."""
    return likeness(features, fold(prototypes, True))


def looped(features: Tensor, prototypes: list[ClassPrototypes]) -> Tensor:
    """The same by a cosine map for each prototype."""
    maps = []
    for of_class in prototypes:
        cosines = [
            F.cosine_similarity(features, vector.view(1, -1, 1, 1), dim=1)
            for vector in torch.from_numpy(of_class.vectors)
        ]
        own, context = torch.stack(cosines[:PROTOTYPES]), torch.stack(cosines[PROTOTYPES:])
        maps.append(own.mean(0) - context.mean(0))
    return torch.stack(maps, 1)


def multiplied(features: Tensor, prototypes: list[ClassPrototypes]) -> Tensor:
    """The same by one matrix product with all prototypes, and the means of what it gives."""
    vectors = torch.from_numpy(np.concatenate([of_class.vectors for of_class in prototypes]))
    directions = F.normalize(features, dim=1)
    cosines = F.conv2d(directions, F.normalize(vectors, dim=1)[..., None, None])
    kinds = cosines.unflatten(1, (CLASSES, 2, PROTOTYPES)).mean(3)
    return kinds[:, :, 0] - kinds[:, :, 1]


def whole(network: Classifier, images: Tensor, spec: Lpcam, prototypes) -> Tensor:
    """LPCAM of the images, from the images."""
    return localize(network, plain_batch(images, CLASSES), spec, prototypes=prototypes)


def whole_looped(network: Classifier, images: Tensor, spec: Lpcam, prototypes) -> Tensor:
    """The same with the loop over the prototypes, of as many classes as are given."""

    def score(scaled: Tensor) -> Tensor:
        return looped(network.features(scaled), prototypes)

    return normalize(multi_scale(score, images, spec.scales, spec.flip, spec.stride))


def make_features(count: int, channels: int) -> np.ndarray:
    """float32 [count, channels]: not negative, around 30 directions, of lengths far apart."""
    rng = np.random.default_rng(0)
    centres = np.maximum(rng.normal(size=(30, channels)), 0).astype(np.float32)
    features = centres[rng.integers(0, 30, count)]
    features += 0.7 * rng.standard_normal((count, channels), np.float32)
    return np.maximum(features, 0) * rng.lognormal(size=(count, 1)).astype(np.float32)


def sampled_centres(features: np.ndarray, samples: int) -> np.ndarray:
    """Centres of a sample of the features, as the program finds them."""
    sample, rng = Sample(samples), np.random.default_rng(0)
    for part in np.array_split(features, max(1, len(features) // 1000)):
        sample.offer(rng.random(len(part)), part, np.zeros((len(part), 5), np.int32))
    taken, _ = sample.taken()
    return centres_of(taken, cluster(taken, PROTOTYPES, ITERATIONS, 0))


def all_centres(features: np.ndarray) -> np.ndarray:
    """Centres of all features by scikit-learn's K-Means."""
    means = KMeans(PROTOTYPES, n_init=1, max_iter=ITERATIONS, random_state=0)
    labels = means.fit_predict(unit(features))
    return centres_of(features, labels)


def inertia(features: np.ndarray, centres: np.ndarray) -> float:
    """Mean squared distance of the features' directions to the nearest centre's direction."""
    return float(np.mean(2 - 2 * (unit(features) @ unit(centres).T).max(1)))


def measure(quick: bool) -> list[Row]:
    """Seconds per batch of images; seconds per clustering."""
    keep_freed_memory()
    count, height, width = (2, 48, 40) if quick else (4, 256, 192)
    rounds = 2 if quick else 3
    network = make_network()
    channels = network.head.in_channels
    prototypes = make_prototypes(channels)
    features = torch.rand(count, channels, height // 16, width // 16)
    fast = folded(features, prototypes)
    for other in (looped, multiplied):
        torch.testing.assert_close(other(features, prototypes), fast, atol=1e-5, rtol=0)
    one_class = prototypes[:1]
    torch.testing.assert_close(looped(features, one_class), fast[:, :1], atol=1e-5, rtol=0)
    scoring = alternate(
        [
            lambda: folded(features, prototypes),
            lambda: looped(features, prototypes),
            lambda: looped(features, one_class),
            lambda: multiplied(features, prototypes),
        ],
        rounds,
    )
    images, spec, cam_spec = torch.rand(count, 3, height, width), Lpcam(), Cam()
    maps = whole(network, images, spec, prototypes)
    torch.testing.assert_close(
        whole_looped(network, images, spec, one_class), maps[:, :1], atol=1e-3, rtol=1e-3
    )
    cam(network, images, cam_spec)
    wholes = alternate(
        [
            lambda: whole(network, images, spec, prototypes),
            lambda: cam(network, images, cam_spec),
            lambda: whole_looped(network, images, spec, one_class),
        ],
        rounds,
    )
    size = f"{count} images of {height} × {width}"
    return [
        compared(f"scoring, {size}; a loop over 2 · 12 prototypes", scoring[0], scoring[1]),
        compared("scoring; that loop for one class alone", scoring[0], scoring[2]),
        compared("scoring; all prototypes in one matrix product", scoring[0], scoring[3]),
        compared(f"whole maps, {size}; CAM", wholes[0], wholes[1]),
        compared("whole maps; that loop for one class alone", wholes[0], wholes[2]),
        *_clustering(*((600, 200, 16) if quick else (60_000, 20_000, 256)), rounds),
    ]


def _clustering(count: int, samples: int, channels: int, rounds: int) -> list[Row]:
    features = make_features(count, channels)
    some, every = sampled_centres(features, samples), all_centres(features)
    times = alternate(
        [lambda: sampled_centres(features, samples), lambda: all_centres(features)], rounds
    )
    what = f"clustering, {samples:,} of {count:,} features, {channels} channels; all of them"
    return [
        compared(what, *times),
        counted("inertia of all features", inertia(features, some), inertia(features, every), ""),
    ]
