"""A small results folder as a finished run leaves it: what the report's tests are made on.

Data set pets: 10 training and 4 validation images of 64 × 64, masks, two shards, three experiments
(one ends at the maps). Data set photos: larger images, no masks, a class name with characters that
HTML must escape. Images, maps and masks are drawn; the figures of the CSV files are made up.
"""

import json
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from tags2masks.config.report import Report
from tags2masks.data.index import (
    SPLITS,
    build_index,
    images_sha,
    read_classes,
    read_index,
    rows_of,
    write_classes,
)
from tags2masks.data.tables import write_table
from tags2masks.data.truth import write_truth
from tags2masks.masks.seeds import seed, upsample
from tags2masks.metrics.properties import COLUMNS as PROPERTIES
from tags2masks.metrics.properties import CORRELATIONS
from tags2masks.palette import write_palette_png
from tags2masks.plausibility import (
    DOUBTS,
    PLAUSIBILITY,
    SHARES,
    Chunk,
    Masks,
    class_table,
    doubt_table,
    measure,
    share_table,
)
from tags2masks.report.examples import choose
from tags2masks.report.gallery import image_iou
from tags2masks.report.plausibility import doubt_correlations, tidy_plausibility
from tags2masks.report.summary import LEADERBOARD, METRICS, WARNINGS
from tags2masks.report.tables import STAGE_NAMES
from tags2masks.store import write_shard
from tests.unit.splits import write_splits

PETS, PHOTOS = ["cat", "dog"], ["rock & <roll>", "tree"]
COUNT = 2


def settings(**changes) -> dict:
    """An outline's settings of the report."""
    usual = {"compare": [], "against": [], "class_groups": {}, "side_by_side": {}, "cited": []}
    return usual | {"sweep_figures": list(Report().sweep_figures)} | changes


TRAIL = "pets/vanilla/cam/crf/deeplabv3plus"
OTHER = "pets/vanilla/scaled_cam"
CLASSIFIER, MAPS = "vanilla-00000001", "cam-00000002"
STEPPED = "cam-00000012"  # keeps a step that was not made, too
OUTLINE = [
    {
        "experiment": f"pets/vanilla/cam/{masks}/deeplabv3plus",
        "dataset": "pets",
        "has_truth": True,
        "evaluate_on": "val",
        "artifacts": {
            "classifier": CLASSIFIER,
            "maps": MAPS,
            "masks": f"{masks}-00000003",
            "segmenter": f"deeplabv3plus-{number}0000004",
            "predictions": f"deeplabv3plus-{number}0000005",
        },
    }
    for number, masks in enumerate(("threshold", "crf"))
] + [
    {
        "experiment": "pets/vanilla/scaled_cam",
        "dataset": "pets",
        "has_truth": True,
        "evaluate_on": "val",
        "artifacts": {"classifier": CLASSIFIER, "maps": STEPPED},
    },
    {
        "experiment": "photos/vanilla/cam/crf/deeplabv3plus",
        "dataset": "photos",
        "has_truth": False,
        "evaluate_on": "val",
        "artifacts": {
            "classifier": "vanilla-00000006",
            "maps": "cam-00000007",
            "masks": "crf-00000008",
            "segmenter": "deeplabv3plus-00000009",
            "predictions": "deeplabv3plus-0000000a",
        },
    },
]

DEPTHS = {
    "classifier": 1,
    "instances": 1,
    "prototypes": 2,
    "maps": 2,
    "masks": 3,
    "segmenter": 4,
    "predictions": 4,
}


def with_steps(one: dict, artifacts: dict[str, str]) -> dict:
    """The experiment with these artifacts."""
    steps = [[DEPTHS[stage], stage, artifact] for stage, artifact in artifacts.items()]
    about = {
        "seed": 0,
        "supervision": ["tags"],
        "full": False,
        "objects": [],
        "hints": [],
        "val": [],
        "instances": [],
        "has_instances": False,
        "data": "d",
        "seed_scores": {},
        "sheets": not one["has_truth"],
    }
    return one | about | {"artifacts": artifacts, "steps": steps}


OUTLINE = [with_steps(one, one["artifacts"]) for one in OUTLINE]

