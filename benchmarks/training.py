"""Training of classifiers: each method's step against its bare passes, and what feeds it."""

import math
from collections.abc import Callable
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd
import torch
from PIL import Image
from torch import Tensor, nn

from benchmarks.cam import make_network
from benchmarks.timing import Row, alternate, compared
from tags2masks.allocator import keep_freed_memory
from tags2masks.classifiers.puzzle import tile
from tags2masks.classifiers.sampling import similarity_loss, unlike
from tags2masks.config.classifiers import METHODS
from tags2masks.config.tag_training import TagAugment, TagTraining
from tags2masks.config.training import Backbone, Training
from tags2masks.data.views import TaggedViews
from tags2masks.methods import method_module
from tags2masks.nets.classifier import Classifier
from tags2masks.nets.resize import at_scale
from tags2masks.training import Moment

TITLE = "Training of classifiers"
HEADINGS = ("ours", "beside it")
ABOUT = (
    "A step of MobileNetV2 (output stride 16, 20 classes, float32), without the update, of each "
    "method; of mctformer DeiT-Ti, of edam as many images in pairs. Bare passes: every forward "
    "and backward pass of the same networks on images of the same sizes, and no losses, tiles, "
    "erasing, refining or drawing; a ratio of 0.85 or more means at least 85 % of their "
    "throughput. Of edam they are the backbone's, without its 20 transformer blocks, one for each "
    "class, which see all cells of a pair. Loading: the views of a batch, read from JPEG files of "
    "500 × 375 pixels by one process, against the plainest step on it. Feature similarity: eq. 9 "
    "with pairs nearer than 15 cells, forward and backward, against the double sum over all "
    "pairs, which at 28 × 28 cells takes a hundredth of the pairs of a 448 × 448 image's 3,136² at "
    "stride 8 and a tenth of its memory; and against itself on four times the cells."
)
BACKBONE = Backbone(name="mobilenetv2_100", output_stride=16)


def specs(crop: int) -> dict[str, TagTraining]:
    """Each method that trains, with its defaults, on this backbone or one that it can use."""
    common = {"backbone": BACKBONE, "augment": TagAugment(crop=crop)}
    deit = Backbone(name="deit_tiny_patch16_224")
    further = {"wood": {"keep": "all"}, "mctformer": {"backbone": deit}}
    trained = {name: block for name, block in METHODS.items() if issubclass(block, Training)}
    return {name: block(**(common | further.get(name, {}))) for name, block in trained.items()}


def batch_of(spec: TagTraining, count: int, crop: int) -> list[Tensor]:
    """Random images and tags, and masks or as many images of no class where a method takes them.

    Of edam they are pairs.
    """
    images, others = torch.randint(256, (2, count, 3, crop, crop), dtype=torch.uint8)
    tags = torch.eye(20)[torch.arange(count) % 20]
    if spec.method == "edam":
        return [images.unflatten(0, (-1, 2)), tags.unflatten(0, (-1, 2))]
    if "masks" in (spec.takes or ()):
        return [images, torch.randint(21, (count, crop, crop), dtype=torch.uint8), tags]
    return [images, tags, others] if "ood" in spec.learns_from else [images, tags]


def real_step(
    network: nn.Module, ordinary: Classifier, batch: list[Tensor], spec: TagTraining
) -> None:
    """A step with its backward passes, as `training.fit` makes it."""
    weights = {name: parameter.detach() for name, parameter in ordinary.named_parameters()}
    consult = partial(torch.func.functional_call, ordinary, weights)
    module = method_module("classifiers", {"method": spec.method})
    learns = getattr(module, "ORDINARY_LEARNS", False)
    moment = Moment(0.5, 0, (0, 0, 0), consult=consult, second=ordinary if learns else None)
    figures = module.step(network, batch, moment, spec)
    figures["loss"].backward()
    if learns:
        figures["second_loss"].backward()
    forget(network, ordinary)


def bare_step(
    network: nn.Module, ordinary: Classifier, batch: list[Tensor], spec: TagTraining
) -> None:
    """The passes of `real_step` alone."""
    images = batch[0].flatten(0, -4).float() / 255
    images = images.contiguous(memory_format=torch.channels_last)
    views = [images]
    if "ood" in spec.learns_from:
        others = batch[2].float() / 255
        views = [torch.cat([images, others]).contiguous(memory_format=torch.channels_last)]
    if hasattr(spec, "lambda_re"):
        views.append(tile(images))
    if "pixel_correlation" in spec.offers:
        views.append(at_scale(images, spec.scale))
    total = sum(network.score_maps(network.features(view)).mean() for view in views)
    if hasattr(spec, "lambda_cse"):
        ordinary.requires_grad_(False)
        total = total + ordinary(images.detach().requires_grad_()).mean()
        ordinary.requires_grad_(True)
    total.backward()
    if hasattr(spec, "lambda_noc"):
        ordinary(images).mean().backward()
    forget(network, ordinary)


