"""Measure how well a detector finds the boxes of the split val."""

import torch

from tags2masks.data.boxes import boxes_of
from tags2masks.data.index import read_classes, read_index, rows_of
from tags2masks.data.tables import write_table
from tags2masks.detectors.detecting import average_precisions
from tags2masks.errors import UserError
from tags2masks.machine import Machine, prepare
from tags2masks.methods import method_block
from tags2masks.metrics.box_ap import mean_over_classes
from tags2masks.metrics.rows import box_rows
from tags2masks.nets.trained import load_trained
from tags2masks.program import add_index, add_paths, parser, run
from tags2masks.workflow.ids import artifact_id

SPLIT = "val"


def main() -> None:
    """Read the arguments, measure, and write the figures; without a box, the header alone."""
    arguments = parser(__doc__)
    add_paths(arguments, "root", "classes", "boxes", "model", "spec", "metrics")
    add_index(arguments)
    args = arguments.parse_args()

    machine = Machine(args.device, 1, args.threads, args.workers)
    prepare(machine, args.recipe["seed"])
    made_from = {"detector": artifact_id(args.recipe)}
    network, classes = load_trained("detector", args.model, args.spec, made_from)
    if classes != read_classes(args.classes):
        raise UserError(
            f"{args.classes}: not the classes of {made_from['detector']}, which are "
            f"{', '.join(classes)}; run again"
        )
    network.to(machine.device).to(memory_format=torch.channels_last)
    rows = rows_of(read_index(*args.index), SPLIT)
    boxes = boxes_of(args.boxes, rows, classes)
    spec = method_block("detectors", args.recipe, args.free)
    sides = spec.test_short_side, spec.augment.longest
    figures = average_precisions(network, rows, args.root, boxes, len(classes), sides, machine)
    table = box_rows(figures, mean_over_classes(figures), classes, SPLIT, len(rows))
    write_table(args.metrics, table, table.columns)


if __name__ == "__main__":
    run(main)
