"""Instances of a table of images by a trained network, and the semantic masks that they make."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from tags2masks.config.crf import crf_processes
from tags2masks.config.maskrcnn import InstanceInference
from tags2masks.data.images import read_image
from tags2masks.data.index import files_of, sizes_of
from tags2masks.detectors.detecting import found_in
from tags2masks.instance_store import KIND, coded
from tags2masks.machine import Machine
from tags2masks.nets.mask_detector import MaskDetector
from tags2masks.parallel import ahead, map_ordered
from tags2masks.segmenters.pasting import Found, instances_of, semantic
from tags2masks.store import Entry


def segmented(
    network: MaskDetector,
    rows: pd.DataFrame,
    root: Path,
    inference: InstanceInference,
    machine: Machine,
) -> Iterator[Entry]:
    """The store's entry of every row: its semantic mask, uint8 [H, W], and beside it its instances.

    rows: with image, path, height, width. A CRF runs in `machine.threads` processes while the
    network looks at the next images.
    """
    network.requires_grad_(False).to(machine.device).to(memory_format=torch.channels_last)
    names, files, sizes = rows["image"].tolist(), files_of(rows, root), sizes_of(rows)
    order: list[int] = []

    def items() -> Iterator[Found]:
        sides = inference.short_side, inference.longest
        for row, found in found_in(network, rows, root, sides, machine, inference.batch_size):
            order.append(row)
            if inference.crf is None:
                image = np.broadcast_to(np.uint8(0), (*sizes[row], 3))
            else:
                image = read_image(files[row], sizes[row])
            parts = (found[name] for name in ("boxes", "labels", "scores"))
            yield Found(*parts, found["masks"][:, 0], image)

    workers = max(1, min(machine.threads, len(rows))) if inference.crf else 1
    workers = crf_processes(inference, workers)
    few = 2 * workers
    results = map_ordered(
        partial(instances_of, inference=inference),
        ahead(items(), few),
        workers=workers,
        batch=few,
        desc="segment",
        total=len(rows),
    )
    for number, found in enumerate(results):
        row = order[number]
        codes, listed = coded(found)
        mask = semantic(sizes[row], found, inference.semantic_score)
        yield names[row], mask, {"size": list(sizes[row]), KIND: listed}, {KIND: codes}
