"""Which images and classes of a source are imported, and why the others are not."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from tags2masks.config.dataset_base import MOST_CLASSES, can_be_tag, is_taken
from tags2masks.config.mask_values import BACKGROUND, IGNORED_NAME
from tags2masks.config.mistakes import choices
from tags2masks.data.images import inspect_image
from tags2masks.errors import UserError
from tags2masks.given import is_given
from tags2masks.importing.items import Dropped, Item, Source
from tags2masks.progress import progress
from tags2masks.user_tables import image_id, spelling

NO_TAG = "left out: it has annotations, but none that gives a tag"


def with_known_classes(
    source: Source, only: Sequence[str] | None, dropped: list[Dropped]
) -> list[Item]:
    """The items, without tags and objects of classes that cannot be, or are not to be imported.

    An image that is left without a tag although it has annotations is dropped, as it would count as
    showing none of the classes; unless `only`, the classes to take, leaves out all of its own.
    Raises UserError for a class in only that the source does not have, and for two labels that look
    the same.
    """
    names = {name for item in source.items for name in _names(item)}
    known = names | set(source.classes or ())
    if absent := [name for name in only or () if name not in known]:
        raise UserError(f"--classes: no label '{absent[0]}'; {choices(absent[0], known)}")
    _refuse_twins(source, names, only)
    for name in set((source.mask_values or {}).values()) - {BACKGROUND, IGNORED_NAME}:
        if (only is None or name in only) and (why := _problem(name)):
            raise UserError(f"{source.root}: {why} in the table of colours")
    others = names - set(names if only is None else only)
    unfit = {name: why for name in names - others if (why := _problem(name))}
    wrong = unfit | {name: f"label '{name}' is not among --classes" for name in others}
    items = []
    for item in source.items:
        bad = sorted(_names(item) & wrong.keys())
        dropped += [Dropped(item.path, wrong[name]) for name in bad]
        tags = tuple(name for name in item.tags if name not in wrong)
        things = tuple(thing for thing in item.objects if thing.name not in wrong)
        # What is labelled as background shows no class, as the person who labelled it meant.
        lost = any(name in unfit and name.casefold() != BACKGROUND for name in bad)
        kept = item._replace(tags=tags, objects=things, unread=item.unread or lost)
        if kept.unread and not _names(kept):
            dropped.append(Dropped(item.path, NO_TAG))
        else:
            items.append(kept)
    return items


def _refuse_twins(source: Source, names: set[str], only: Sequence[str] | None) -> None:
    """Raise UserError for labels that look the same, unless `only` names all of them, or none."""
    alike: dict[str, list[str]] = {}
    for name in sorted(names | set((source.mask_values or {}).values())):
        alike.setdefault(spelling(name), []).append(name)
    for twins in alike.values():
        wanted = {name in only for name in twins} if only is not None else {True, False}
        if len(twins) == 1 or len(wanted) == 1:
            continue
        # Two forms of é, or a character without a width: the codes tell them apart.
        shown = [name if name.isascii() else ascii(name)[1:-1] for name in twins]
        raise UserError(
            f"{source.root}: labels '{shown[0]}' and '{shown[1]}' look the same; write one of them "
            "everywhere, or name both with --classes"
        )


def _problem(name: str) -> str:
    """Why a label cannot be a class; "" if it can."""
    if not can_be_tag(name):
        return f"label {name!r} cannot be a tag; rename it"
    return f"label '{name}' means something else here; rename it" if is_taken(name) else ""


def readable(
    source: Source, items: list[Item], dropped: list[Dropped], threads: int
) -> list[tuple[Item, tuple[int, int]]]:
    """The items whose images can be read and named, with their sizes (height, width), upright."""

    def look(item: Item) -> tuple[int, int] | str:
        path = source.root / item.path
        if item.path != item.path.strip():  # cells of tables are stripped
            return "its path begins or ends with a blank; rename it"
        if item.path != item.path.encode(errors="ignore").decode():
            return "its path is not UTF-8; rename it"
        if not is_given(path):
            return "no such image"
        if not path.resolve().is_relative_to(source.root.resolve()):
            return f"links to a place outside {source.root}; copy it there"
        try:
            seen = inspect_image(path)
        except UserError as error:
            return str(error).removeprefix(f"{path}: ")
        if item.size is not None and item.size != (seen.height, seen.width):
            height, width = item.size
            turned = ", before it was turned (EXIF)" if (width, height) == (
                seen.height, seen.width
            ) else ""  # fmt: skip
            return (
                f"annotated at {width} × {height} pixels{turned}, but it has {seen.width} × "
                f"{seen.height}"
            )
        return seen.height, seen.width

    with ThreadPoolExecutor(threads) as pool:
        seen = list(progress(pool.map(look, items), "images", total=len(items)))
    kept, first = [], {}
    for item, size in zip(items, seen, strict=True):
        if isinstance(size, str):
            dropped.append(Dropped(item.path, size))
        elif (twin := first.get(image_id(item.path))) is None:
            first[image_id(item.path)] = item.path
            kept.append((item, size))
        elif twin == item.path:
            dropped.append(Dropped(item.path, "annotated twice; the first is taken"))
        else:
            dropped.append(Dropped(item.path, f"differs from {twin} by the suffix alone"))
    return kept


def classes_of(
    source: Source, items: Sequence[tuple[Item, tuple[int, int]]], only: Sequence[str] | None
) -> list[str]:
    """The classes in the order of their numbers in masks."""
    named = {name for item, _ in items for name in _names(item)}
    if source.mask_values is not None:
        named |= set(source.mask_values.values()) - {BACKGROUND, IGNORED_NAME}
    classes = [name for name in only or source.classes or sorted(named) if name in named]
    if len(classes) > MOST_CLASSES:
        raise UserError(f"{len(classes)} classes, but masks hold {MOST_CLASSES}; give --classes")
    return classes


def _names(item: Item) -> set[str]:
    return {*item.tags, *(thing.name for thing in item.objects)}
