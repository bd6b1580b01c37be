"""Out-of-distribution images in the report: random, ranked and erased ones."""

import numpy as np
import pandas as pd
import pytest
import torch.nn.functional as F
from PIL import Image

from tags2masks.classifiers.wood import images_of, used_rows
from tags2masks.classifiers.wood_examples import examples
from tags2masks.data.candidates import RANKED
from tags2masks.data.index import images_sha
from tags2masks.data.tables import write_table
from tags2masks.report.lineage import ShownArtifact
from tags2masks.report.ood_rows import OOD_IMAGES, ood_rows
from tags2masks.report.page import write_page
from tags2masks.report.stored import read_dataset
from tags2masks.store import Shard, write_shard
from tags2masks.workflow.plan import Plan
from tests.unit.fabricated_report import CLASSIFIER, COUNT, fabricate, settings
from tests.unit.read_page import decoded
from tests.unit.tiny import CLASSES, three_images
from tests.unit.wood_task import first_of, task_of

RAW = {
    "datasets": {"digits": {"kind": "digits"}},
    "classifiers": {
        "vanilla": {"method": "vanilla"},
        "wood": {"method": "wood", "keep": "all"},
    },
    "experiments": ["digits / {vanilla,wood}"],
}


@pytest.fixture
def data(tmp_path):
    return three_images(tmp_path, [("cat",), ("cat", "dog"), CLASSES], [0, 1])


def test_ranked_images_are_as_they_are_with_their_class(data, tmp_path):
    found = list(examples(task_of(data, tmp_path, keep="all"), 2))
    names = data.candidates["image"].tolist()
    assert [name for name, *_ in found] == [names[0], names[2]]  # 2 of 3, evenly spaced
    ranked = pd.read_csv(data.files["ood"][0]).set_index("image")
    for name, pixels, about in found:
        row = data.candidates.set_index("image").loc[name]
        assert np.array_equal(pixels, np.array(Image.open(data.folder / row["path"])))
        assert about == {"class": ranked.at[name, "class"], "score": ranked.at[name, "score"]}


def test_erased_images_lack_the_cam_of_their_class(data, tmp_path):
    task = task_of(data, tmp_path, keep="erased", erase_score=0.6)
    whole = {name: pixels for name, pixels, _ in examples(task_of(data, tmp_path), 3)}
    name, pixels, about = next(examples(task, 1))
    number = data.candidates["image"].tolist().index(name)
    assert number == 1 and about["class"] == CLASSES[1]
    images = images_of(task, used_rows(task)[0])
    images.erase = None
    view = images.whole(number, task.spec.augment)[None] / 255
    first = first_of(task)
    cam = first.score_maps(first.features(view))[0, 1].relu()
    cam = cam / cam.max()
    size = pixels.shape[:2]
    # Between cells the outline is interpolated: pixels far from it are told by the next cell.
    above = F.interpolate(cam[None, None] - 0.6, size, mode="bilinear", antialias=False)[0, 0]
    fill = np.round(np.array(task.spec.backbone.mean) * 255).astype(np.uint8)
    gone = (pixels == fill).all(-1)
    assert gone.any() and not gone.all()
    assert (gone == (above.numpy() > 0)).mean() > 0.97
    assert np.array_equal(pixels[~gone], whole[name][~gone])


def test_random_images_need_no_rank(data, tmp_path):
    first = data.candidates["image"].tolist()[0]
    ranked = pd.DataFrame([(first, "cat", 0.5)], columns=list(RANKED))
    write_table(data.files["ood"][0], ranked, RANKED)
    task = task_of(data, tmp_path, keep="random", ood_images=3, clusters=2)
    classes = {name: about["class"] for name, _, about in examples(task, 5)}
    assert len(classes) == 3 and classes.pop(first) == "cat" and set(classes.values()) == {None}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Fabricated results with two images of a classifier: (results folder, outline, roots)."""
    folder = tmp_path_factory.mktemp("report")
    outline, roots = fabricate(folder)
    dataset = read_dataset("pets", roots["pets"], folder / "results", True)
    images = [np.full((20, 30, 3), shade, np.uint8) for shade in (200, 50)]
    entries = [
        ("a/b.jpg", images[0], {"class": "dog", "score": 0.876}),
        ("steps", images[1], {"class": None, "score": None}),  # an image with the name of a kind
    ]
    path = folder / "results/pets/classifier" / CLASSIFIER / OOD_IMAGES
    about = {"id": CLASSIFIER, "partial": True}
    write_shard(path, about, images_sha(dataset.rows), entries)
    return folder / "results", outline, roots


def test_a_classifiers_images_stand_in_its_row(made, tmp_path):
    results, _, roots = made
    dataset = read_dataset("pets", roots["pets"], results, True)
    folder = results / "pets/classifier" / CLASSIFIER
    with Shard(folder / OOD_IMAGES, CLASSIFIER, images_sha(dataset.rows)) as shard:
        assert shard.images == ["a/b.jpg", "steps"]
    artifact = ShownArtifact("classifier", CLASSIFIER, "wood", 0, [], folder)
    (row,) = ood_rows([artifact], dataset, [folder / OOD_IMAGES])
    assert row.image == "wood"
    assert [tile.note for tile in row.tiles] == ["taken for dog, 0.88", "not ranked"]
    shades = [decoded(tile.picture, tmp_path).mean() for tile in row.tiles]
    assert shades == [200, 50]
    assert ood_rows([artifact], dataset, []) == []


def test_the_page_has_them_where_they_are_asked_for(made):
    results, outline, roots = made
    path = results / "pets/classifier" / CLASSIFIER / OOD_IMAGES
    page = write_page(outline, roots, results, COUNT, settings(), asked=[path])
    assert "Out-of-distribution image a/b.jpg, taken for dog, 0.88" in page
    assert 'id="d0-ood"' in page and 'id="d1-ood"' not in page
    assert "d0-ood" not in write_page(outline, roots, results, COUNT, settings())


def test_only_classifiers_that_learn_from_such_images_are_asked():
    assert Plan(RAW).ood_images == []
    plan = Plan(RAW | {"report": {"ood_images": 4}})
    (wood,) = (a for a in plan.of_stage("classifier") if a.method == "wood")
    assert plan.ood_images == [f"{wood.folder}/ood.zarr.zip"]
    assert set(plan.ood_images) <= set(plan.asked)