def forget(*networks: nn.Module) -> None:
    """Drop the gradients."""
    for network in networks:
        network.zero_grad(set_to_none=True)


def double_sum(maps: Tensor, images: Tensor, sigma: Tensor, mu: Tensor) -> Tensor:
    """Eq. 9 as it stands: over all pairs of cells."""
    height, width = maps.shape[-2:]
    places = torch.cartesian_prod(torch.arange(height), torch.arange(width)).float()
    near = (-torch.cdist(places, places).square() / (2 * sigma**2)).exp()
    near = near / (2 * math.pi * sigma**2)
    flat, colours = maps.flatten(2), images.flatten(2)
    apart = (flat[:, :, :, None] - flat[:, :, None]).square().sum(1) / 2
    delta = (colours[:, :, :, None] - colours[:, :, None]).abs().mean(1)
    return -(near * unlike(delta, mu) * apart).sum() / (len(maps) * (height * width) ** 2)


def field(side: int, batch: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Maps of 20 classes and the background's rest, colours, σ and μ."""
    generator = torch.Generator().manual_seed(0)
    maps = torch.randn(batch, 20, side, side, generator=generator).softmax(1).requires_grad_()
    images = torch.rand(batch, 3, side, side, generator=generator)
    return maps, images, torch.tensor(5.0, requires_grad=True), torch.tensor(2.5)


def back(loss: Callable[..., Tensor], given: tuple[Tensor, ...]) -> Tensor:
    """The loss's value, after its backward pass."""
    value = loss(*given)
    torch.autograd.grad(value, given[0])
    return value.detach()


def make_views(folder: Path, count: int, size: tuple[int, int], crop: int) -> TaggedViews:
    """Views of smooth pictures in JPEG files."""
    rng = np.random.default_rng(0)
    names = [f"{number}.jpg" for number in range(count)]
    for name in names:
        small = Image.fromarray(rng.integers(0, 256, (12, 16, 3), dtype=np.uint8))
        small.resize(size[::-1], Image.Resampling.BICUBIC).save(folder / name, quality=90)
    rows = pd.DataFrame({"path": names, "height": size[0], "width": size[1]})
    augment = TagAugment(resize=(crop, 2 * crop), crop=crop)
    return TaggedViews(rows, folder, np.ones((count, 20), np.float32), augment, (0, 0, 0))


def measure(quick: bool) -> list[Row]:
    """Seconds per step."""
    keep_freed_memory()
    count, crop, repeats = (2, 64, 2) if quick else (16, 256, 3)
    ordinary = make_network().requires_grad_(True)
    rows, steps = [], {}
    for name, spec in specs(crop).items():
        torch.manual_seed(0)
        network = method_module("classifiers", {"method": name}).build(spec, 20)
        network.to(memory_format=torch.channels_last).train()
        network.backbone.eval()
        batch = batch_of(spec, count, crop)
        work = [partial(step, network, ordinary, batch, spec) for step in (real_step, bare_step)]
        [run() for run in 3 * work]  # until the process holds all the memory that they need
        times = alternate(work, repeats)
        steps[name] = times[0]
        note = f"{count / np.median(times[0]):.3g} images/s"
        rows.append(compared(f"{name}, its bare passes", *times, note=note))
    return [*rows, _loading(count, crop, steps["vanilla"]), *_similarity(quick, repeats)]


def _loading(count: int, crop: int, steps: list[float]) -> Row:
    with TemporaryDirectory() as folder:
        views = make_views(Path(folder), count, (375, 500), crop)

        def load() -> None:
            for row in range(count):
                views[row, 0, 0, row]

        load()
        (times,) = alternate([load], len(steps))
    return compared(f"loading {count} views of {crop} × {crop}; a step on them", times, steps)


def _similarity(quick: bool, repeats: int) -> list[Row]:
    side, batch = (6, 1) if quick else (28, 2)
    few, many = field(side, batch), field(2 * side, batch)
    whole = partial(similarity_loss, window=2 * side, mean="pairs")
    torch.testing.assert_close(back(whole, few), back(double_sum, few), rtol=1e-4, atol=1e-9)
    near = partial(similarity_loss, window=15, mean="pairs")
    work = [partial(back, near, few), partial(back, double_sum, few), partial(back, near, many)]
    [run() for run in work]
    ours, plain, larger = alternate(work, repeats)
    what = f"feature similarity, {side} × {side} cells"
    return [
        compared(f"{what}; the double sum", ours, plain),
        compared(f"{what}; four times the cells", ours, larger),
    ]
