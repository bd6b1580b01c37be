"""Make the masks of a shard of training images by a trained segmenter."""

from collections.abc import Iterator
from functools import partial

import numpy as np

from tags2masks.config.crf import crf_processes, on_device
from tags2masks.config.masks import Predicted
from tags2masks.data.index import images_sha, read_classes, read_index, rows_of
from tags2masks.masks.predicted import make_mask
from tags2masks.methods import method_block
from tags2masks.parallel import ahead, map_ordered
from tags2masks.program import add_index, add_paths, parser, run
from tags2masks.provenance import provenance
from tags2masks.store import write_shard


def main() -> None:
    """Read the arguments, segment, and write the shard."""
    arguments = parser(__doc__)
    add_paths(arguments, "root", "classes", "model", "spec", "output")
    add_index(arguments)
    arguments.add_argument("--split", required=True, help="of the images")
    arguments.add_argument("--shard", type=int, required=True)
    args = arguments.parse_args()
    # Lazy import: worker processes import this program, and torch costs 400 MB each.
    from tags2masks.machine import Machine, prepare
    from tags2masks.nets.trained import load_trained
    from tags2masks.segmenters.applying import probabilities, whole_images

    machine = Machine(args.device, 1, args.threads, args.workers)
    prepare(machine, args.recipe["seed"])
    spec = on_device(method_block("masks", args.recipe, args.free), machine.device)
    inference = spec.inference
    network, _ = load_trained("segmenter", args.model, args.spec, args.recipe["upstream"])
    index = read_index(*args.index)
    rows = rows_of(index, args.split, args.shard)
    ids = {name: number for number, name in enumerate(read_classes(args.classes, index), start=1)}
    tags, names = rows["tags"].tolist(), rows["image"].tolist()
    views = whole_images(rows, args.root, inference)

    def items() -> Iterator[tuple]:
        for row, pixels, shares in probabilities(network, views, inference, machine):
            image = pixels.permute(1, 2, 0).numpy()
            yield image, shares.cpu().numpy(), [ids[name] for name in tags[row]]

    workers = max(1, min(machine.threads, len(rows))) if inference.crf else 1
    workers = crf_processes(spec, workers)
    few = 2 * workers  # probabilities are large: 16 MB for an image of VOC
    masks = map_ordered(
        partial(_mask, spec=spec),
        ahead(items(), few),
        workers=workers,
        batch=few,
        desc=args.recipe["method"],
        total=len(rows),
    )
    order = (names[row] for batch in views.batches for row in batch)
    entries = (
        (name, mask, {"size": list(mask.shape)}) for name, mask in zip(order, masks, strict=True)
    )
    write_shard(args.output, provenance(args.recipe), images_sha(rows), entries)


def _mask(item: tuple, spec: Predicted) -> np.ndarray:
    return make_mask(*item, spec)


if __name__ == "__main__":
    run(main)
