"""Train an image classifier on tags."""

from pathlib import Path

import torch
from sklearn.metrics import average_precision_score
from torch.utils.data import DataLoader

from tags2masks.data.index import images_sha, multi_hot, rows_of
from tags2masks.data.views import PlainViews, TaggedViews
from tags2masks.machine import is_main_process
from tags2masks.nets.checkpoint import save_model
from tags2masks.nets.trained import load_trained
from tags2masks.training import fit
from workflow_scripts.program import run
from workflow_scripts.trained import (
    arguments,
    initialize_backbone,
    run_state,
    start,
    write_outputs,
)


def mean_average_precision(network: torch.nn.Module, views: PlainViews, device: str) -> float:
    """Mean over the classes that occur of the average precision of their scores."""
    scores = [
        network((images.to(device).float() / 255).contiguous(memory_format=torch.channels_last))
        for images, _ in DataLoader(views, batch_size=32)
    ]
    targets = views.targets.numpy()
    present = targets.any(axis=0) & ~targets.all(axis=0)
    if not present.any():
        return float("nan")
    scores = torch.cat(scores).float().cpu().numpy()
    return float(average_precision_score(targets[:, present], scores[:, present], average="macro"))


def main() -> None:
    """Read the arguments, train, and write the model, its spec and the training table."""
    parser = arguments(__doc__)
    parser.add_argument(
        "--classifier",
        type=Path,
        help="the ordinary classifier's model",
    )
    args = parser.parse_args()

    machine, seed, spec, method, index, classes = start(args, "classifiers")
    train, val = rows_of(index, "train"), rows_of(index, "val")
    fill = spec.backbone.mean
    plain = PlainViews(val, args.root, multi_hot(val["tags"], classes), spec.augment, fill)

    network = method.build(spec, len(classes))
    initialize_backbone(network, spec.backbone, args.weights)
    ordinary, learns = None, getattr(method, "ORDINARY_LEARNS", False)
    if args.classifier:
        spec_file = args.classifier.with_name("spec.json")
        upstream = args.recipe["upstream"]
        ordinary, _ = load_trained("classifier", args.classifier, spec_file, upstream)
        ordinary.requires_grad_(learns)
    targets = multi_hot(train["tags"], classes)
    views = TaggedViews(train, args.root, targets, spec.augment, fill)
    state = run_state(args, images_sha(train), images_sha(val))
    rows = fit(
        network,
        views,
        method.step,
        spec,
        seed,
        machine,
        state,
        lambda net: (
            {"val_map": mean_average_precision(net, plain, machine.device)} if len(val) else {}
        ),
        ordinary,
        spec.validate_every,
    )
    if is_main_process():
        if learns:
            save_model(ordinary, args.model.with_name("noc.safetensors"))
        write_outputs(args, spec, network, classes, rows, state)


if __name__ == "__main__":
    run(main)
