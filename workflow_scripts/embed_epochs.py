"""Embed features of tagged and out-of-distribution images after each epoch of a training."""

from tags2masks.classifiers.wood_embedding import embedding
from tags2masks.classifiers.wood_inputs import add_task, task_of
from tags2masks.files import written_whole
from tags2masks.machine import Machine, prepare
from tags2masks.nets.epochs import kept_states
from tags2masks.program import add_paths, parser, run


def main() -> None:
    """Read the arguments, embed, and write the table."""
    options = parser(__doc__)
    add_paths(options, "output")
    add_task(options)
    args = options.parse_args()
    machine = Machine(args.device, 1, args.threads, args.workers)
    prepare(machine, args.recipe["seed"])
    task = task_of(args, machine)
    states = kept_states(args.model, task.spec.epochs)
    table = embedding(task, states, args.images)
    with written_whole(args.output) as beside:
        table.to_csv(beside, index=False, float_format="%.6g")


if __name__ == "__main__":
    run(main)
