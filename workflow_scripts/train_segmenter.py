"""Train a segmentation network on pseudo-masks."""

from pathlib import Path

import pandas as pd

from tags2masks.data.index import images_sha, read_classes, read_index, rows_of
from tags2masks.data.masked import MaskedViews
from tags2masks.files import written_whole
from tags2masks.methods import method_block, method_module
from tags2masks.nets.backbones import fill, load_initial_weights, read_weights
from tags2masks.nets.checkpoint import save_model, write_spec
from tags2masks.training import Machine, State, end_state, fit, is_main_process, prepare
from tags2masks.workflow.ids import artifact_id
from workflow_scripts.program import add_paths, parser, run


def main() -> None:
    """Read the arguments, train, and write the model, its spec and the training table."""
    arguments = parser(__doc__)
    add_paths(arguments, "root", "index", "classes", "model", "spec", "training")
    arguments.add_argument("--masks", type=Path, nargs="+", required=True, help="shards, in order")
    arguments.add_argument("--weights", type=Path, help="the file behind backbone.weights")
    arguments.add_argument("--classifier", type=Path, help="model to start the encoder from")
    arguments.add_argument("--source", default="", help="digest of the code")
    args = arguments.parse_args()

    machine = Machine(args.device, args.devices, args.threads, args.workers)
    seed = args.recipe["seed"]
    prepare(machine, seed)
    spec = method_block("segmenters", args.recipe, args.free)
    method = method_module("segmenters", args.recipe)
    train, classes = rows_of(read_index(args.index), "train"), read_classes(args.classes)
    backbone = spec.backbone

    network = method.build(spec, len(classes))
    if args.classifier:
        state = read_weights(args.classifier)
        inner = {k.removeprefix("backbone."): v for k, v in state.items()}
        fill(network.backbone, inner, str(args.classifier))
    else:
        weights = {"weights": str(args.weights)} if args.weights else {}
        load_initial_weights(network.backbone, backbone.model_copy(update=weights))
    views = MaskedViews(
        train, args.root, args.masks, args.recipe["upstream"]["masks"], spec.augment, backbone.mean
    )
    state = State(
        Path(args.model).parent / "state",
        "-".join([artifact_id(args.recipe), args.source, images_sha(train)]),
    )
    rows = fit(network, views, method.step, spec, seed, machine, state)
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
            "supervision": "pseudo-masks made from image tags",
        },
    )
    save_model(network, args.model)
    end_state(state, spec.keep_states)


if __name__ == "__main__":
    run(main)