# Per pets experiment: stage -> [(threshold, tuned, {class: iou})].
IOU = {
    "pets/vanilla/cam/threshold/deeplabv3plus": {
        "maps": [
            (0.3, False, {"mean": 0.4512, "background": 0.702, "cat": 0.3516, "dog": 0.3}),
            (0.42, True, {"mean": 0.4978, "background": 0.751, "cat": 0.4014, "dog": 0.341}),
        ],
        "masks": [(None, False, {"mean": 0.4512, "background": 0.702, "cat": 0.3516, "dog": 0.3})],
        "predictions": [
            (None, False, {"mean": 0.5231, "background": 0.781, "cat": 0.4203, "dog": 0.368})
        ],
    },
    "pets/vanilla/cam/crf/deeplabv3plus": {
        "maps": [
            (0.3, False, {"mean": 0.4512, "background": 0.702, "cat": 0.3516, "dog": 0.3}),
            (0.42, True, {"mean": 0.4978, "background": 0.751, "cat": 0.4014, "dog": 0.341}),
        ],
        "masks": [(None, False, {"mean": 0.5706, "background": 0.81, "cat": 0.4718, "dog": 0.43})],
        "predictions": [
            (None, False, {"mean": 0.6147, "background": 0.833, "cat": 0.5401, "dog": 0.471})
        ],
    },
    "pets/vanilla/scaled_cam": {
        "maps": [
            (0.3, False, {"mean": 0.4688, "background": 0.714, "cat": 0.3724, "dog": 0.32}),
            (0.36, True, {"mean": 0.4801, "background": 0.73, "cat": 0.3803, "dog": 0.33}),
        ]
    },
}

CONTOUR_F = {"maps": 0.211, "masks": 0.352, "predictions": 0.334}


def fabricate(folder: Path) -> tuple[list[dict], dict[str, dict]]:
    """Make the folder `results` (and the images) below `folder`; the outline and the roots."""
    roots = {
        "pets": {
            "root": str(folder / "pets"),
            "truth_root": str(folder / "pets_masks"),
            "spec": {"kind": "folder", "classes": PETS},
        },
        "photos": {
            "root": str(folder / "photos"),
            "truth_root": None,
            "spec": {"kind": "folder", "classes": None},
        },
    }
    _draw("pets", PETS, folder, sizes=[(64, 64)] * 14, train=10, shards=2)
    _draw("photos", PHOTOS, folder, sizes=[(300, 400), (400, 260)] * 3, train=5, shards=1)
    for dataset in ("pets", "photos"):
        for stage, artifact in sorted(
            {(s, a) for one in OUTLINE if one["dataset"] == dataset
             for s, a in one["artifacts"].items()}
        ):  # fmt: skip
            _make(dataset, stage, artifact, folder)
    for one in OUTLINE:
        if "predictions" in one["artifacts"]:
            _examples(one, folder)
    _plausibility(folder / "results")
    _metrics().to_csv(folder / "results" / "metrics.csv", index=False)
    _leaderboard().to_csv(folder / "results" / "leaderboard.csv", index=False)
    warnings = [("pets", "", "few", "fewer than 5 training images are tagged with <cat> (3)")]
    warnings += [("pets", trail, "partial", "a mean over 2 classes") for trail in (TRAIL, OTHER)]
    table = pd.DataFrame(warnings, columns=list(WARNINGS))
    table.to_csv(folder / "results" / "warnings.csv", index=False)
    _properties().to_csv(folder / "results" / "pets" / "properties.csv", index=False)
    _correlations().to_csv(folder / "results" / "correlations.csv", index=False)
    return OUTLINE, roots


