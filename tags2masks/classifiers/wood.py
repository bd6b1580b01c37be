"""W-OoD: out-of-distribution images teach a classifier what does not belong to its classes.

Sources: Lee, "Label-Efficient Learning for Object Recognition" (PhD thesis, 2023), section 4.3.2,
whose equation numbers are used; Lee et al., "Weakly supervised semantic segmentation using
out-of-distribution data", CVPR 2022. An ordinary classifier's pooled features of all images of a
class have a centre, and those of hard out-of-distribution images have K centres by K-Means. The
trained network's features of an image move towards the centres of its classes and away from the
closest τ of the others (L_d, eq. 4.2); out-of-distribution images are of no class (L_cls, eq. 4.3);
L = L_cls + λ L_d (eq. 4.4). The centres do not change.

The papers do not say the following; it is as in the public code. The training starts from the
ordinary classifier; centres are of whole images, once; L_d is of tagged images alone; a step has as
many out-of-distribution images as others. λ = 0.007 is of distances divided by K (`distance_mean:
clusters`): of eq. 4.2 it is 1.4e-4. Both kinds of images are in one pass here, in the code in
passes of their own, which is the same unless batch norm is live (`freeze_bn: false`).

Options have the code's other ways: `ood_weight: 0.25`, `climb: 0.07`, `selection: batch`. Differs
from the code: all stages learn, there only the last two and the head; no out-of-distribution images
are left out of the loss (there those that look like bottles); K-Means is scikit-learn's with ten
starts, there ten iterations from the first K images; whole images are at the mean of the training
sizes, padded as in training, there at their own size (out-of-distribution images at 500 pixels).
The last checkpoint counts; the code picks one by the pixel masks of train.

`host: seam` has the same terms on SEAM's losses (`wood_seam.py`). `keep: erased` fills pixels of a
high CAM of the class that the ordinary classifier sees, divided by its maximum.
"""

from importlib import import_module
from types import ModuleType

import numpy as np
import pandas as pd
import torch
from sklearn.cluster import KMeans
from threadpoolctl import threadpool_limits
from torch import Tensor, nn

from tags2masks.classifiers.learning import ordinary
from tags2masks.classifiers.ood_terms import Centres, WithCentres, with_ood
from tags2masks.classifiers.validation import plain_views, scores_of
from tags2masks.classifiers.vanilla import tag_loss
from tags2masks.config.classifiers import Wood
from tags2masks.data.candidates import (
    candidates_of,
    kept_images,
    read_answers,
    read_ranked,
    waiting_warnings,
)
from tags2masks.data.index import multi_hot
from tags2masks.data.ood_images import OodImages, OodViews, PlainOod
from tags2masks.data.views import PlainViews
from tags2masks.data.warnings import Warned, write_warnings
from tags2masks.errors import UserError
from tags2masks.machine import is_main_process
from tags2masks.nets.backbones import fill
from tags2masks.nets.classifier import Classifier
from tags2masks.task import Task
from tags2masks.training import Moment


class WoodClassifier(WithCentres, Classifier):
    """The ordinary network, with centres."""

    forward_methods = ("score_all", "pooled_with_logits", "climbed")

    def __init__(self, spec: Wood, classes: int):
        super().__init__(spec.backbone, classes)
        self.centres = Centres(classes, spec, self.head.in_channels)


def build(spec: Wood, classes: int) -> Classifier:
    """Return the network, with random weights and no centres yet."""
    return _seam().build(spec, classes) if spec.host == "seam" else WoodClassifier(spec, classes)


def step(
    network: WoodClassifier, batch: list[Tensor], moment: Moment, spec: Wood
) -> dict[str, Tensor]:
    """The losses on a batch: images [B, 3, S, S] in 0 to 255, multi-hot tags [B, K], and as many
    out-of-distribution images.

    "cls" and "ood" are the two parts of L_cls, "distance_in" and "distance_ood" those of L_d.
    """
    images, tags, others = batch
    images, others = images.float() / 255, others.float() / 255
    if spec.climb and spec.ood_weight:
        with torch.no_grad():
            others = network.climbed(others, spec.climb)
    if spec.host == "seam":
        return _seam().losses(network, images, tags, others, spec)
    count = len(images)
    features, logits = network.pooled_with_logits(torch.cat([images, others]))
    cls = tag_loss(logits[:count], tags, spec.label_smoothing)
    figures = {"loss": cls, "cls": cls}
    return with_ood(figures, features[:count], tags, logits[count:], network.centres, spec)


def _seam() -> ModuleType:
    """SEAM's losses; imported by name, so that an edit of them trains only what has them again."""
    return import_module("tags2masks.classifiers.wood_seam")


def views(task: Task) -> OodViews:
    """Random views of tagged and out-of-distribution images.

    Writes a table of warnings beside the model. Raises UserError as `used_rows`.
    """
    train, spec = task.rows("train"), task.spec
    rows, warnings = used_rows(task)
    if is_main_process():
        write_warnings(task.model.with_name(spec.further_outputs["warnings"]), warnings)
    tags = multi_hot(train["tags"], task.classes)
    images = images_of(task, rows)
    return OodViews(images, train, task.root, tags, spec.augment, spec.backbone.mean)


