"""Store CLIP's image tower with the texts of the classes, as a classifier; nothing is trained."""

import pandas as pd
import torch

from tags2masks.classifiers.validation import average_precisions_of, plain_views
from tags2masks.data.index import read_classes, read_index, rows_of
from tags2masks.files import written_whole
from tags2masks.machine import Machine, is_main_process, prepare
from tags2masks.methods import method_block, method_module
from tags2masks.metrics.classification import mean_average_precision
from tags2masks.nets.backbones import load_initial_weights
from tags2masks.nets.checkpoint import save_model
from tags2masks.nets.clip import create_tower
from tags2masks.program import run
from tags2masks.provenance import provenance, write_record
from tags2masks.texts.store import read_texts
from workflow_scripts.train import arguments


def main() -> None:
    """Read the arguments, put tower and texts together, and write what a training writes."""
    args = arguments().parse_args()
    machine = Machine(args.device, 1, args.threads, args.workers)
    if not is_main_process():
        return  # nothing is shared out
    prepare(machine, args.recipe["seed"])
    spec, classes = method_block("classifiers", args.recipe, args.free), read_classes(args.classes)
    tower = create_tower(spec.backbone)
    named = {"weights": str(args.weights)} if args.weights else {}
    load_initial_weights(tower, spec.backbone.model_copy(update=named))
    count = len(classes) + len(spec.background)
    texts = read_texts(args.texts[0], args.recipe["upstream"]["texts"], count)
    with_texts = method_module("classifiers", args.recipe).with_texts
    network = with_texts(tower, torch.from_numpy(texts), len(classes), spec)
    network = network.to(machine.device).eval().requires_grad_(False)
    rows = rows_of(read_index(*args.index, *filter(None, [args.val])), "val")
    views = plain_views(rows, args.root, classes, spec)
    measured = mean_average_precision(average_precisions_of(network, views, machine))
    with written_whole(args.training) as beside:
        table = pd.DataFrame([{"epoch": 0, "val_map": measured}])
        table.to_csv(beside, index=False, float_format="%.6g")
    write_record(args.spec, provenance(args.recipe) | {"classes": classes})
    save_model(network, args.model)


if __name__ == "__main__":
    run(main)
