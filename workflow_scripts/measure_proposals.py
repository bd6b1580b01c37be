"""Measure how far a detector's gradients stay inside the proposals that it predicts from."""

import numpy as np
import pandas as pd
import torch

from tags2masks.analyses.objects import some_objects
from tags2masks.analyses.proposals import COLUMNS, Seen, look, rows_of_object
from tags2masks.config.analyses import Proposals
from tags2masks.data.index import images_sha, spaced
from tags2masks.files import written_whole
from tags2masks.machine import AUTOCAST, Machine, prepare
from tags2masks.maps.gradients import stored
from tags2masks.program import add_analysis, add_index, add_paths, parser, run
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
    prepare(machine, args.recipe["seed"])
    asked = Proposals.model_validate(args.analysis)
    objects = some_objects(args, machine, asked.split, asked.images)
    spec, names = objects.spec, objects.rows["image"]
    dtype = AUTOCAST[spec.precision]
    measured, drawn = [], {}
    for places, images, batch in objects.each_batch("look at proposals"):
        for (row, place), wanted in zip(places, batch, strict=True):
            with torch.autocast(machine.device, dtype, enabled=dtype is not None):
                seen = look(objects.network, images[wanted.image], wanted, spec, asked.each)
            image, name = names[row], objects.classes[wanted.number - 1]
            found = rows_of_object(seen, asked.above)
            measured += [(asked.split, image, place, name, *values) for values in found]
            if len(seen.boxes) and (image not in drawn or place < drawn[image][0]):
                drawn[image] = place, _entry(image, name, seen, spec.stride)
    table = pd.DataFrame(measured, columns=list(COLUMNS))
    # Objects came in batches of images of like size; the index is sorted by image.
    table = table.sort_values(["image", "object", "proposal"])
    with written_whole(args.table) as beside:
        table.to_csv(beside, index=False, float_format="%.6g")
    shown = spaced([image for image in names if image in drawn], asked.shown)
    about = provenance(args.recipe) | {"partial": True}
    entries = [drawn[image][1] for image in shown]
    write_shard(args.pictures, about, images_sha(objects.index), entries)


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
