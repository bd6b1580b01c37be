"""Measure how well a classifier ranks the images of the split val by their tags."""

import torch

from tags2masks.classifiers.validation import average_precisions_of, plain_views
from tags2masks.data.index import read_classes, read_index, rows_of
from tags2masks.data.tables import write_table
from tags2masks.errors import UserError
from tags2masks.machine import Machine, prepare
from tags2masks.methods import method_block
from tags2masks.metrics.classification import mean_average_precision
from tags2masks.metrics.rows import ranking_rows
from tags2masks.nets.trained import load_trained
from tags2masks.program import add_index, add_paths, parser, run
from tags2masks.workflow.ids import artifact_id

SPLIT = "val"


def main() -> None:
    """Read the arguments, measure, and write the figures; without an image, the header alone."""
    arguments = parser(__doc__)
    add_paths(arguments, "root", "classes", "model", "spec", "metrics")
    add_index(arguments)
    args = arguments.parse_args()

    machine = Machine(args.device, 1, args.threads, args.workers)
    prepare(machine, args.recipe["seed"])
    made_from = {"classifier": artifact_id(args.recipe)}
    network, classes = load_trained("classifier", args.model, args.spec, made_from)
    if classes != read_classes(args.classes):
        raise UserError(
            f"{args.classes}: not the classes of {made_from['classifier']}, which are "
            f"{', '.join(classes)}; run again"
        )
    network.to(machine.device).to(memory_format=torch.channels_last)
    rows = rows_of(read_index(*args.index), SPLIT)
    spec = method_block("classifiers", args.recipe, args.free)
    views = plain_views(rows, args.root, classes, spec)
    precisions = average_precisions_of(network, views, machine)
    mean = mean_average_precision(precisions)
    figures = ranking_rows(precisions, mean, classes, SPLIT, len(rows))
    write_table(args.metrics, figures, figures.columns)


if __name__ == "__main__":
    run(main)
