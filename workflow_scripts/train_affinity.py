"""Train an affinity network on the labels that are certain."""

from pathlib import Path

from torch.utils.data import DataLoader

from tags2masks.data.index import images_sha, rows_of
from tags2masks.data.masked import MaskedViews
from tags2masks.machine import is_main_process
from tags2masks.progress import progress
from tags2masks.training import epoch_batches, fit
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
    parser.add_argument("--labels", type=Path, nargs="+", required=True, help="shards, in order")
    parser.add_argument("--classifier", type=Path, help="model that the backbone is of")
    args = parser.parse_args()

    machine, seed, spec, method, index, classes = start(args, "affinity")
    train = rows_of(index, "train")
    network = method.build(spec, len(classes))
    initialize_backbone(network, spec.backbone, args.weights, args.classifier)
    artifact = args.recipe["upstream"]["labels"]
    views = MaskedViews(train, args.root, args.labels, artifact, spec.augment, spec.backbone.mean)
    state = run_state(args, images_sha(train))
    rows = fit(
        network,
        views,
        method.step,
        spec,
        seed,
        machine,
        state,
    )
    if is_main_process():
        if hasattr(method, "centre"):
            # One more view of each image: that of the epoch after the last.
            draws = epoch_batches(len(views), spec.batch_size, seed, spec.epochs, 0, 1)
            loader = DataLoader(views, batch_sampler=draws, num_workers=machine.loaders)
            bar = progress(loader, "mean displacement", unit="batch")
            method.centre(network, (images.to(machine.device) for images, _ in bar))
        write_outputs(args, spec, network, classes, rows, state)


if __name__ == "__main__":
    run(main)
