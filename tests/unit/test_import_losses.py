"""What `tags2masks import` makes of images whose annotations it cannot use: never a negative."""

from pathlib import Path

import pytest

from tags2masks.importing.choosing import NO_TAG
from tags2masks.importing.writing import Division
from tests.unit.import_source import imported, photo, table, write

SIZE = {"imageHeight": 6, "imageWidth": 8}
NAMES = ("a.jpg", "b.jpg", "c.jpg", "d.jpg")


@pytest.fixture(autouse=True)
def there(tmp_path, monkeypatch):
    """Work in an empty folder, with four images in `in`."""
    monkeypatch.chdir(tmp_path)
    Path("in").mkdir()
    for name in NAMES:
        photo(name)


def outcome(kind, source="in", only=None):
    """Import into `out`: tags by image, the images with a mask, and those left without a tag."""
    result = imported(kind, source, division=Division(0), only=only)
    masks = sorted(path.stem for path in Path("out").glob("masks/*.png"))
    left = [one.where for one in result.dropped if one.why == NO_TAG]
    return {image: tags for image, tags, _ in table()}, masks, left


def test_labelme_shapes_without_an_area_keep_their_tag():
    square = [[0, 0], [3, 0], [3, 2], [0, 2]]
    shapes = {
        "a": [{"label": "cat", "points": square}],
        "b": [{"label": "dog", "points": [[1, 1]], "shape_type": "point"}],
        "c": [{"points": square}],
        "d": [],
    }
    for name, own in shapes.items():
        write(f"{name}.json", SIZE | {"imagePath": f"{name}.jpg", "shapes": own})
    tags = {"a.jpg": "cat", "b.jpg": "dog", "d.jpg": ""}
    assert outcome("labelme") == (tags, ["a", "d"], ["c.jpg"])


def test_cvat_shapes_without_an_area_keep_their_tag():
    shapes = (
        '<polygon label="cat" points="0,0;3,0;3,2"/>',
        '<polyline label="dog" points="0,0;3,0"/><polygon label="dog" points="0,0;3,0;3,2"/>',
        '<points points="1,1"/>',
        "",
    )
    images = "".join(
        f'<image name="{name}" width="8" height="6">{own}</image>'
        for name, own in zip(NAMES, shapes, strict=True)
    )
    write("all.xml", f"<annotations>{images}</annotations>")
    tags = {"a.jpg": "cat", "b.jpg": "dog", "d.jpg": ""}
    assert outcome("cvat") == (tags, ["a", "d"], ["c.jpg"])


def test_label_studio_results_without_an_area_keep_their_tag():
    sides = {"original_width": 8, "original_height": 6}
    square = {"points": [[0, 0], [50, 0], [50, 50]], "polygonlabels": ["cat"]}
    results = (
        [("polygonlabels", square)],
        [("keypointlabels", {"x": 1, "y": 1, "keypointlabels": ["dog"]})],
        [("keypointlabels", {"x": 1, "y": 1})],
        [("textarea", {"text": ["nothing here"]})],
    )
    tasks = [
        {"data": {"image": name}, "annotations": [
            {"result": [{"type": kind, "value": value} | sides for kind, value in own]}
        ]}
        for name, own in zip(NAMES, results, strict=True)
    ]  # fmt: skip
    write("all.json", tasks)
    tags = {"a.jpg": "cat", "b.jpg": "dog", "d.jpg": ""}
    assert outcome("label-studio", "in/all.json") == (tags, ["a", "d"], ["c.jpg"])
    assert Path("out/dropped.csv").read_text().splitlines()[1:] == [
        "task None,keypointlabels: no area (a kind without one); only the tag",
        "task None,a result that cannot be read (keypointlabels: no label)",
        f'c.jpg,"{NO_TAG}"',
        'b.jpg,"boxes.csv is left out: 1 tags have no box, the first is dog"',
    ]


def test_yolo_labels_that_cannot_be_read():
    write("classes.txt", "cat\ndog\n")
    polygon = "0 0 0 .5 0 .5 .5\n"
    for name, lines in {"a": polygon, "b": "1 .5 .5\n", "c": f"{polygon}7 .5 .5 1 1\n"}.items():
        write(f"{name}.txt", lines)
    # c shows a cat, and something else that has no mask.
    tags = {"a.jpg": "cat", "c.jpg": "cat", "d.jpg": ""}
    assert outcome("yolo") == (tags, ["a", "d"], ["b.jpg"])


def test_coco_annotations_of_an_unknown_category():
    images = [
        {"id": number, "file_name": name, "width": 8, "height": 6}
        for number, name in enumerate(NAMES)
    ]
    square = [[0, 0, 3, 0, 3, 2]]
    shown = [(0, 1), (1, 2), (2, 1), (2, 2)]
    annotations = [
        {"image_id": image, "category_id": category, "segmentation": square}
        for image, category in shown
    ]
    categories = [{"id": 1, "name": "cat"}]
    write("a.json", {"images": images, "categories": categories, "annotations": annotations})
    tags = {"a.jpg": "cat", "c.jpg": "cat", "d.jpg": ""}
    assert outcome("coco", "in/a.json") == (tags, ["a", "d"], ["b.jpg"])


def test_names_that_cannot_be_tags_and_classes_that_are_not_asked_for():
    for name in NAMES:
        (Path("in") / name).unlink()
    for number, folder in enumerate(("cat", "dog", "ca;t", "none")):
        photo(f"{folder}/{number}.jpg")
    tags = {"cat/0.jpg": "cat", "dog/1.jpg": "dog", "none/3.jpg": ""}
    assert outcome("folders") == (tags, [], ["ca;t/2.jpg"])
    Path("out").rename("old")
    # Images of a dog are left without a tag on purpose.
    assert outcome("folders", only=["cat", "ca;t"]) == (
        tags | {"dog/1.jpg": ""}, [], ["ca;t/2.jpg"],
    )  # fmt: skip


def test_what_is_labelled_as_background_shows_no_class():
    write("tags.csv", "image,cat,background\na.jpg,1,0\nb.jpg,0,1\n")
    assert outcome("one-hot", "in/tags.csv") == ({"a.jpg": "cat", "b.jpg": ""}, [], [])
