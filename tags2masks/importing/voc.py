"""PASCAL VOC's XML: a file per image with boxes, as LabelImg and many others write them."""

from pathlib import Path, PurePosixPath
from xml.etree import ElementTree

from tags2masks.errors import UserError
from tags2masks.given import is_given, open_given, read_text
from tags2masks.importing.items import (
    NO_IMAGE,
    Dropped,
    Item,
    Object,
    Options,
    Source,
    locator,
    split_of_path,
)

CORNERS = ("xmin", "ymin", "xmax", "ymax")
LISTS = ("ImageSets/Segmentation", "ImageSets/Main", "ImageSets")


def read(source: Path, options: Options) -> Source:
    """The images of all XML files below a folder.

    ImageSets says their splits, or else folders named after one, as Roboflow has them.

    Pixels count from 1, both corners inclusive. Raises UserError if there is no XML file.
    """
    files = sorted(source.rglob("*.xml")) if source.is_dir() else [source]
    if not files:
        raise UserError(f"{source}: no XML file in it; correct the path")
    root = options.images or (source if source.is_dir() else source.parent)
    locate, splits, items, dropped = locator(root), _splits(source), [], []
    for file in files:
        try:
            with open_given(file) as opened:
                tree = ElementTree.parse(opened).getroot()
        except (OSError, ElementTree.ParseError, ValueError, LookupError) as error:
            dropped.append(Dropped(str(file), f"no XML that can be read ({error})"))
            continue
        if tree.tag != "annotation":
            dropped.append(Dropped(str(file), f"no annotation of an image, but <{tree.tag}>"))
            continue
        name = (tree.findtext("filename") or "").strip()
        ends = (".jpg", ".jpeg", ".png", ".JPG", ".JPEG", ".PNG")
        names = [f"{file.stem}{end}" for end in ends]
        # The name of the annotation first: the name in it is often that of another machine.
        names += [name] if name else []
        found = (locate(name, beside=file.parent) for name in names)
        path = next(filter(None, found), None)
        if path is None:
            dropped.append(Dropped(str(file), NO_IMAGE))
            continue
        read = [_object(tag, file, dropped) for tag in tree.findall("object")]
        objects = tuple(filter(None, read))
        size = _size(tree)
        split = splits.get(PurePosixPath(path).stem) or split_of_path(path)
        items.append(Item(path, (), objects, split, size, unread=None in read))
    source = Source(root, items, dropped)
    return source._replace(of_no_split="in no list of ImageSets") if splits else source


def _splits(source: Path) -> dict[str, str]:
    """The split of each image that the lists name; those of an earlier folder count first."""
    splits: dict[str, str] = {}
    for folder in reversed(LISTS):
        lists = {name: source / folder / f"{name}.txt" for name in ("test", "val", "train")}
        if is_given(lists["train"]):
            splits |= {
                line.split()[0]: name
                for name, file in lists.items()
                if is_given(file)
                for line in read_text(file).splitlines()
                if line.strip()
            }
    return splits


def _size(tree: ElementTree.Element) -> tuple[int, int] | None:
    """(height, width); None where the file has none, or zeros, as some tools write."""
    try:
        height, width = (int(tree.findtext(f"size/{side}")) for side in ("height", "width"))
    except (TypeError, ValueError):
        return None
    return (height, width) if height and width else None


def _object(tag: ElementTree.Element, file: Path, dropped: list[Dropped]) -> Object | None:
    name = (tag.findtext("name") or "").strip()
    if not name:
        dropped.append(Dropped(str(file), "an object without a name"))
        return None
    try:
        x1, y1, x2, y2 = (float(tag.findtext(f"bndbox/{corner}")) for corner in CORNERS)
    except (TypeError, ValueError):
        dropped.append(Dropped(str(file), f"{name}: no bndbox of four numbers; only its tag"))
        return Object(name)
    difficult = (tag.findtext("difficult") or "").strip() == "1"
    return Object(name, (x1 - 1, y1 - 1, x2, y2), difficult=difficult)
