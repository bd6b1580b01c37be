"""Measure which regions of planted images reach which layer, and the logit at each step of RIB."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from tags2masks.analyses.gradients import ImageMaps, gradient_table, image_maps, relative
from tags2masks.config.analyses import Gradients
from tags2masks.data.images import decode, read_image
from tags2masks.data.index import images_sha, read_classes, read_index, rows_of, spaced
from tags2masks.data.randomness import image_seed
from tags2masks.data.training_images import TrainingImages
from tags2masks.data.truth import read_truth
from tags2masks.errors import UserError
from tags2masks.files import written_whole
from tags2masks.machine import Machine, prepare
from tags2masks.methods import method_block
from tags2masks.nets.trained import load_trained
from tags2masks.program import add_analysis, add_index, add_paths, parser, run
from tags2masks.progress import progress
from tags2masks.provenance import provenance
from tags2masks.store import write_shard


def main() -> None:
    """Read the arguments, measure, and write a row per layer or step, and region; some maps."""
    options = parser(__doc__)
    add_paths(options, "root", "truth_root", "classes", "truth", "model", "spec", "output", "maps")
    add_index(options)
    add_analysis(options)
    args = options.parse_args()

    machine = Machine(args.device, 1, args.threads, args.workers)
    seed, upstream = args.recipe["seed"], args.recipe["upstream"]
    prepare(machine, seed)
    spec = Gradients.model_validate(args.analysis)
    network, classes = load_trained("classifier", args.model, args.spec, upstream)
    network.to(machine.device)
    train = rows_of(read_index(*args.index), "train")
    training = TrainingImages(train, args.root, read_classes(args.classes))
    rib = method_block("maps", args.recipe, args.free)
    rows = _planted(train, args.truth, args.truth_root, spec.images)

    def images() -> Iterator[tuple[Tensor, int, np.ndarray, int]]:
        for row, regions in progress(rows, "measure gradients"):
            size = (int(row["height"]), int(row["width"]))
            pixels = torch.from_numpy(read_image(args.root / row["path"], size))
            image = pixels.permute(2, 0, 1)[None].to(machine.device).float() / 255
            yield image, classes.index(row["tags"][0]), regions, image_seed(seed, row["image"])

    drawn, entries = set(spaced([row["image"] for row, _ in rows], spec.pictures)), []

    def measured() -> Iterator[ImageMaps]:
        for (row, _), maps in zip(rows, image_maps(network, images(), rib, training), strict=True):
            if row["image"] in drawn:
                of_layers, of_steps = (relative(part, spec) for part in (maps.layers, maps.steps))
                about = {"class": row["tags"][0]}
                entries.append((row["image"], of_layers, about, {"steps": of_steps}))
            yield maps

    table = gradient_table(measured(), spec)
    about = provenance(args.recipe) | {"partial": True}
    write_shard(args.maps, about, images_sha(train), entries)
    with written_whole(args.output) as beside:
        table.to_csv(beside, index=False, float_format="%.6g")


def _planted(
    train: pd.DataFrame, truth: Path, root: Path, count: int
) -> list[tuple[dict, np.ndarray]]:
    """At most `count` rows of images with a planted shape, and their regions, uint8 [H, W]."""
    files = read_truth(truth).set_index("image")["instances"].to_dict()
    found = {}
    for image in train["image"]:
        parts = np.asarray(decode(root / files[image]))
        if parts.max() > 1:
            found[image] = parts
    if not found:
        raise UserError(f"{truth}: no training image has a planted shape; raise planted or train")
    chosen = set(spaced(list(found), count))
    rows = train[train["image"].isin(chosen)].to_dict("records")
    return [(row, found[row["image"]]) for row in rows]


if __name__ == "__main__":
    run(main)
