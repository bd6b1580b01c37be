"""Masks and instances in the formats of other programs: COCO, YOLO, Label Studio, CVAT, VOC.

Of a semantic mask all pixels of a class are one object; ignored pixels (255) are in none.
"""

import gzip
import io
import json
import tarfile
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree as Xml

import numpy as np
import pandas as pd

from tags2masks.coco_export import annotated
from tags2masks.config.voc import VOC_CLASSES
from tags2masks.data.index import sizes_of
from tags2masks.errors import UserError
from tags2masks.export.polygons import polygons_of
from tags2masks.given import path_inside
from tags2masks.instance_store import Instance, instance
from tags2masks.mask_ids import IGNORED

# -- what a format is given ----------------------------------------------------------------------


class Annotated(NamedTuple):
    """Images and what is in them.

    rows: with image, path, height, width; classes: the names, the first has id 1; instances: of
    each row. name: what the masks are called where a format has a field for it.
    """

    rows: pd.DataFrame
    classes: Sequence[str]
    instances: Sequence[Sequence[Instance]]
    name: str = "tags2masks"


def objects_of(mask: np.ndarray) -> list[Instance]:
    """The pixels of each class of a semantic mask, uint8 [H, W], as one instance of score 1."""
    return [instance(int(id), mask == id) for id in np.unique(mask) if id not in (0, IGNORED)]


# The names of files where a format leaves out the suffix of the image, or also its folder.
RENAMED: dict[str, Callable[[Path], str]] = {
    "voc": lambda path: f"{path.stem}.png",
    "yolo": lambda path: path.with_suffix(".txt").as_posix(),
}


def check_formats(formats: Collection[str], rows: pd.DataFrame, classes: Sequence[str]) -> None:
    """Raise UserError for formats that these images or classes cannot have, before masks are made.

    rows: with path of the images; classes: the names.
    """
    if "voc" in formats and tuple(classes) != VOC_CLASSES:
        raise UserError(
            f"voc: the server takes masks of PASCAL VOC's {len(VOC_CLASSES)} classes in their "
            f"order, not of {', '.join(classes)}; ask for another format"
        )
    for name in sorted(RENAMED.keys() & set(formats)):
        names = _renamed(name, rows)
        if len(set(names)) < len(names):
            ((twice, _),) = Counter(names).most_common(1)
            raise UserError(
                f"{name}: two images would have the file {twice}; give them other names than by "
                "their suffix or folder"
            )


def _renamed(name: str, rows: pd.DataFrame) -> list[str]:
    return [RENAMED[name](Path(path)) for path in rows["path"]]


# -- the formats ---------------------------------------------------------------------------------


def write_coco(folder: Path, given: Annotated) -> None:
    """coco.json, with compressed RLE, and coco-polygons.json."""
    found = list(zip(given.rows["image"], given.instances, strict=True))
    content = annotated(given.rows, given.classes, found)
    _write_json(folder / "coco.json", content)
    masks = [each.mask for instances in given.instances for each in instances]
    for annotation, mask in zip(content["annotations"], masks, strict=True):
        annotation["segmentation"] = [
            [side for corner in polygon for side in corner] for polygon in polygons_of(mask)
        ]
    _write_json(folder / "coco-polygons.json", content)


def write_yolo(folder: Path, given: Annotated) -> None:
    """yolo/labels/<image>.txt, a line per polygon, and yolo/data.yaml with the classes.

    A line has the class, from 0, and the corners as shares of width and height. As the trainer
    finds it: images are in yolo/images, where the person puts them; the suffix of the image is not
    in the name.
    """
    names = _renamed("yolo", given.rows)
    for name, size, instances in zip(names, sizes_of(given.rows), given.instances, strict=True):
        height, width = size
        lines = [
            " ".join(
                [f"{each.class_id - 1}"] + [f"{x / width:.8g} {y / height:.8g}" for x, y in polygon]
            )
            for each in instances
            for polygon in polygons_of(each.mask)
        ]
        file = path_inside(folder / "yolo/labels", name)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    # A string of JSON is one of YAML.
    names = (
        f"  {number}: {json.dumps(name, ensure_ascii=False)}\n"
        for number, name in enumerate(given.classes)
    )
    text = "path: .\ntrain: images\nval: images\nnames:\n" + "".join(names)
    (folder / "yolo/data.yaml").write_text(text, encoding="utf-8")


