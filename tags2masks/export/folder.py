"""A trained segmenter as one folder that stands alone, and reading it back.

In the folder: the weights (model.safetensors), spec.json, classes.txt, and the graphs that were
asked for (`export/graphs.py`). spec.json is that of the artifact, with what another program needs
to know: `network`, `input`, and `inference`, how the experiment's predictions are made.
"""

from collections.abc import Collection
from pathlib import Path
from typing import NamedTuple

from pydantic import ValidationError
from torch import nn

from tags2masks.config.base import Entry
from tags2masks.data.index import write_classes
from tags2masks.data.readers import dataset_block
from tags2masks.errors import UserError
from tags2masks.export.graphs import (
    FILES,
    check_network,
    check_onnx,
    check_onnx_is_installed,
    traced,
    write_onnx,
    write_pt2,
)
from tags2masks.files import written_whole
from tags2masks.methods import inference_block, method_block
from tags2masks.nets.checkpoint import read_spec, save_model
from tags2masks.nets.trained import load_trained
from tags2masks.provenance import write_record

WEIGHTS, SPEC, CLASSES = "model.safetensors", "spec.json", "classes.txt"

MENDING = "copy the whole folder that `tags2masks export` wrote"


class Exported(NamedTuple):
    """An exported segmenter.

    network: in evaluation mode, frozen; classes: their names, the first has id 1; recipe: that of
    the segmenter; inference: how it is applied; reading: how images are read, see
    `Dataset.reading`.
    """

    network: nn.Module
    classes: list[str]
    recipe: dict
    inference: Entry
    reading: dict


def export_segmenter(
    output: Path, artifact: Path, id: str, predictions: dict, formats: Collection[str] = ()
) -> dict[str, str]:
    """Write the folder, and return its files with a few words on each.

    artifact: the segmenter's folder; id: the segmenter's; predictions: the recipe of the
    experiment's predictions; formats: of `graphs.FILES`. Raises UserError if the segmenter is not
    finished, for a network that a format does not have, or if a format's packages are not
    installed.
    """
    if "onnx" in formats:
        check_onnx_is_installed()
    if not (artifact / WEIGHTS).exists() or not (artifact / SPEC).exists():
        raise UserError(f"{artifact}: not finished; run the workflow, then export")
    network, classes = load_trained(
        "segmenter", artifact / WEIGHTS, artifact / SPEC, {"segmenter": id}
    )
    record = read_spec(artifact / SPEC)
    recipe, spec = record["recipe"], method_block("segmenters", record["recipe"])
    inference = inference_block(predictions)
    instances = "instances" in inference.offers
    if formats and instances:
        raise UserError(
            f"--format: {recipe['method']} gives instances, whose network is exported as weights "
            "alone; leave --format out"
        )
    if formats:
        check_network(recipe["method"], spec.backbone.name)
    record |= {
        "network": {
            "architecture": recipe["method"],
            "backbone": spec.backbone.name,
            "channels": ["background", *classes],
            **({} if instances else {"stride": network.stride}),
        },
        "input": {
            "colours": "RGB",
            "range": [0, 1],
            "mean": list(spec.backbone.mean),
            "std": list(spec.backbone.std),
            "normalised": "by the network itself",
            "reading": dataset_block(recipe["dataset"]).reading,
        },
        "inference": inference.key(),
    }
    files = {WEIGHTS: "weights", SPEC: "what they are", CLASSES: f"{len(classes)} classes"}
    with written_whole(output) as folder:
        folder.mkdir()
        save_model(network, folder / WEIGHTS)
        write_classes(folder / CLASSES, classes)
        if formats:
            record["input"]["smallest_side"] = network.stride + 1
            program = traced(network, network.stride)
        if "onnx" in formats:
            write_onnx(folder / FILES["onnx"], program, classes)
            difference = check_onnx(folder / FILES["onnx"], network)
            files[FILES["onnx"]] = f"probabilities within {difference:.0e} of the network's"
        if "pt2" in formats:
            write_pt2(folder / FILES["pt2"], program)
            files[FILES["pt2"]] = "torch.export.load reads it"
        write_record(folder / SPEC, record)
    return files


def read_exported(folder: Path, changes: dict | None = None) -> Exported:
    """Read a folder of `export_segmenter`.

    changes: fields of its `inference` that have other values now, such as `scales`.
    Raises UserError naming the file if something is absent or damaged, or a change not valid.
    """
    if not (folder / SPEC).is_file():
        raise UserError(f"{folder}: no exported segmenter, it has no {SPEC}; {MENDING}")
    record = read_spec(folder / SPEC)
    if "inference" not in record:
        raise UserError(
            f"{folder / SPEC}: of an artifact of the workflow; export it (tags2masks export)"
        )
    network, classes = load_trained(
        "segmenter", folder / WEIGHTS, folder / SPEC, {"segmenter": record["id"]}
    )
    recipe = record["recipe"]
    inference = _changed(recipe | {"spec": record["inference"]}, changes or {})
    return Exported(network, classes, recipe, inference, dataset_block(recipe["dataset"]).reading)


def _changed(recipe: dict, changes: dict) -> Entry:
    """The recipe's `inference_block` with some values of its own."""
    fields = type(inference_block(recipe)).model_fields
    if absent := changes.keys() - fields:
        raise UserError(f"--{min(absent)}: {recipe['method']} has no such option; leave it out")
    try:
        return inference_block(recipe, changes)
    except ValidationError as error:
        problem = error.errors()[0]
        name = problem["loc"][0]
        raise UserError(f"--{name}: {problem['input']!r}: {problem['msg']}; correct it") from None
