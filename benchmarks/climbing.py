"""AdvCAM and RIB: against one pair or image and view at a time, and against their bare passes."""

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.cam import make_network
from benchmarks.timing import Row, alternate, compared
from tags2masks.allocator import keep_freed_memory
from tags2masks.config.climbing import AdvCam, Rib
from tags2masks.config.training import Augment
from tags2masks.data.training_images import View
from tags2masks.maps import advcam, rib
from tags2masks.maps.batch import Batch
from tags2masks.nets.classifier import Classifier

TITLE = "Climbing and fine-tuning: AdvCAM and RIB"
HEADINGS = ("ours", "beside it")
ABOUT = (
    "Maps by MobileNetV2 of 20 classes, float32, two tags an image. AdvCAM is compared with itself "
    "for one image and class at a time, and with the network's passes alone: forward and backward "
    "to the images, as often and of the same sizes. RIB is compared with its bare training steps: "
    "the same forward and backward passes and updates, and no maps, pooling regions, drawing or "
    "restoring. A ratio to bare passes of 0.85 or more means at least 85 % of their throughput, "
    "and of 0.87 or more at most 1.15 times their time."
)


class Noise:
    """Training images of noise, decoded already; half of them share no tag with the others."""

    def __init__(self, count: int, crop: int, classes: int):
        rng = np.random.default_rng(0)
        self.images = torch.from_numpy(rng.integers(0, 256, (count, 3, crop, crop), dtype=np.uint8))
        self.tagged = np.zeros((count, classes), bool)
        self.tagged[::2, :2] = self.tagged[1::2, 2:4] = True

    def sharing_no_tag(self, tagged: np.ndarray) -> np.ndarray:
        """As `TrainingImages` has it."""
        return (tagged.astype(int) @ self.tagged.T.astype(int)) == 0

    def views(
        self, batches: Iterable[Sequence[View]], augment: Augment, fill: Sequence[float]
    ) -> Iterator[Tensor]:
        """As `TrainingImages` has it, but the views are the images."""
        return (self.images[[row for row, _ in batch]] for batch in batches)


def make_batch(count: int, height: int, width: int, classes: int) -> Batch:
    """Images of noise with the first two tags."""
    tagged = torch.zeros(count, classes, dtype=torch.bool)
    tagged[:, :2] = True
    images = torch.rand(count, 3, height, width, generator=torch.Generator().manual_seed(0))
    return Batch(images, tagged, range(count))


def one_pair_at_a_time(network: Classifier, batch: Batch, spec: AdvCam) -> Tensor:
    """What `advcam.localize` gives, by a call for each image and class."""
    maps = None
    for row, number in batch.tagged.nonzero().tolist():
        tagged = torch.zeros_like(batch.tagged[:1])
        tagged[0, number] = True
        alone = Batch(batch.images[row : row + 1], tagged, batch.seeds[row : row + 1])
        pair_maps = advcam.localize(network, alone, spec)
        maps = (
            pair_maps.new_zeros((*batch.tagged.shape, *pair_maps.shape[2:]))
            if maps is None
            else maps
        )
        maps[row, number] = pair_maps[0, number]
    return maps


def views_of(images: Tensor, scales: Sequence[float]) -> Iterator[tuple[float, Tensor]]:
    """Each scale with the images and their mirror images, in the programs' memory order."""
    for scale in scales:
        sides = [round(side * scale) for side in images.shape[-2:]]
        scaled = F.interpolate(images, sides, mode="bilinear", align_corners=False)
        views = torch.cat([scaled, scaled.flip(-1)])
        yield scale, views.contiguous(memory_format=torch.channels_last)


def bare_climb(network: Classifier, batch: Batch, spec: AdvCam) -> None:
    """The passes of `advcam.localize` alone: the images stay, their gradients are dropped."""
    for rows in batch.tagged.nonzero()[:, 0].split(spec.pairs_per_pass):
        for _, views in views_of(batch.images[rows], spec.scales):
            views.requires_grad_()
            for _ in range(spec.steps):
                torch.autograd.grad(network.score_maps(network.features(views)).sum(), views)
            with torch.no_grad():
                network.score_maps(network.features(views))


def bare_training(network: Classifier, batch: Batch, spec: Rib, training: Noise) -> None:
    """The passes and updates of `rib.localize` alone, at a rate of zero: nothing changes."""
    network.requires_grad_(True)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.0)
    companions = training.images[: spec.companions].float() / 255
    companions = companions.contiguous(memory_format=torch.channels_last)
    for image in batch.images.split(1):
        for step in range(spec.steps + 1):
            learns = step < spec.steps
            for scale, views in views_of(image, spec.scales):
                alone = learns and scale == 1
                if alone:
                    network.score_maps(network.features(views[:1])).mean().backward()
                with torch.no_grad():
                    network.score_maps(network.features(views[1:] if alone else views))
            if learns:
                for part in companions.split(spec.companions_per_pass):
                    network.score_maps(network.features(part)).mean().backward()
                optimizer.step()
                optimizer.zero_grad()
    network.requires_grad_(False)


def measure(quick: bool) -> list[Row]:
    """Seconds per batch."""
    keep_freed_memory()  # as every program that runs a network does
    network = make_network()
    classes = network.head.out_channels
    count, height, width, crop, steps = (2, 32, 40, 32, 2) if quick else (2, 96, 64, 96, 4)
    batch = make_batch(count, height, width, classes)
    climb = AdvCam(steps=steps)
    together = advcam.localize(network, batch, climb)
    alone = one_pair_at_a_time(network, batch, climb)
    torch.testing.assert_close(alone, together, atol=1e-3, rtol=1e-3)
    bare_climb(network, batch, climb)
    repeats = 2 if quick else 3
    fast, single, passes = alternate(
        [
            lambda: advcam.localize(network, batch, climb),
            lambda: one_pair_at_a_time(network, batch, climb),
            lambda: bare_climb(network, batch, climb),
        ],
        repeats,
    )
    size = f"{height} × {width}, {steps} steps"
    tune = Rib(steps=steps, companions=4 if quick else 19)
    training, first = Noise(48, crop, classes), Batch(*(part[:1] for part in batch))
    before = network.head.weight.clone()
    rib.localize(network, first, tune, training=training)
    bare_training(network, first, tune, training)
    assert torch.equal(network.head.weight, before)
    tuned, bare = alternate(
        [
            lambda: rib.localize(network, first, tune, training=training),
            lambda: bare_training(network, first, tune, training),
        ],
        repeats,
    )
    return [
        compared(f"AdvCAM, one pair at a time; {2 * count} pairs of {size}", fast, single),
        compared("AdvCAM, its forward and backward passes alone", fast, passes),
        compared(f"RIB, its training steps alone; one image of {size}", tuned, bare),
    ]
