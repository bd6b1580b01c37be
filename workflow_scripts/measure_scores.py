"""Measure masks, and the scores behind them at every background score."""

import json
import operator
from functools import partial
from pathlib import Path

import pandas as pd

from tags2masks.data.tables import CRC, write_table
from tags2masks.files import written_whole
from tags2masks.masks.single import scores_of
from tags2masks.methods import method_block
from tags2masks.metrics.curve import thresholds
from tags2masks.metrics.measuring import add_thresholds, arguments, work, write_empty
from tags2masks.metrics.quality import label_confusion, map_confusions
from tags2masks.metrics.rows import COLUMNS, CURVE_COLUMNS, label_rows, map_rows
from tags2masks.parallel import fold
from tags2masks.program import add_paths, run
from tags2masks.score_file import score_for


def main() -> None:
    """Read the arguments, measure, and write the figures, each image's IoU, and the curve."""
    parser = arguments(__doc__)
    add_paths(parser, "images", "curve", "image_root")
    parser.add_argument("--masks", type=json.loads, required=True, help="their recipe, as JSON")
    parser.add_argument("--maps", type=Path, nargs="+", required=True, help="shards, in order")
    parser.add_argument("--score", type=Path, nargs="*", help="the background score, if chosen")
    add_thresholds(parser)
    args = parser.parse_args()

    chunks, table, classes, images = work(args)
    if not chunks:
        write_empty(args.metrics, (*COLUMNS, CRC))
        write_empty(args.images, ("image", "iou"))
        write_empty(args.curve, CURVE_COLUMNS)
        return
    spec = method_block("masks", args.masks)
    if args.score:
        spec = spec.at_score(score_for(args.score[0], args.masks["upstream"]["score"]))
    limits = thresholds(args.thresholds, spec.background_score)
    fold_chunks = partial(
        fold, combine=operator.add, workers=args.threads, scheduler=args.dask, total=len(chunks)
    )
    measured = fold_chunks(
        partial(label_confusion, table=table, classes=classes), chunks, desc="measure masks"
    )
    maps = dict(zip(map(str, args.shards), map(str, args.maps), strict=True))
    maps_id = args.masks["upstream"]["maps"]
    map_quality = fold_chunks(
        partial(
            map_confusions,
            table=table,
            classes=classes,
            limits=limits,
            scored=partial(scores_of, root=args.image_root, recipe=args.masks, spec=spec),
        ),
        [chunk._replace(shard=maps[chunk.shard], artifact_id=maps_id) for chunk in chunks],
        desc="measure their scores",
    )
    at = spec.background_score
    rows = label_rows(measured, classes, args.split, images, at)
    tuned, curve = map_rows(map_quality, limits, at, classes, args.split, images)
    rows = pd.concat([rows, tuned[tuned["tuned_on_masks"]]], ignore_index=True)
    with written_whole(args.curve) as beside:
        curve.to_csv(beside, index=False)
    with written_whole(args.images) as beside:
        pd.DataFrame(measured.images, columns=["image", "iou"]).to_csv(beside, index=False)
    write_table(args.metrics, rows, rows.columns)


if __name__ == "__main__":
    run(main)