def used_rows(task: Task) -> tuple[pd.DataFrame, list[Warned]]:
    """The rows of the candidates that the training uses, and warnings of those without an answer.

    Raises UserError as `read_answers`, `kept_images` and `chosen_rows`.
    """
    spec, ranked = task.spec, ranked_of(task)
    candidates = candidates_of(task.candidates, task.rows("train"), task.classes)
    names, warnings = ranked["image"].tolist(), []
    if spec.keep_table:
        if task.keep is None:
            raise UserError("this recipe learns from images that a person keeps; give --keep")
        (table,), _ = task.upstream("ood")
        page, digest = table.with_name("review.html"), task.recipe["tables"]["keep"]
        answers = read_answers(task.keep, ranked, candidates, page, digest)
        names = kept_images(task.keep, answers)
        warnings = waiting_warnings(task.keep, answers, page)
    return chosen_rows(names, candidates, spec, task.recipe["seed"]), warnings


def images_of(task: Task, rows: pd.DataFrame) -> OodImages:
    """The images of some of these rows, erased where `keep` says so."""
    images = OodImages(rows, task.candidate_root, task.spec.backbone.mean)
    if task.spec.keep == "erased":
        classes = ranked_of(task).set_index("image")["class"].loc[rows["image"]]
        images.erase = erasing_maps(task, images, classes.map(task.classes.index).tolist())
    return images


def ranked_of(task: Task) -> pd.DataFrame:
    """The table of the candidates that the ordinary classifier ranks: image, class, score."""
    (table,), _ = task.upstream("ood")
    return read_ranked(table)


def chosen_rows(names: list[str], candidates: pd.DataFrame, spec: Wood, seed: int) -> pd.DataFrame:
    """The rows of the candidates that the training uses, as `keep` and `ood_images` say.

    names: those that are ranked, and kept if a person was asked.
    Raises UserError if there are fewer than `ood_images`, or fewer than clusters.
    """
    count = len(names) if spec.ood_images is None else spec.ood_images
    if spec.keep == "random":
        names = candidates["image"].tolist()
    if count > len(names):
        raise UserError(f"ood_images: {count}, but there are {len(names)} to use; lower it")
    if spec.clustering == "kmeans" and count < spec.clusters:
        raise UserError(
            f"clusters: {spec.clusters} of {count} out-of-distribution images; lower clusters, or "
            "keep more images"
        )
    drawn = np.random.default_rng(seed).choice(np.array(names, object), count, replace=False)
    return candidates[candidates["image"].isin(set(drawn))].reset_index(drop=True)


@torch.no_grad()
def erasing_maps(task: Task, images: OodImages, classes: list[int]) -> list[np.ndarray]:
    """A map for each image, above 0 where the CAM of its class is above `erase_score`."""
    network, device, maps = ordinary(task).to(task.machine.device), task.machine.device, []
    for row, number in enumerate(classes):
        image = images.whole(row, task.spec.augment)[None].to(device).float() / 255
        cam = network.score_maps(network.features(image))[0, number].relu()
        cam = cam / cam.max().clamp(min=1e-5)
        maps.append((cam - task.spec.erase_score).float().cpu().numpy())
    return maps


def begin(task: Task, network: Classifier, views: OodViews) -> None:
    """Give the network the ordinary classifier's weights, and its centres."""
    first, spec = ordinary(task), task.spec
    if spec.initial == "ordinary":
        _, name = task.upstream("classifier")
        # What the ordinary classifier does not have, such as SEAM's correlation, stays new.
        fill(network, network.state_dict() | first.state_dict(), name)
    first = first.to(task.machine.device).to(memory_format=torch.channels_last)
    tagged = plain_views(task.rows("train"), task.root, task.classes, spec)
    _set_centres(network.centres, first, tagged, PlainOod(views.ood, spec.augment), task)


def _set_centres(
    centres: Centres, first: Classifier, tagged: PlainViews, others: PlainOod, task: Task
) -> None:
    features = scores_of(first.pooled, tagged, task.machine)
    centres.of_classes.copy_(class_centres(features, tagged.targets))
    features = scores_of(first.pooled, others, task.machine)
    if task.spec.clustering == "predicted":
        with torch.no_grad():
            likeliest = first.head.cpu()(features[:, :, None, None]).flatten(1).argmax(1)
        own = nn.functional.one_hot(likeliest, len(task.classes)).float()
        centres.of_ood.copy_(class_centres(features, own))
        centres.used.copy_(own.any(0))
    else:
        centres.of_ood.copy_(kmeans_centres(features, task.spec.clusters, task.recipe["seed"]))
        centres.used.fill_(True)


def class_centres(features: Tensor, own: Tensor) -> Tensor:
    """The mean feature of each class's images, [K, C]; 0 for a class without images.

    features: [N, C]; own: [N, K], 1 where the image is of the class.
    """
    return own.T @ features / own.sum(0).clamp(min=1)[:, None]


def kmeans_centres(features: Tensor, clusters: int, seed: int) -> Tensor:
    """The centres of K-Means, [clusters, C]; features: [N, C] with N ≥ clusters."""
    # Several threads add up in the order in which they end, so that results would differ.
    with threadpool_limits(1):
        means = KMeans(clusters, n_init=10, random_state=seed).fit(features.numpy())
    return torch.from_numpy(means.cluster_centers_)
