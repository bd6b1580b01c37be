"""Make the pseudo-masks of a shard from maps that walk along a network's affinities."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader

from tags2masks.config.masks import Walk
from tags2masks.data.index import images_sha, read_classes, read_index, rows_of
from tags2masks.data.views import WholeImages
from tags2masks.masks.walked import Walked, finish
from tags2masks.methods import method_block, method_module
from tags2masks.nets.trained import load_trained
from tags2masks.parallel import map_ordered
from tags2masks.provenance import provenance
from tags2masks.store import Entry, Shard, write_shard
from tags2masks.training import Machine, prepare
from workflow_scripts.program import add_paths, parser, run


def walked(
    network: nn.Module,
    refine,
    batches: WholeImages,
    names: list[str],
    shard: Shard,
    ids: dict[str, int],
    spec: Walk,
    machine: Machine,
) -> Iterator[Walked]:
    """What is left to do for each image, when the network and the walk have been over it."""
    loader = DataLoader(batches, batch_size=None, num_workers=machine.loaders)
    for rows, pixels in loader:
        read = [shard.read(names[row]) for row in rows]
        images = pixels.to(machine.device).float() / 255
        if spec.scale != 1:
            size = [max(1, round(side * spec.scale)) for side in images.shape[-2:]]
            images = F.interpolate(images, size, mode="bilinear", align_corners=False)
        images = images.contiguous(memory_format=torch.channels_last)
        found = refine(network, images, [maps for maps, _ in read], spec)
        for row, (scores, of_class), (_, attributes) in zip(rows, found, read, strict=True):
            # The last stands for the background, whose row is -1.
            class_ids = np.array([*(ids[name] for name in attributes["classes"]), 0], np.uint8)
            size = tuple(attributes["size"])
            yield Walked(names[row], batches.paths[row], scores, class_ids[of_class], size)


def entries(args, spec: Walk, made: Iterator[Walked], total: int) -> Iterator[Entry]:
    """The store's entries, upsampled and, if so wished, refined by a CRF in worker processes."""
    finished = map_ordered(
        partial(finish, spec=spec),
        made,
        workers=args.threads if spec.crf else 1,  # without a CRF it is not worth the processes
        scheduler=args.dask if spec.crf else None,
        batch=4 * spec.batch_size,
        desc=args.recipe["method"],
        total=total,
    )
    for name, mask, instances, found in finished:
        attributes = {"size": list(mask.shape)}
        if instances is None:
            yield name, mask, attributes
        else:
            yield name, mask, attributes | {"instances": found}, {"instances": instances}


def main() -> None:
    """Read the arguments, make the masks, and write the shard."""
    arguments = parser(__doc__)
    add_paths(arguments, "root", "index", "classes", "maps", "model", "spec", "output")
    arguments.add_argument("--shard", type=int, required=True)
    args = arguments.parse_args()

    machine = Machine(args.device, 1, args.threads, args.workers)
    prepare(machine, args.recipe["seed"])
    spec = method_block("masks", args.recipe, args.free)
    method = method_module("masks", args.recipe)
    network, _ = load_trained("affinity", args.model, args.spec, args.recipe["upstream"])
    network.to(machine.device).to(memory_format=torch.channels_last)
    rows = rows_of(read_index(args.index), "train", args.shard)
    ids = {name: number for number, name in enumerate(read_classes(args.classes), start=1)}
    sha, names = images_sha(rows), rows["image"].tolist()
    batches = WholeImages(rows, Path(args.root), spec.batch_size)

    with torch.no_grad(), Shard(args.maps, args.recipe["upstream"]["maps"], sha) as shard:
        made = walked(network, method.refine, batches, names, shard, ids, spec, machine)
        write_shard(args.output, provenance(args.recipe), sha, entries(args, spec, made, len(rows)))


if __name__ == "__main__":
    run(main)
