"""Train an image classifier on tags."""

from functools import partial
from pathlib import Path

import torch
from sklearn.metrics import average_precision_score
from torch.utils.data import DataLoader

from tags2masks.data.index import images_sha, multi_hot, read_classes, read_index, rows_of
from tags2masks.data.views import PlainViews, TaggedViews
from tags2masks.methods import method_block, method_module
from tags2masks.nets.backbones import load_initial_weights
from tags2masks.nets.checkpoint import save_model
from tags2masks.nets.trained import load_trained
from tags2masks.training import Machine, fit, is_main_process, prepare
from workflow_scripts.program import run
from workflow_scripts.trained import arguments, run_state, write_outputs


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
        "--ordinary", type=Path, help="model of the ordinary classifier; its spec.json is beside it"
    )
    args = parser.parse_args()

    machine = Machine(args.device, args.devices, args.threads, args.workers)
    seed = args.recipe["seed"]
    prepare(machine, seed)
    spec = method_block("classifiers", args.recipe, args.free)
    method = method_module("classifiers", args.recipe)
    index, classes = read_index(args.index), read_classes(args.classes)
    train, val = rows_of(index, "train"), rows_of(index, "val")
    backbone = spec.backbone
    views = partial(TaggedViews, root=args.root, augment=spec.augment, fill=backbone.mean)
    plain = PlainViews(val, args.root, multi_hot(val["tags"], classes), spec.augment, backbone.mean)

    network = method.build(spec, len(classes))
    named = backbone.model_copy(update={"weights": str(args.weights)}) if args.weights else backbone
    load_initial_weights(network.backbone, named)
    ordinary, learns = None, getattr(method, "ORDINARY_LEARNS", False)
    if args.ordinary:
        spec_file = args.ordinary.with_name("spec.json")
        upstream = args.recipe["upstream"]
        ordinary, _ = load_trained("classifier", args.ordinary, spec_file, upstream)
        ordinary.requires_grad_(learns)
    state = run_state(args, images_sha(train), images_sha(val))
    rows = fit(
        network,
        views(train, targets=multi_hot(train["tags"], classes)),
        partial(method.step, spec=spec),
        spec,
        seed,
        machine,
        state,
        lambda net: (
            {"val_map": mean_average_precision(net, plain, machine.device)} if len(val) else {}
        ),
        ordinary,
    )
    if is_main_process():
        if learns:
            save_model(ordinary, args.model.with_name("noc.safetensors"))
        write_outputs(args, spec, network, classes, rows, state)


if __name__ == "__main__":
    run(main)
