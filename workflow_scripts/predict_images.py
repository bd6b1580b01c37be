"""Segment a folder of new images with a finished experiment's model.

Images that cannot be read are left out and listed in damaged.csv. Segmenters of instances also
write these, as coco.json and as pictures of their numbers.
"""

import csv
import json
import sys
from pathlib import Path

import numpy as np
import pandas as pd

from tags2masks.coco_export import annotated, instance_picture
from tags2masks.data.images import SUFFIXES, image_files, inspect_image
from tags2masks.data.index import files_of, with_reading
from tags2masks.data.readers import dataset_block
from tags2masks.errors import UserError
from tags2masks.files import written_whole
from tags2masks.given import path_inside
from tags2masks.instance_store import KIND, Instance, decoded
from tags2masks.methods import inference_block
from tags2masks.palette import write_palette_png
from tags2masks.program import add_paths, parser, run


def find_images(folder: Path, reading: dict) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The images of a folder and its subfolders, and those that cannot be read.

    reading: how those are read that the model learned from, see `Dataset.reading`.
    Returns image, path, height, width, and how they are read; and image, problem.
    Raises UserError when there are none that can be read.
    """
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder; correct `images` of predict in the config")
    paths = sorted(path.relative_to(folder).as_posix() for path in image_files(folder))
    if not paths:
        raise UserError(f"{folder}: holds no images ({', '.join(sorted(SUFFIXES))})")
    # The suffix stays in the name: a.jpg and a.png are two images here.
    rows = with_reading(pd.DataFrame({"image": paths, "path": paths}), reading)
    readable, damaged = [], []
    for file, row in zip(files_of(rows, folder), rows.to_dict("records"), strict=True):
        try:
            height, width = inspect_image(file)[:2]
            readable.append({**row, "height": height, "width": width})
        except UserError as error:
            damaged.append((row["image"], str(error)))
    if not readable:
        raise UserError(f"{folder}: none of {len(paths)} images can be read; {damaged[0][1]}")
    return pd.DataFrame(readable), pd.DataFrame(damaged, columns=["image", "problem"])


def main() -> None:
    """Read the arguments, segment, and write palette PNGs, classes, shares and damaged images.

    Of a segmenter of instances also these.
    """
    arguments = parser(__doc__)
    add_paths(arguments, "images", "model", "spec", "output")
    args = arguments.parse_args()
    # Lazy import: worker processes import this program, and torch costs 400 MB each.
    from tags2masks.machine import Machine, prepare
    from tags2masks.nets.trained import load_trained
    from tags2masks.segmenters.applying import entries_of

    machine = Machine(args.device, 1, args.threads, args.workers)
    prepare(machine, args.recipe["seed"])
    network, classes = load_trained("segmenter", args.model, args.spec, args.recipe["upstream"])
    names = ["background", *classes]
    inference = inference_block(args.recipe)
    found: list[tuple[str, list[Instance]]] = []
    rows, damaged = find_images(args.images, dataset_block(args.recipe["dataset"]).reading)
    for problem in damaged["problem"]:
        print(f"warning: {problem}", file=sys.stderr)
    with written_whole(args.output) as folder:
        folder.mkdir()
        damaged.to_csv(folder / "damaged.csv", index=False, lineterminator="\n")
        (folder / "classes.txt").write_text("\n".join(classes) + "\n", encoding="utf-8")
        with (folder / "shares.csv").open("w", newline="", encoding="utf-8") as table:
            writer = csv.writer(table)
            writer.writerow(["image", *names])
            for image, mask, about, *further in entries_of(
                args.recipe, network, rows, args.images, inference, machine
            ):
                write_palette_png(path_inside(folder, f"{image}.png"), mask)
                shares = np.bincount(mask.ravel(), minlength=len(names)) / mask.size
                writer.writerow([image, *(f"{share:.4f}" for share in shares)])
                if "instances" in inference.offers:
                    instances = decoded(further[0][KIND], about)
                    found.append((image, instances))
                    picture = path_inside(folder, f"{image}.instances.png")
                    write_palette_png(picture, instance_picture(instances, mask.shape))
        if "instances" in inference.offers:
            written = annotated(rows, classes, found)
            (folder / "coco.json").write_text(json.dumps(written), encoding="utf-8")


if __name__ == "__main__":
    run(main)