def _draw(name, classes, folder, sizes, train, shards):
    """Discs of the first class and squares of the second on speckled ground."""
    rng = np.random.default_rng(len(name))
    (folder / name).mkdir()
    (folder / f"{name}_masks").mkdir()
    rows = []
    for number, (height, width) in enumerate(sizes):
        image, truth = f"{name}-{number:02}", np.zeros((height, width), np.uint8)
        pixels = rng.normal((150, 140, 120), 14, (height, width, 3))
        down, right = np.indices(truth.shape)
        shown = [[1], [2], [1, 2]][number % 3]
        for kind in shown:
            y, x = rng.uniform(0.3, 0.7, 2) * truth.shape
            radius = rng.uniform(0.16, 0.26) * min(height, width)
            far = np.hypot(down - y, right - x)
            if kind == 2:
                far = np.maximum(abs(down - y), abs(right - x)) * 1.2
            truth[far < radius + 1.5] = 255
            truth[far < radius] = kind
            pixels[far < radius] = rng.normal([(200, 90, 60), (50, 90, 170)][kind - 1], 9)
        if number == 0:  # an image that nobody could tag
            shown = []
        pixels = pixels.clip(0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(folder / name / f"{image}.png")
        write_palette_png(folder / f"{name}_masks" / f"{image}.png", truth)
        split = "train" if number < train else "val"
        tags = tuple(classes[kind - 1] for kind in shown)
        rows.append((image, f"{image}.png", split, tags))
    listing = pd.DataFrame(rows, columns=["image", "path", "split", "tags"])
    index = build_index(listing, folder / name, classes, shards, 1)
    results = folder / "results" / name
    write_splits(results, index)
    write_classes(results / "classes.txt", classes)
    if name == "pets":
        masks = index["image"] + ".png"
        truth = pd.DataFrame({"image": index["image"], "mask": masks, "instances": ""})
        write_truth(results / "truth.csv", truth)


def _index(name, folder):
    return read_index(*(folder / "results" / name / f"{split}.csv" for split in SPLITS))


def _truth(name, image, folder):
    return np.array(Image.open(folder / f"{name}_masks" / f"{image}.png"))


def _maps(name, row, folder):
    """Blurred truth of the tagged classes at stride 4."""
    classes = PETS if name == "pets" else PHOTOS
    truth = _truth(name, row["image"], folder)
    maps = []
    for tag in row["tags"]:
        is_class = (truth == classes.index(tag) + 1).astype(np.float32)
        small = is_class[::4, ::4]
        padded = np.pad(small, 2, mode="edge")
        blurred = sum(
            padded[y : y + small.shape[0], x : x + small.shape[1]]
            for y in range(5)
            for x in range(5)
        )
        maps.append(blurred / max(blurred.max(), 1))
    size = [len(maps), *truth[::4, ::4].shape]
    return np.array(maps, np.float16).reshape(size), list(truth.shape)


def _mask(name, artifact, row, folder):
    classes = PETS if name == "pets" else PHOTOS
    maps, size = _maps(name, row, folder)
    ids = [classes.index(tag) + 1 for tag in row["tags"]]
    labels = seed(upsample(maps, tuple(size)), ids, 0.3 if "threshold" in artifact else 0.55)
    labels[: 4 * (len(row["image"]) + int(row["image"][-1])) % 20] = 0
    labels[-5:, -9:] = 255
    return labels


def _prediction(name, row, folder):
    truth = _truth(name, row["image"], folder)
    return np.where(truth == 255, 0, np.roll(truth, 3, axis=1)).astype(np.uint8) % 255


def _make(name, stage, artifact, folder):
    """Everything in an artifact's folder that the report reads."""
    home, index = folder / "results" / name / stage / artifact, _index(name, folder)
    home.mkdir(parents=True)
    if stage in ("classifier", "segmenter"):
        epochs = np.arange(1, 6)
        measure = {"classifier": "val_map", "segmenter": "pixel_agreement"}[stage]
        risen = 0.9 - 0.5 / epochs - 0.01 * int(artifact[-8])
        table = {
            "epoch": epochs,
            "loss": 0.7 / epochs,
            measure: risen,
            "lr": 0.1,
            "images_per_s": 9,
        }
        pd.DataFrame(table).to_csv(home / "training.csv", index=False)
        (home / "spec.json").write_text(json.dumps(said(stage, artifact, {"epochs": 5})))
        return
    split = "val" if stage == "predictions" else "train"
    for number in sorted(set(index["shard"])):
        rows = rows_of(index, split, number)
        write_shard(
            home / f"{number}.zarr.zip",
            said(stage, artifact, {"iterations": 10}),
            images_sha(rows),
            [_entry(name, stage, artifact, row, folder) for row in rows.to_dict("records")],
        )
    if name == "pets" and stage == "maps":
        _curve(artifact).to_csv(home / "curve.csv", index=False)
    if name == "pets" and stage in ("masks", "predictions"):
        rows = rows_of(index, split).to_dict("records")
        measured = [
            (
                row["image"],
                image_iou(
                    _truth(name, row["image"], folder),
                    _entry(name, stage, artifact, row, folder)[1],
                    2,
                ),
            )
            for row in rows
        ]
        pd.DataFrame(measured, columns=["image", "iou"]).to_csv(home / "images.csv", index=False)


def said(stage, artifact, spec):
    """What the artifact says of itself."""
    recipe = {"stage": stage, "method": artifact[:-9], "spec": spec, "seed": 0, "upstream": {}}
    versions = {"python": "3.11.7", "torch": "2.12.1"}
    return {
        "id": artifact,
        "recipe": recipe,
        "learns_from": ["tags"] if stage in ("classifier", "prototypes", "maps") else [],
        "versions": versions,
    }


def _entry(name, stage, artifact, row, folder):
    if stage == "maps":
        maps, size = _maps(name, row, folder)
        about = {"classes": list(row["tags"]), "size": size}
        if artifact != STEPPED:
            return row["image"], maps, about
        unmade = np.full_like(maps, np.nan)
        steps = np.stack([maps, maps / 2, maps**2, unmade], axis=1)
        restricted = np.stack([maps > 0.5] * 3, axis=1).astype(np.float16)
        return row["image"], maps, about, {"steps": steps, "restricted": restricted}
    labels = (
        _prediction(name, row, folder)
        if stage == "predictions"
        else _mask(name, artifact, row, folder)
    )
    return row["image"], labels, {"size": list(labels.shape)}


def _examples(one, folder):
    name, artifacts = one["dataset"], one["artifacts"]
    train = rows_of(_index(name, folder), "train")
    home = folder / "results" / name
    quality = home / "masks" / artifacts["masks"] / "images.csv" if one["has_truth"] else None
    chosen = train[train["image"].isin(choose(train, quality, COUNT))]
    write_shard(
        home / "examples" / f"{artifacts['predictions']}.zarr.zip",
        {"id": artifacts["predictions"]},
        images_sha(chosen),
        [
            _entry(name, "predictions", artifacts["predictions"], row, folder)
            for row in chosen.to_dict("records")
        ],
    )


def _plausibility(results):
    """The tables of masks and predictions without truth, as the workflow's programs write them."""
    for one in OUTLINE:
        of_dataset = [other["artifacts"] for other in OUTLINE if other["dataset"] == one["dataset"]]
        index = read_index(*(results / one["dataset"] / f"{split}.csv" for split in SPLITS))
        classes = read_classes(results / one["dataset"] / "classes.txt")
        for stage, split in (("masks", "train"), ("predictions", "val")):
            ids = dict.fromkeys(made[stage] for made in of_dataset if stage in made)
            if stage not in one["artifacts"]:
                continue
            mine = one["artifacts"][stage]
            home, measured = results / one["dataset"] / stage, []
            for number in sorted(set(index["shard"])):
                rows = rows_of(index, split, number)
                first, *others = [
                    Masks(str(home / name / f"{number}.zarr.zip"), name)
                    for name in (mine, *(name for name in ids if name != mine))
                ]
                chunk = Chunk(first, others, images_sha(rows), rows["image"].tolist())
                measured += measure(chunk, len(classes))
            tags = dict(zip(index["image"], index["tags"], strict=True))
            shares = share_table(measured, tags, classes)
            write_table(home / mine / "shares.csv", shares, SHARES)
            write_table(home / mine / "doubts.csv", doubt_table(measured, shares), DOUBTS)
            table = class_table(measured, shares, classes, split)
            write_table(home / mine / "plausibility.csv", table, PLAUSIBILITY)
    tidy_plausibility(OUTLINE, results).to_csv(results / "plausibility.csv", index=False)
    doubt_correlations(OUTLINE, results).to_csv(results / "doubt_correlations.csv", index=False)


def _curve(artifact):
    """A hill for the mean that goes through both marked points, and one per class below it."""
    name = "pets/vanilla/scaled_cam" if artifact == "cam-00000012" else OUTLINE[0]["experiment"]
    (fixed, _, low), (best, _, high) = IOU[name]["maps"]
    steps = np.arange(101) / 100
    drop = (high["mean"] - low["mean"]) / (best - fixed) ** 2
    mean = high["mean"] - drop * np.where(steps < best, 1, 0.6) * (steps - best) ** 2
    parts = [
        pd.DataFrame({"threshold": steps, "class": name, "iou": (mean + shift).clip(0)})
        for name, shift in (("background", 0.2), ("cat", -0.08), ("dog", -0.12), ("mean", 0))
    ]
    return pd.concat(parts).sort_values("threshold", kind="stable")


def _metrics():
    rows = []
    for one in OUTLINE:
        about = (one["experiment"], one["dataset"])
        score = 0.91 if one["dataset"] == "pets" else 0.8349
        classifier = one["artifacts"]["classifier"]
        rows.append((*about, "val", "classifier", classifier, "map", "mean", score, None, False, 4))
        for stage, measured in IOU.get(one["experiment"], {}).items():
            artifact = one["artifacts"][stage]
            split, images = ("val", 4) if stage == "predictions" else ("train", 10)
            for threshold, tuned, by_class in measured:
                values = [("iou", name, value) for name, value in by_class.items()]
                values += [
                    ("precision", "mean", 0.7),
                    ("recall", "mean", 0.65),
                    ("f1", "mean", 0.67),
                ]
                values += [("contour_f", "mean", CONTOUR_F[stage])] if not tuned else []
                values += [("labelled", "mean", 0.98)] if stage != "maps" else []
                rows += [
                    (*about, split, stage, artifact, *value, threshold, tuned, images)
                    for value in values
                ]
    return pd.DataFrame(rows, columns=list(METRICS))


def _properties():
    rows = [
        (split, name, images, *figures)
        for split, images in (("train", 10), ("val", 4))
        for name, figures in (
            ("background", (0.812, None, None)),
            ("cat", (0.1234, 0.5, 1.5)),
            ("dog", (0.2, 0.25, 1.25)),
        )
    ]
    return pd.DataFrame(rows, columns=list(PROPERTIES))


def _correlations():
    rows = [
        (TRAIL, "pets", "predictions", "val", name, *figures, 2)
        for name, figures in zip(
            PROPERTIES[3:], ((0.756, 0.5), (-1, -0.5), (None, None)), strict=True
        )
    ]
    return pd.DataFrame(rows, columns=list(CORRELATIONS))


def _leaderboard():
    rows = []
    for one in OUTLINE:
        known = IOU.get(one["experiment"], {})
        last = "predictions" in one["artifacts"]
        seeds = known.get("maps", [(None, False, {}), (None, True, {})])
        rows.append(
            {
                "experiment": one["experiment"],
                "dataset": one["dataset"],
                "classifier_map": 0.91 if one["dataset"] == "pets" else 0.8349,
                "seed_iou": seeds[0][2].get("mean"),
                "seed_background_score": seeds[0][0],
                "seed_iou_best": seeds[1][2].get("mean"),
                "seed_best_background_score": seeds[1][0],
                "mask_iou": known["masks"][0][2]["mean"] if "masks" in known else None,
                "prediction_iou": (
                    known["predictions"][0][2]["mean"] if "predictions" in known else None
                ),
                **{
                    f"{step}_contour_f": CONTOUR_F[stage] if stage in known else None
                    for stage, step in STAGE_NAMES.items()
                },
                "seed": one["seed"],
                "supervision": "tags",
                "label_cost": 20.0,
                "prediction_split": "val" if last else None,
                "train_images": 10 if one["dataset"] == "pets" else 5,
                "prediction_images": (4 if one["dataset"] == "pets" else 1) if last else None,
                "note": "" if one["has_truth"] else "no masks: quality not measured",
            }
        )
    return pd.DataFrame(rows, columns=list(LEADERBOARD))
