"""The formats that can be imported. Light to import."""

from collections.abc import Callable
from importlib import import_module
from typing import NamedTuple


class Format(NamedTuple):
    """module: of its reader; what: the source, for the help."""

    module: str
    what: str


FORMATS = {
    "folders": Format("class_folders", "a folder with one sub-folder per class"),
    "one-hot": Format("one_hot", "a CSV table with a column of 0 and 1 per class"),
    "yolo": Format("yolo", "a folder with YOLO's label files, or its data.yaml"),
    "coco": Format("coco", "a JSON file of COCO instances, or a folder of some"),
    "voc": Format("voc", "a folder with PASCAL VOC's XML files"),
    "labelme": Format("labelme", "a folder with LabelMe's JSON files"),
    "cvat": Format("cvat", "an XML file of 'CVAT for images 1.1', or a folder of some"),
    "label-studio": Format("label_studio", "a JSON file of Label Studio"),
    "colours": Format("colour_masks", "a folder with images/, masks/ and a table of colours"),
}


def reader_of(kind: str) -> Callable:
    """The function read(source, options) -> `items.Source` of a format."""
    return import_module(f"tags2masks.importing.{FORMATS[kind].module}").read
