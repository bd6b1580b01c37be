"""Find the prototypes of every class in the training images that are tagged with it."""

import torch

from tags2masks.config.prototypes import Prototypes
from tags2masks.data.index import images_sha, read_index, rows_of
from tags2masks.machine import Machine, prepare
from tags2masks.nets.trained import load_trained
from tags2masks.program import add_index, add_paths, parser, run
from tags2masks.prototypes.kmeans import prototypes_of_class
from tags2masks.prototypes.store import write_prototypes
from tags2masks.provenance import provenance


def main() -> None:
    """Read the arguments, find the prototypes class by class, and write the artifact."""
    arguments = parser(__doc__)
    add_paths(arguments, "root", "model", "spec", "output")
    add_index(arguments)
    args = arguments.parse_args()

    machine = Machine(args.device, 1, args.threads, args.workers)
    seed = args.recipe["seed"]
    prepare(machine, seed)
    spec = Prototypes.model_validate(args.recipe["spec"] | args.free)
    network, classes = load_trained("classifier", args.model, args.spec, args.recipe["upstream"])
    network.to(machine.device).to(memory_format=torch.channels_last)
    rows = rows_of(read_index(*args.index), "train")

    def all_prototypes():
        for number, name in enumerate(classes):
            tagged = rows[[name in tags for tags in rows["tags"]]].reset_index(drop=True)
            prototypes = prototypes_of_class(
                network, tagged, args.root, number, spec, seed, machine, f"prototypes of {name}"
            )
            own, context = (
                prototypes.chosen[~prototypes.context],
                prototypes.chosen[prototypes.context],
            )
            print(
                f"{name}: {own.sum()} of {len(own)} centres of the class, "
                f"{context.sum()} of {len(context)} of its context",
                flush=True,
            )
            yield name, prototypes

    write_prototypes(args.output, provenance(args.recipe), images_sha(rows), all_prototypes())


if __name__ == "__main__":
    run(main)