def write_label_studio(folder: Path, given: Annotated) -> None:
    """label_studio.json, tasks with predictions to correct, and label_studio.xml, the interface.

    `image` of a task is the path below the folder of the images.
    """
    tasks = []
    sizes = sizes_of(given.rows)
    for path, size, instances in zip(given.rows["path"], sizes, given.instances, strict=True):
        height, width = size
        regions = [
            {
                "type": "polygonlabels",
                "from_name": "label",
                "to_name": "image",
                "original_width": width,
                "original_height": height,
                "image_rotation": 0,
                "score": each.score,
                "value": {
                    "points": [[100 * x / width, 100 * y / height] for x, y in polygon],
                    "closed": True,
                    "polygonlabels": [given.classes[each.class_id - 1]],
                },
            }
            for each in instances
            for polygon in polygons_of(each.mask)
        ]
        predictions = [{"model_version": given.name, "result": regions}]
        tasks.append({"data": {"image": path}, "predictions": predictions})
    _write_json(folder / "label_studio.json", tasks)
    view = Xml.Element("View")
    Xml.SubElement(view, "Image", name="image", value="$image")
    labels = Xml.SubElement(view, "PolygonLabels", name="label", toName="image")
    for name in given.classes:
        Xml.SubElement(labels, "Label", value=name)
    _write_xml(folder / "label_studio.xml", view)


def write_cvat(folder: Path, given: Annotated) -> None:
    """cvat.xml, "CVAT for images 1.1": a mask for each instance.

    The RLE of a mask is of the rows of its bounding box; the first count is of pixels outside.
    """
    root = Xml.Element("annotations")
    Xml.SubElement(root, "version").text = "1.1"
    labels = Xml.SubElement(Xml.SubElement(Xml.SubElement(root, "meta"), "task"), "labels")
    for name in given.classes:
        one = Xml.SubElement(labels, "label")
        Xml.SubElement(one, "name").text = name
        Xml.SubElement(one, "type").text = "mask"
    sizes = sizes_of(given.rows)
    for number, (path, size, instances) in enumerate(
        zip(given.rows["path"], sizes, given.instances, strict=True)
    ):
        height, width = (str(side) for side in size)
        image = Xml.SubElement(root, "image", id=str(number), name=path, width=width, height=height)
        for each in instances:
            rows, columns = np.nonzero(each.mask)
            if not len(rows):
                continue
            top, left = rows.min(), columns.min()
            inside = each.mask[top : rows.max() + 1, left : columns.max() + 1]
            about = {
                "label": given.classes[each.class_id - 1],
                "source": "auto",
                "occluded": "0",
                "rle": ", ".join(map(str, _run_lengths(inside))),
                "left": str(left),
                "top": str(top),
                "width": str(inside.shape[1]),
                "height": str(inside.shape[0]),
                "z_order": "0",
            }
            Xml.SubElement(image, "mask", about)
    _write_xml(folder / "cvat.xml", root)


def write_voc(folder: Path, given: Annotated) -> None:
    """voc.tgz with the masks that the folder holds, as PASCAL VOC's server takes them.

    It is the competition comp6 of 2012, segmentation with any training data.
    """
    names = _renamed("voc", given.rows)
    # Without times and owners: the same masks are the same bytes.
    with (
        (folder / "voc.tgz").open("wb") as file,
        gzip.GzipFile("", "wb", fileobj=file, mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w") as archive,
    ):
        for image, name in zip(given.rows["image"], names, strict=True):
            content = (folder / f"{image}.png").read_bytes()
            member = tarfile.TarInfo(f"results/VOC2012/Segmentation/comp6_test_cls/{name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))


FORMATS: dict[str, Callable[[Path, Annotated], None]] = {
    "coco": write_coco,
    "yolo": write_yolo,
    "label_studio": write_label_studio,
    "cvat": write_cvat,
    "voc": write_voc,
}
"""What writes each format into a folder, of what `check_formats` lets pass."""


# -- files ---------------------------------------------------------------------------------------


def _run_lengths(mask: np.ndarray) -> list[int]:
    """The lengths of runs in row order, of False and True in turn; the first may be 0."""
    values = np.concatenate([[False], mask.ravel()])
    ends = np.nonzero(np.diff(values))[0]
    return np.diff([0, *ends, mask.size]).tolist()


def _write_json(path: Path, content: object) -> None:
    path.write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")


def _write_xml(path: Path, root: Xml.Element) -> None:
    Xml.indent(root)
    Xml.ElementTree(root).write(path, encoding="utf-8", xml_declaration=True)
