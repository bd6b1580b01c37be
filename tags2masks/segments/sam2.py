"""Segments of SAM 2 (Ravi et al., ICLR 2025) at a grid of points, by the library transformers.

The library's automatic mask generation with its own defaults but for the options of the block:
duplicates are left out by non-maximum suppression.
"""

from collections.abc import Iterator

import numpy as np
from PIL import Image

from tags2masks.config.segments import Sam2
from tags2masks.data.images import read_image
from tags2masks.errors import UserError
from tags2masks.progress import progress
from tags2masks.segments.sources import Work


def find(work: Work, spec: Sam2) -> Iterator[np.ndarray]:
    """The segments of each image, bool [n, H, W], the most certain first; they may overlap.

    Raises UserError without the library, and for a folder that holds no such model.
    """
    try:
        from transformers import AutoImageProcessor, Sam2Model, pipeline  # an optional extra
    except ImportError as error:
        raise UserError(
            f"segments of SAM 2 need the library transformers ({error}); pip install "
            "'tags2masks[sam]', or give segments that are made elsewhere (method given)"
        ) from None
    try:
        model = Sam2Model.from_pretrained(work.folder, local_files_only=True, use_safetensors=True)
        prepared = AutoImageProcessor.from_pretrained(work.folder, local_files_only=True)
    except (OSError, ValueError, KeyError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise UserError(
            f"{work.folder}: not read as a model of SAM 2 ({reason}); give a folder as "
            "transformers saves it"
        ) from None
    generate = pipeline(
        "mask-generation", model=model, image_processor=prepared, device=work.machine.device
    )
    images = zip(work.files, work.sizes, strict=True)
    for file, size in progress(images, "SAM 2", total=len(work.rows)):
        found = generate(
            Image.fromarray(read_image(file, size)),
            points_per_batch=spec.points_per_pass,
            points_per_crop=spec.points,
            crops_n_layers=spec.crops,
            pred_iou_thresh=spec.min_iou,
            stability_score_thresh=spec.min_stability,
        )
        yield np.array([np.asarray(mask) for mask in found["masks"]], bool).reshape(-1, *size)
