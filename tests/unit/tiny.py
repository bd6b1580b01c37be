"""Any method's config block made small, its options, and a data set of three images for it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import numpy as np
import pandas as pd
import torch
from PIL import Image
from torch import nn

from tags2masks.config.base import Block, Entry
from tags2masks.config.classifiers import Wood
from tags2masks.config.climbing import Climb
from tags2masks.config.clip import Clip
from tags2masks.config.detectors import TwoStage
from tags2masks.config.hosts import MctFormer
from tags2masks.config.instances import BoxMask
from tags2masks.config.map_base import Maps
from tags2masks.config.maps import MeanMaps
from tags2masks.config.maskrcnn import InstanceInference
from tags2masks.config.masks import Masks, SaliencyCheck, SaliencyCut, Vote
from tags2masks.config.methods import METHODS
from tags2masks.config.object_maps import ObjectMaps
from tags2masks.config.objectness import C2amHMaps, Given
from tags2masks.config.prototypes import Prototypes
from tags2masks.config.saliency_networks import C2amH
from tags2masks.config.segmenters import Dpt, Mixed, Perturbations, Segmenter
from tags2masks.config.segments import InFolder
from tags2masks.config.training import Training
from tags2masks.data.boxes import Box, box_table, write_boxes
from tags2masks.data.candidates import RANKED
from tags2masks.data.index import COLUMNS, assign_shards, images_sha, rows_of
from tags2masks.data.labelled import write_labelled
from tags2masks.data.tables import write_table
from tags2masks.instance_store import entry, instance
from tags2masks.mask_ids import IGNORED
from tags2masks.methods import method_module
from tags2masks.nets.checkpoint import save_model
from tags2masks.palette import write_palette_png
from tags2masks.provenance import provenance, write_record
from tags2masks.segmenters.perturbations import PERTURBATIONS
from tags2masks.stages import giving
from tags2masks.store import Entry as Stored
from tags2masks.store import write_shard
from tags2masks.workflow.ids import artifact_id

VIEWS = {"resize": (20, 32), "crop": 32}

# Defaults are for large networks. What the blocks of a base class have instead, those that have it.
SMALLER: dict[type[Block], dict[str, Any]] = {
    Training: {
        "backbone": {"name": "test_resnet", "weights": None},
        "augment": VIEWS,
        "epochs": 2,
        "batch_size": 3,
        "radius": 3,
        "width": 8,
    },
    Wood: {"keep": "all", "clusters": 2},
    MctFormer: {"backbone": {"name": "test_vit", "weights": None}},
    Clip: {
        "backbone": {"name": "test_vit", "weights": None, "args": {"num_classes": 8}},
        "background": ("sky", "sea"),
        "side": 32,
    },
    TwoStage: {
        "backbone": {"name": "test_resnet", "weights": None, "output_stride": 32},
        "frozen_stages": 0,
        "augment": {"short_sides": (32, 48), "longest": 64},
        "test_short_side": 48,
        "pyramid_channels": 4,
        "anchors": {"sizes": (8, 16, 24, 32, 64)},
        "proposals": {"before_nms": (50, 50), "after_nms": (40, 40)},
        "regions": {"channels": 8, "sampled": 32},
        "mask_layers": 1,
        "mask_channels": 4,
    },
    InstanceInference: {"short_side": 48, "longest": 64},
    Segmenter: {"head_channels": 8, "decoder_channels": 8},
    Mixed: {"batch_size": 2},
    Dpt: {"backbone": {"name": "test_vit", "weights": None}},
    C2amH: {"hints": "vanilla/cam"},
    C2amHMaps: {"network": {"hints": "vanilla/cam"}},
    Given: {"folder": "saliency"},
    InFolder: {"folder": "segments"},
    Perturbations: dict.fromkeys(PERTURBATIONS, 1),
    Prototypes: {"clusters": 2, "samples": 20},
    Climb: {"steps": 1},
    Maps: {
        "scales": (1.0, 0.5, 1.5),
        "samples": 3,
        "samples_per_pass": 2,
        "passes": 3,
        "steps": 2,
        "companions": 2,
        "augment": VIEWS,
    },
    ObjectMaps: {"proposals": 20, "overlaps": (0.0,)},
    BoxMask: {"iterations": 1, "margin": 0.5, "fill": (0.95,)},
    Masks: {"steps": 16, "radius": 3, "of": "vanilla/cam/crf/net"},
    MeanMaps: {"of": ["vanilla/cam", "vanilla/lpcam"]},
    Vote: {"of": ["vanilla/cam/crf", "vanilla/cam/irn"]},
    SaliencyCheck: {"saliency": "c2am"},
    SaliencyCut: {"saliency": "c2am"},
}

CLASSES = ["cat", "dog", "cow"]
SIZES = [(1, 40), (37, 53), (64, 64)]
MADE = "made-00000000"
"""The artifact in whose place something stands."""


def smaller(block: type[Block]) -> dict[str, Any]:
    """What a block, and the blocks in it, have instead of their defaults."""
    values = {}
    for name, info in block.model_fields.items():
        if isinstance(info.default, Block):
            values[name] = smaller(type(info.default))
    for base, fields in SMALLER.items():
        if issubclass(block, base):
            values |= {name: value for name, value in fields.items() if name in block.model_fields}
    return values


def small(block: type[Entry], **changes: Any) -> Entry:
    """A block made small."""
    return block(**(smaller(block) | changes))


def options(block: type[Entry]) -> list[tuple[str, Any]]:
    """Every field with few values, and each value that is not its default.

    Those of a choice, of a switch, and a block in place of null.
    """
    found = []
    for name, info in block.model_fields.items():
        if (info.json_schema_extra or {}).get("in_key") is False:
            continue
        parts = [info.annotation, *get_args(info.annotation)]
        values = [
            value for part in parts if get_origin(part) is Literal for value in get_args(part)
        ]
        values += [True, False] if bool in parts else []
        blocks = [part for part in parts[1:] if isinstance(part, type) and issubclass(part, Block)]
        if blocks:  # of several kinds the default one
            values.append(smaller(blocks[0]) if len(blocks) == 1 else {})
        found += [(name, value) for value in values if value != info.default]
    return found


def every_option(package: str) -> list[tuple[str, str, Any]]:
    """(method, field, value) of all options of all methods of a package."""
    blocks = METHODS[package].items()
    return [(method, *option) for method, block in blocks for option in options(block)]


def built(package: str, spec: Entry) -> nn.Module:
    """The method's network for three classes, with random weights, frozen."""
    torch.manual_seed(0)
    module = method_module(package, {"method": spec.method})
    return module.build(spec, len(CLASSES)).eval().requires_grad_(False)


