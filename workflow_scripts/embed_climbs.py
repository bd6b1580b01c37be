"""Embed features of images and along AdvCAM's climbs, from tags alone."""

from functools import partial

import torch

from tags2masks.analyses.climbs import climb_table
from tags2masks.classifiers.validation import plain_views
from tags2masks.config.analyses import Climbs
from tags2masks.config.mistakes import choices
from tags2masks.data.index import read_index, rows_of, spaced
from tags2masks.errors import UserError
from tags2masks.files import written_whole
from tags2masks.machine import Machine, prepare
from tags2masks.methods import method_block
from tags2masks.metrics.plane import embedded
from tags2masks.nets.checkpoint import read_spec
from tags2masks.nets.trained import load_trained
from tags2masks.program import add_analysis, add_index, add_paths, parser, run


def main() -> None:
    """Read the arguments, embed, and write a row per image and step of a climb."""
    options = parser(__doc__)
    add_paths(options, "root", "model", "spec", "output")
    add_index(options)
    add_analysis(options)
    args = options.parse_args()

    machine = Machine(args.device, 1, args.threads, args.workers)
    seed = args.recipe["seed"]
    prepare(machine, seed)
    spec = Climbs.model_validate(args.analysis)
    network, classes = load_trained("classifier", args.model, args.spec, args.recipe["upstream"])
    network.to(machine.device)
    advcam = method_block("maps", args.recipe, args.free)
    block = method_block("classifiers", read_spec(args.spec)["recipe"])
    rows, images = rows_of(read_index(*args.index), "train"), {}
    for name in spec.classes:
        if name not in classes:
            raise UserError(
                f"evaluation.climbs.classes: no class '{name}'; {choices(name, classes)}"
            )
        mine = rows[rows["tags"].map(lambda tags, name=name: tuple(tags) == (name,))]
        mine = mine[mine["image"].isin(spaced(mine["image"].tolist(), spec.images))]
        if mine.empty:
            raise UserError(
                f"evaluation.climbs.classes: no training image has the one tag '{name}'; take "
                "another class"
            )
        views = plain_views(mine, args.root, classes, block)
        pixels = torch.stack([views[row][0] for row in range(len(views))])
        images[classes.index(name)] = (
            mine["image"].tolist(),
            pixels.to(machine.device).float() / 255,
        )
    into_plane = partial(embedded, seed=seed)
    table = climb_table(network, images, classes, advcam, spec.steps, into_plane)
    with written_whole(args.output) as beside:
        table.to_csv(beside, index=False, float_format="%.6g")


if __name__ == "__main__":
    run(main)
