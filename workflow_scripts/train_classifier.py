"""Train an image classifier on tags."""

from functools import partial
from pathlib import Path

import pandas as pd
import torch
from sklearn.metrics import average_precision_score
from torch.utils.data import DataLoader

from tags2masks.data.index import images_sha, multi_hot, read_classes, read_index, rows_of
from tags2masks.data.views import PlainViews, TaggedViews
from tags2masks.files import written_whole
from tags2masks.methods import method_block, method_module
from tags2masks.nets.backbones import load_initial_weights
from tags2masks.nets.checkpoint import save_model, write_spec
from tags2masks.training import Machine, State, end_state, fit, is_main_process, prepare
from tags2masks.workflow.ids import artifact_id
from workflow_scripts.program import add_paths, parser, run


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
    arguments = parser(__doc__)
    add_paths(arguments, "root", "index", "classes", "model", "spec", "training")
    arguments.add_argument("--weights", type=Path, help="the file behind backbone.weights")
    arguments.add_argument("--source", default="", help="digest of the code")
    args = arguments.parse_args()

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
    state = State(
        Path(args.model).parent / "state",
        "-".join([artifact_id(args.recipe), args.source, images_sha(train), images_sha(val)]),
    )
    rows = fit(
        network,
        views(train, targets=multi_hot(train["tags"], classes)),
        method.step,
        spec,
        seed,
        machine,
        state,
        lambda net: (
            {"val_map": mean_average_precision(net, plain, machine.device)} if len(val) else {}
        ),
    )
    if not is_main_process():
        return
    with written_whole(args.training) as beside:
        pd.DataFrame(rows).to_csv(beside, index=False, float_format="%.6g")
    write_spec(
        args.spec,
        {
            "id": artifact_id(args.recipe),
            "recipe": args.recipe,
            "classes": classes,
            "supervision": "image tags",
        },
    )
    save_model(network, args.model)
    end_state(state, spec.keep_states)


if __name__ == "__main__":
    run(main)