@dataclass(frozen=True)
class Data:
    """Three training images, one of each size, and one of val, with all that a stage is given.

    candidates: the index of three out-of-distribution images, all of them ranked.
    dataset: the recipe's; labelled: the table of the second image's true mask, which is in folder.
    boxes, val_boxes: the tables of the boxes: one for each tag of a training image, but one where
    no image has a tag; and one of val.
    """

    folder: Path
    index: pd.DataFrame
    upstream: dict[str, str]
    files: dict[str, list[Path]]
    dataset: dict[str, str]
    labelled: Path
    candidates: pd.DataFrame
    boxes: Path
    val_boxes: Path


def three_images(
    folder: Path, tags: list[tuple[str, ...]], labels: list[int], **classifier: Any
) -> Data:
    """Write them.

    tags: of each image; labels: those that an image's labels are drawn from; classifier: changes
    of the classifier's block. At least the last
    image has one that is not ignored, at a pixel that no view shows, being half as large or less.
    The second one's true mask is as its labels, but known at its first pixel.
    The upstream has a vanilla classifier with random weights, random maps, and these labels for all
    masks, with probabilities that have nothing to do with them.
    """
    rng, rows, entries, maps = np.random.default_rng(0), [], [], []
    for number, size in enumerate([*SIZES, SIZES[-1]]):
        name, split = f"image {number}", "train" if number < len(SIZES) else "val"
        Image.fromarray(rng.integers(256, size=(*size, 3), dtype=np.uint8)).save(
            folder / f"{name}.png"
        )
        rows.append((name, f"{name}.png", split, [*tags, ()][number], *size, f"sha{number}"))
        if split == "train":
            drawn = rng.choice(np.array(labels, np.uint8), size)
            drawn[0, 0] = 0 if size == SIZES[-1] else drawn[0, 0]
            both = rng.integers(256, size=(2, 1 + len(rows[-1][3]), *size), dtype=np.uint8)
            entries.append((name, drawn, {"size": list(size)}, {"probabilities": both}))
            own, cells = list(rows[-1][3]), [-(-side // 4) for side in size]
            scores = np.random.default_rng(number).random((len(own), *cells)).astype(np.float16)
            maps.append((name, scores, {"classes": own, "size": list(size)}))
    index = assign_shards(pd.DataFrame(rows, columns=COLUMNS[:-1]), 1)
    masks, model = folder / "0.zarr.zip", folder / "model.safetensors"
    for path, stored in ((masks, entries), (folder / "maps.zarr.zip", maps)):
        write_shard(path, {"id": MADE}, images_sha(rows_of(index, "train")), stored)
    spec = small(METHODS["classifiers"]["vanilla"], **classifier)
    save_model(built("classifiers", spec), model)
    recipe = {"stage": "classifier", "method": spec.method, "spec": spec.key(), "upstream": {}}
    write_record(folder / "spec.json", provenance(recipe) | {"classes": CLASSES})
    made = dict.fromkeys([*giving("shards"), "ood"], MADE)
    upstream = made | {"classifier": artifact_id(recipe)}
    files = {stage: [masks] for stage in giving("shards")}
    files |= {"maps": [folder / "maps.zarr.zip"], "classifier": [model]}
    files |= {"ood": [folder / "ranked.csv"]}
    name, known, *_ = entries[1]
    known = known.copy()
    known[0, 0] = 0
    write_palette_png(folder / "mask.png", known)
    masked = pd.DataFrame({"image": [name], "mask": ["mask.png"], "instances": [""]})
    write_labelled(folder / "labelled.csv", masked)
    candidates = out_of_distribution(folder)
    dataset, labelled = {"kind": "folder"}, folder / "labelled.csv"
    boxes, val_boxes = folder / "boxes.csv", folder / "val-boxes.csv"
    train = rows_of(index, "train")
    named = [pair for pair in zip(train["image"], train["tags"], strict=True) if pair[1]]
    drawn = boxes_in(train, named or [(train["image"].iloc[-1], CLASSES[:1])])
    write_boxes(boxes, drawn)
    files["instances"] = [folder / "instances.zarr.zip"]
    in_boxes = instances_in(train, drawn, labels != [IGNORED])
    write_shard(files["instances"][0], {"id": MADE}, images_sha(train), in_boxes)
    val = rows_of(index, "val")
    write_boxes(val_boxes, boxes_in(val, [(val["image"].iloc[0], CLASSES[:1])]))
    return Data(
        folder, index, upstream, files, dataset, labelled, candidates, boxes, val_boxes
    )  # fmt: skip


def instances_in(rows: pd.DataFrame, boxes: pd.DataFrame, known: bool) -> Iterator[Stored]:
    """The entries of instances of the boxes, of which half the pixels are known, or none."""
    rng = np.random.default_rng(2)
    for image, *size in rows[["image", "height", "width"]].itertuples(index=False, name=None):
        own = []
        for box in boxes[boxes["image"] == image].itertuples():
            possible = np.zeros(size, bool)
            possible[box.y1 : box.y2 + 1, box.x1 : box.x2 + 1] = True
            sure = possible & (rng.random(size) < 0.5) & known
            corners = box.x1, box.y1, box.x2, box.y2
            class_id = 1 + CLASSES.index(boxes.loc[box.Index, "class"])
            own.append(instance(class_id, sure, box=corners, possible=possible))
        yield entry(image, own, tuple(size))


def boxes_in(rows: pd.DataFrame, named: list[tuple[str, Sequence[str]]]) -> pd.DataFrame:
    """A box for each class named of an image, at its left and as high as it is; the last is
    difficult, unless it is the only one.
    """
    sizes = dict(zip(rows["image"], zip(rows["height"], rows["width"], strict=True), strict=True))
    pairs = [(image, name) for image, names in named for name in names]
    boxes = []
    for number, (image, name) in enumerate(pairs):
        height, width = sizes[image]
        corners = (number % width, 0, min(width - 1, number + width // 2), height - 1)
        boxes.append(Box(image, name, corners, 0 < number == len(pairs) - 1, "drawn"))
    return box_table(boxes, rows)


def out_of_distribution(folder: Path) -> pd.DataFrame:
    """Three images, one of each size, written with the table that ranks them; their index."""
    rng, rows = np.random.default_rng(1), []
    for number, size in enumerate(SIZES):
        name = f"other {number}"
        pixels = rng.integers(256, size=(*size, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{name}.png")
        rows.append((name, f"{name}.png", "ood", (), *size, f"other sha{number}", 0))
    index = pd.DataFrame(rows, columns=COLUMNS)
    ranked = pd.DataFrame({"image": index["image"], "class": CLASSES, "score": "0.500000"})
    write_table(folder / "ranked.csv", ranked, RANKED)
    return index
