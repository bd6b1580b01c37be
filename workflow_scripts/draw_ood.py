"""Store some of the out-of-distribution images that a training used, erased as it erased them."""

from tags2masks.classifiers.wood_examples import examples
from tags2masks.classifiers.wood_inputs import add_task, task_of
from tags2masks.data.index import images_sha
from tags2masks.machine import Machine, prepare
from tags2masks.program import add_paths, parser, run
from tags2masks.provenance import provenance
from tags2masks.store import write_shard


def main() -> None:
    """Read the arguments, read and erase the images, and write a shard of them."""
    options = parser(__doc__)
    add_paths(options, "output")
    add_task(options)
    args = options.parse_args()
    machine = Machine(args.device, 1, args.threads, args.workers)
    prepare(machine, args.recipe["seed"])
    task = task_of(args, machine)
    about = provenance(args.recipe) | {"partial": True}
    sha = images_sha(task.rows("train"))  # of what ranked them
    write_shard(args.output, about, sha, examples(task, args.images))


if __name__ == "__main__":
    run(main)
