"""Divide the true pixels of a few images by their CAM and by a map, for pictures of regions."""

from collections.abc import Iterator

import numpy as np
import pandas as pd

from tags2masks.config.analyses import RegionPictures
from tags2masks.data.index import images_sha, read_index, rows_of, spaced
from tags2masks.data.truth import read_mask
from tags2masks.files import written_whole
from tags2masks.masks.seeds import upsample
from tags2masks.metrics.measuring import Work, arguments, work
from tags2masks.metrics.quality import Chunk
from tags2masks.metrics.region_pixels import COLUMNS, distances, largest, shares
from tags2masks.program import add_analysis, add_paths, run
from tags2masks.store import Entry, Shard, write_shard


def main() -> None:
    """Read the arguments, and write a row per image, and its CAM, map and true pixels."""
    parser = arguments(__doc__)
    add_paths(parser, "maps")
    add_analysis(parser)
    args = parser.parse_args()

    spec = RegionPictures.model_validate(args.analysis)
    job = work(args)
    train = rows_of(read_index(*args.index), "train")
    tagged = set(train["image"][train["tags"].map(bool)])
    truths = [image for chunk in job.chunks for image, *_ in chunk.truths if image in tagged]
    chosen = set(spaced(truths, spec.images))
    entries = [
        entry
        for chunk in job.chunks
        if chosen & {image for image, *_ in chunk.truths}
        for entry in _of_chunk(chunk, chosen, job)
    ]
    rows = [
        (image, about["class"], int(layers[2].sum()), *shares(distances(*layers)))
        for image, layers, about in entries
    ]
    table = pd.DataFrame(rows, columns=list(COLUMNS))
    with written_whole(args.metrics) as beside:
        table.to_csv(beside, index=False, float_format="%.6g")
    write_shard(args.maps, {"id": args.id, "partial": True}, images_sha(train), entries)


def _of_chunk(chunk: Chunk, chosen: set[str], job: Work) -> Iterator[Entry]:
    """CAM, map and true pixels, float32 [3, H, W], of the chosen images and their largest class.

    Images whose mask shows none of their classes are left out.
    """
    ids = {name: number for number, name in enumerate(job.classes, start=1)}
    with (
        Shard(chunk.shard, chunk.artifact_id, chunk.images_sha) as maps,
        Shard(*chunk.cam, chunk.images_sha) as cams,
    ):
        for image, mask, size in chunk.truths:
            if image not in chosen:
                continue
            truth = read_mask(mask, job.table, size)
            (scores, about), (cam, of_cam) = maps.read(image), cams.read(image)
            both = [name for name in about["classes"] if name in of_cam["classes"]]
            number = largest(truth, [ids[name] for name in both])
            if number is None:
                print(f"Image '{image}' is left out: its mask shows none of its classes")
                continue
            name = job.classes[number - 1]
            layers = [
                upsample(array[[names["classes"].index(name)]], size)[0]
                for array, names in ((cam, of_cam), (scores, about))
            ]
            yield image, np.stack([*layers, truth == number]).astype(np.float32), {"class": name}


if __name__ == "__main__":
    run(main)
