"""Train the network of a stage."""

import argparse
from pathlib import Path

import pandas as pd

from tags2masks.checkpoints import end_state
from tags2masks.data.index import read_classes, read_index
from tags2masks.files import written_whole
from tags2masks.machine import Machine, is_main_process, prepare
from tags2masks.nets.checkpoint import save_model
from tags2masks.program import add_index, add_paths, parser, run
from tags2masks.provenance import provenance, write_record
from tags2masks.stages import STAGES
from tags2masks.task import Task, train


def arguments() -> argparse.ArgumentParser:
    """The argument parser of the program."""
    options = parser(__doc__)
    add_paths(options, "root", "classes", "model", "spec", "training")
    add_index(options)
    options.add_argument(
        "--val", type=Path, help="table of val's images: measured after epochs, never learned from"
    )
    options.add_argument("--weights", type=Path, help="the file behind backbone.weights")
    options.add_argument("--labelled", type=Path, help="table of training images with true masks")
    options.add_argument("--mask-root", type=Path, help="the folder of these masks")
    options.add_argument("--boxes", type=Path, help="table of the training images' boxes")
    options.add_argument(
        "--val_boxes", type=Path, help="table of val's: measured after epochs, never learned from"
    )
    options.add_argument(
        "--candidates", type=Path, nargs="+", help="tables of candidates for images to learn from"
    )
    options.add_argument("--candidate-root", type=Path, help="the folder of these images")
    options.add_argument("--keep", type=Path, help="table of a person's answers on them")
    for name, stage in STAGES.items():
        whats = {"network": "model, its spec.json beside it", "table": "table"}
        what = whats.get(stage.gives, "shards, in order")
        options.add_argument(f"--{name}", type=Path, nargs="+", default=[], help=what)
    options.add_argument("--source", default="", help="digest of the code")
    return options


def main() -> None:
    """Read the arguments, train, and write the training table, the spec and the model."""
    args = arguments().parse_args()
    machine = Machine(args.device, args.devices, args.threads, args.workers)
    prepare(machine, args.recipe["seed"])
    task = Task(
        args.recipe,
        read_index(*args.index, *filter(None, [args.val])),
        read_classes(args.classes),
        args.root,
        machine,
        args.model,
        args.free,
        {name: getattr(args, name) for name in STAGES},
        args.weights,
        args.source,
        args.labelled,
        args.mask_root,
        read_index(*args.candidates) if args.candidates else None,
        args.candidate_root,
        args.keep,
        args.boxes,
        args.val_boxes,
    )
    network, rows = train(task)
    if not is_main_process():
        return
    with written_whole(args.training) as beside:
        pd.DataFrame(rows).to_csv(beside, index=False, float_format="%.6g")
    write_record(args.spec, provenance(args.recipe) | {"classes": task.classes})
    save_model(network, args.model)
    end_state(task.state, task.spec.keep_states)


if __name__ == "__main__":
    run(main)
