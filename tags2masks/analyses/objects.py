"""The objects of some images, and the detector that analyses ask about them."""

from argparse import Namespace
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pandas as pd
from torch import Tensor

from tags2masks.config.object_maps import ObjectMaps
from tags2masks.data.boxes import Boxes, boxes_of, some_with_boxes
from tags2masks.data.index import read_index, rows_of
from tags2masks.data.randomness import image_seed
from tags2masks.machine import Machine
from tags2masks.maps.localizing import ready
from tags2masks.maps.object_localizing import ObjectBatches, wanted_objects
from tags2masks.maps.objects import Wanted
from tags2masks.methods import method_block
from tags2masks.nets.checkpoint import read_spec
from tags2masks.nets.detector import Detector
from tags2masks.nets.trained import load_trained
from tags2masks.progress import progress

Place = tuple[int, int]
"""The row of an object's image, and the object's number in it."""


@dataclass(frozen=True)
class Objects:
    """Objects as their maps are made.

    classes: the names of all; index: of all images of the split; rows: of those that are looked at;
    boxes, seeds: of each of these.
    """

    network: Detector
    spec: ObjectMaps
    classes: Sequence[str]
    index: pd.DataFrame
    rows: pd.DataFrame
    boxes: Sequence[Boxes]
    batches: ObjectBatches
    seeds: Sequence[int]
    device: str

    def each_batch(
        self, doing: str
    ) -> Iterator[tuple[list[tuple[int, int]], Tensor, list[Wanted]]]:
        """Of each batch where its objects are (row, number in the row), images and objects.

        Images are float [B, 3, H, W] in 0 to 1. doing: what the bar of progress says.
        """
        for number in progress(range(len(self.batches)), doing):
            images = self.batches[number][1].to(self.device).float() / 255
            wanted = wanted_objects(self.batches, number, self.boxes, self.seeds, self.device)
            yield self.batches.batches[number], images, wanted


def some_objects(args: Namespace, machine: Machine, split: str, images: int) -> Objects:
    """The objects of at most so many images of a split, evenly spaced.

    args: of a program with a detector, boxes, an index, and the recipe of maps. Raises UserError if
    no image has a box, or for files that do not fit.
    """
    spec = method_block("maps", args.recipe, args.free)
    network, classes = load_trained("detector", args.model, args.spec, args.recipe["upstream"])
    detector = method_block("detectors", read_spec(args.spec)["recipe"])
    index = rows_of(read_index(*args.index), split)
    boxes = boxes_of(args.boxes, index, classes, spec.difficult == "keep")
    rows, own = some_with_boxes(index, boxes, images, args.boxes)
    sides = (spec.short_side or detector.test_short_side, detector.augment.longest)
    batches = ObjectBatches(rows, args.root, own, sides, spec.objects_per_pass)
    seeds = [image_seed(args.recipe["seed"], image) for image in rows["image"]]
    network = ready(network, spec, machine)
    return Objects(network, spec, classes, index, rows, own, batches, seeds, machine.device)
