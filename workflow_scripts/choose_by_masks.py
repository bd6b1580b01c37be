"""Choose the background score of maps by the masks of the labelled training images."""

from pathlib import Path

import numpy as np

from tags2masks.data.index import images_sha, read_classes, read_index, rows_of
from tags2masks.data.labelled import read_true_masks
from tags2masks.data.readers import dataset_block, reader_module
from tags2masks.errors import UserError
from tags2masks.masks.seeds import upsample
from tags2masks.methods import method_module
from tags2masks.metrics.curve import score_histogram
from tags2masks.program import add_index, add_paths, parser, run
from tags2masks.progress import progress
from tags2masks.provenance import provenance, write_record
from tags2masks.store import Shard


def main() -> None:
    """Read the arguments and the labelled images' masks and maps, and write the score."""
    arguments = parser(__doc__)
    add_paths(arguments, "root", "mask_root", "classes", "labelled", "output")
    arguments.add_argument("--maps", type=Path, nargs="+", required=True, help="all shards")
    add_index(arguments)
    args = arguments.parse_args()

    spec, index = dataset_block(args.recipe["dataset"]), read_index(*args.index)
    rows, classes = rows_of(index, "train"), read_classes(args.classes, index)
    table = reader_module(spec.kind).mask_table(spec, classes)
    true_masks = read_true_masks(args.labelled, args.mask_root, table)
    ids = {name: number for number, name in enumerate(classes, start=1)}
    method, histogram, used = method_module("scores", args.recipe), np.int64(0), 0
    with progress(args.maps, args.recipe["method"], total=len(args.maps)) as files:
        for file in files:
            mine = rows_of(rows, "train", int(file.name.partition(".")[0]))
            with Shard(file, args.recipe["upstream"]["maps"], images_sha(mine)) as shard:
                for image, height, width in zip(
                    mine["image"], mine["height"], mine["width"], strict=True
                ):
                    if image not in true_masks.files or not shard.holds(image):
                        continue
                    truth = true_masks.read(image, (height, width))
                    maps, about = shard.read(image)
                    present = [ids[name] for name in about["classes"]]
                    full = upsample(maps, truth.shape)
                    histogram = histogram + score_histogram(
                        full, present, truth, method.GRID, len(classes)
                    )
                    used += 1
    if not used:
        raise UserError(
            f"{args.labelled}: none of the labelled images has maps; label others, or leave out "
            "`images` of the maps"
        )
    chosen = method.choose(histogram)
    record = provenance(args.recipe) | chosen | {"images": used, "warnings": []}
    write_record(args.output, record)
    print(f"background score {chosen['background_score']:g}, by {used} masks", flush=True)


if __name__ == "__main__":
    run(main)
