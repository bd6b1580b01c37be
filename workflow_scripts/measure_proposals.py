"""Measure how far a detector's gradients stay inside the proposals that it predicts from."""

import numpy as np
import pandas as pd
import torch

from tags2masks.analyses.proposals import COLUMNS, Seen, look, rows_of_object
from tags2masks.config.analyses import Proposals
from tags2masks.data.boxes import boxes_of, some_with_boxes
from tags2masks.data.index import images_sha, read_index, rows_of, spaced
from tags2masks.data.randomness import image_seed
from tags2masks.files import written_whole
from tags2masks.machine import AUTOCAST, Machine, prepare
from tags2masks.maps.gradients import stored
from tags2masks.maps.localizing import ready
from tags2masks.maps.object_localizing import ObjectBatches, wanted_objects
from tags2masks.methods import method_block
from tags2masks.nets.checkpoint import read_spec
from tags2masks.nets.trained import load_trained
from tags2masks.program import add_analysis, add_index, add_paths, parser, run
from tags2masks.progress import progress
from tags2masks.provenance import provenance
from tags2masks.store import Entry, write_shard


def main() -> None:
    """Read the arguments, and write a row per proposal, and the gradients of some objects."""
    options = parser(__doc__)
    add_paths(options, "root", "model", "spec", "boxes", "table", "pictures")
    add_index(options)
    add_analysis(options)
    args = options.parse_args()

    machine = Machine(args.device, 1, args.threads, args.workers)
    seed = args.recipe["seed"]
    prepare(machine, seed)
    asked = Proposals.model_validate(args.analysis)
    spec = method_block("maps", args.recipe, args.free)
    network, classes = load_trained("detector", args.model, args.spec, args.recipe["upstream"])
    network = ready(network, spec, machine)
    detector = method_block("detectors", read_spec(args.spec)["recipe"])
    train = rows_of(read_index(*args.index), "train")
    boxes = boxes_of(args.boxes, train, classes, spec.difficult == "keep")
    rows, own = some_with_boxes(train, boxes, asked.images, args.boxes)
    sides = (spec.short_side or detector.test_short_side, detector.augment.longest)
    batches = ObjectBatches(rows, args.root, own, sides, spec.objects_per_pass)
    seeds = [image_seed(seed, image) for image in rows["image"]]
    dtype = AUTOCAST[spec.precision]
    measured, drawn = [], {}
    for number in progress(range(len(batches)), "look at proposals"):
        images = batches[number][1].to(machine.device).float() / 255
        objects = wanted_objects(batches, number, own, seeds, machine.device)
        for (row, place), wanted in zip(batches.batches[number], objects, strict=True):
            with torch.autocast(machine.device, dtype, enabled=dtype is not None):
                seen = look(network, images[wanted.image], wanted, spec, asked.each)
            name = classes[wanted.number - 1]
            image = rows["image"][row]
            found = rows_of_object(seen, asked.above)
            measured += [(image, place, name, *values) for values in found]
            if len(seen.boxes) and (image not in drawn or place < drawn[image][0]):
                drawn[image] = place, _entry(image, name, seen, spec.stride)
    order = {image: at for at, image in enumerate(rows["image"])}
    measured.sort(key=lambda one: (order[one[0]], *one[1:4:2]))
    with written_whole(args.table) as beside:
        table = pd.DataFrame(measured, columns=list(COLUMNS))
        table.to_csv(beside, index=False, float_format="%.6g")
    shown = spaced([image for image in rows["image"] if image in drawn], asked.shown)
    about = provenance(args.recipe) | {"partial": True}
    write_shard(args.pictures, about, images_sha(train), [drawn[image][1] for image in shown])


def _entry(image: str, name: str, seen: Seen, stride: int) -> Entry:
    """The gradients of an object's proposals as maps; boxes as shares of the image's sides."""
    height, width = seen.gradients.shape[1:]
    sides = torch.tensor([width, height, width, height])
    shares = {
        "boxes": (seen.boxes.cpu() / sides).tolist(),
        "predicted": (seen.predicted.cpu() / sides).tolist(),
    }
    maps = stored(seen.gradients, stride).cpu().numpy().astype(np.float16)
    return image, maps, {"class": name} | shares


if __name__ == "__main__":
    run(main)
