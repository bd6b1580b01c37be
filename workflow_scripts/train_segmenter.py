"""Train a segmentation network on pseudo-masks."""

from pathlib import Path

from tags2masks.data.index import images_sha, rows_of
from tags2masks.data.masked import MaskedViews
from tags2masks.machine import is_main_process
from tags2masks.training import fit
from workflow_scripts.program import run
from workflow_scripts.trained import (
    arguments,
    initialize_backbone,
    run_state,
    start,
    write_outputs,
)


def main() -> None:
    """Read the arguments, train, and write the model, its spec and the training table."""
    parser = arguments(__doc__)
    parser.add_argument("--masks", type=Path, nargs="+", required=True, help="shards, in order")
    parser.add_argument("--classifier", type=Path, help="model to start the encoder from")
    args = parser.parse_args()

    machine, seed, spec, method, index, classes = start(args, "segmenters")
    train, fill = rows_of(index, "train"), spec.backbone.mean
    network = method.build(spec, len(classes))
    initialize_backbone(network, spec.backbone, args.weights, args.classifier)
    artifact = args.recipe["upstream"]["masks"]
    views = MaskedViews(train, args.root, args.masks, artifact, spec.augment, fill)
    state = run_state(args, images_sha(train))
    rows = fit(network, views, method.step, spec, seed, machine, state)
    if is_main_process():
        write_outputs(args, spec, network, classes, rows, state)


if __name__ == "__main__":
    run(main)
