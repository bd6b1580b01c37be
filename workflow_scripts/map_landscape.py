"""Map the loss of a classifier around training images, or around its weights."""

from torch.utils.data import DataLoader

from tags2masks.analyses.landscape import landscape
from tags2masks.classifiers.validation import BATCH, plain_views
from tags2masks.config.analyses import Landscape
from tags2masks.data.index import read_index, rows_of, spaced
from tags2masks.data.randomness import image_seed
from tags2masks.errors import UserError
from tags2masks.files import written_whole
from tags2masks.machine import Machine, prepare
from tags2masks.methods import method_block
from tags2masks.nets.trained import load_trained
from tags2masks.program import add_analysis, add_index, add_paths, parser, run
from tags2masks.workflow.ids import artifact_id


def main() -> None:
    """Read the arguments, map, and write a row per point."""
    options = parser(__doc__)
    add_paths(options, "root", "model", "spec", "output")
    add_index(options)
    add_analysis(options)
    args = options.parse_args()

    machine = Machine(args.device, 1, args.threads, args.workers)
    seed = args.recipe["seed"]
    prepare(machine, seed)
    spec = Landscape.model_validate(args.analysis)
    made_from = {"classifier": artifact_id(args.recipe)}
    network, classes = load_trained("classifier", args.model, args.spec, made_from)
    network.to(machine.device)
    rows = rows_of(read_index(*args.index), "train")
    rows = rows[rows["tags"].map(len) > 0]
    if rows.empty:
        raise UserError(f"{args.index[0]}: no training image has a tag; tag some")
    rows = rows[rows["image"].isin(spaced(rows["image"].tolist(), spec.images))]
    block = method_block("classifiers", args.recipe, args.free)
    views = plain_views(rows, args.root, classes, block)
    seeds = [image_seed(seed, image) for image in rows["image"]]
    batches, start = [], 0
    for images, targets in DataLoader(views, batch_size=BATCH, num_workers=machine.loaders):
        batch = images.to(machine.device).float() / 255, targets.to(machine.device)
        batches.append((*batch, seeds[start : start + len(images)]))
        start += len(images)
    table = landscape(network, batches, spec, seed)
    with written_whole(args.output) as beside:
        table.to_csv(beside, index=False, float_format="%.6g")


if __name__ == "__main__":
    run(main)
