"""Embed features of tagged and out-of-distribution images after each epoch of a training."""

from pathlib import Path

from tags2masks.classifiers.wood_embedding import embedding
from tags2masks.data.index import read_classes, read_index
from tags2masks.files import written_whole
from tags2masks.machine import Machine, prepare
from tags2masks.nets.epochs import kept_states
from tags2masks.program import add_index, add_paths, parser, run
from tags2masks.task import Task


def main() -> None:
    """Read the arguments, embed, and write the table."""
    options = parser(__doc__)
    add_paths(options, "root", "classes", "model", "candidate_root", "ood", "classifier", "output")
    add_index(options)
    options.add_argument(
        "--candidates", type=Path, nargs="+", required=True, help="tables of the candidates"
    )
    options.add_argument("--keep", type=Path, help="table of a person's answers on them")
    options.add_argument("--images", type=int, required=True, help="of each kind, at most")
    args = options.parse_args()
    machine = Machine(args.device, 1, args.threads, args.workers)
    prepare(machine, args.recipe["seed"])
    task = Task(
        args.recipe,
        read_index(*args.index),
        read_classes(args.classes),
        args.root,
        machine,
        args.model,
        args.free,
        files={"ood": [args.ood], "classifier": [args.classifier]},
        candidates=read_index(*args.candidates),
        candidate_root=args.candidate_root,
        keep=args.keep,
    )
    states = kept_states(args.model, task.spec.epochs)
    table = embedding(task, states, args.images)
    with written_whole(args.output) as beside:
        table.to_csv(beside, index=False, float_format="%.6g")


if __name__ == "__main__":
    run(main)
