"""Features of W-OoD's images after each epoch: which images, whose features, and their places."""

import re

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.manifold import TSNE

from tags2masks.checkpoints import save, state_file
from tags2masks.classifiers import wood, wood_embedding
from tags2masks.config.base import ConfigError
from tags2masks.config.project import parse_config
from tags2masks.errors import UserError
from tags2masks.nets.epochs import kept_states
from tags2masks.provenance import provenance, write_record
from tags2masks.report.embedding import embedding_chart
from tags2masks.report.lineage import ShownArtifact
from tags2masks.workflow.building import build_experiments
from tests.unit.read_page import Page
from tests.unit.tiny import CLASSES, three_images
from tests.unit.wood_task import first_of, task_of


def test_the_class_is_the_likeliest_of_an_images_own():
    logits = torch.tensor([[3.0, 1.0, 2.0], [3.0, 1.0, 2.0], [-3.0, -1.0, -2.0]])
    own = torch.tensor([[False, True, True], [True, True, True], [True, False, False]])
    assert wood_embedding.likeliest(logits, own).tolist() == [2, 0, 0]


def test_the_embedding_is_scikit_learns_and_heaps_stay_apart():
    rng = np.random.default_rng(0)
    features = rng.normal(size=(40, 5)).astype(np.float32)
    features[20:] += 100
    places = wood_embedding.embedded(features, 4)
    assert np.array_equal(places, wood_embedding.embedded(features, 4))
    # 39 other points: a perplexity of 13.
    assert np.array_equal(places, TSNE(perplexity=13, random_state=4).fit_transform(features))
    within = max(np.ptp(heap, axis=0).max() for heap in (places[:20], places[20:]))
    between = np.linalg.norm(places[:20].mean(0) - places[20:].mean(0))
    assert between > within
    assert wood_embedding.embedded(features[:4], 0).shape == (4, 2)


@pytest.fixture
def task(tmp_path):
    """A task whose checkpoint of each of two epochs has random weights."""
    data = three_images(tmp_path, [("cat",), (), ("dog", "cow")], [0, 1])
    made = task_of(data, tmp_path)
    made.model.parent.mkdir()
    write_record(made.model.with_name("spec.json"), provenance(made.recipe) | {"classes": CLASSES})
    rows = []
    for epoch in (1, 2):
        torch.manual_seed(epoch)
        rows.append({"epoch": epoch})
        save(made.state, [wood.build(made.spec, len(CLASSES))], [], None, rows, True)
    return made


def features_plainly(task, network):
    """The first two pooled features of the two images with tags and of the three others."""
    tagged = wood_embedding.plain_views(task.rows("train"), task.root, CLASSES, task.spec)
    rows, _ = wood.used_rows(task)
    others = wood_embedding.PlainOod(wood.images_of(task, rows), task.spec.augment)
    views = [tagged[0][0], tagged[2][0], *(others[n][0] for n in range(3))]
    with torch.no_grad():
        return [network.features(view[None] / 255).mean((2, 3))[0, :2].numpy() for view in views]


def test_each_epoch_has_its_networks_features(task, monkeypatch):
    seeds = []

    def first_two(features, seed):
        seeds.append((features.shape[0], seed))
        return features[:, :2]

    monkeypatch.setattr(wood_embedding, "embedded", first_two)
    states = kept_states(task.model, 2)
    table = wood_embedding.embedding(task, states, 3)
    assert seeds == [(15, 3)]  # one embedding of all epochs
    assert tuple(table) == wood_embedding.COLUMNS
    assert table["epoch"].tolist() == [0] * 5 + [1] * 5 + [2] * 5
    names = ["image 0", "image 2", "other 0", "other 1", "other 2"]
    assert table["image"].tolist() == names * 3
    assert table["kind"].tolist() == (["tagged"] * 2 + ["ood"] * 3) * 3
    networks = [first_of(task)]
    for epoch in (1, 2):
        torch.manual_seed(epoch)
        networks.append(wood.build(task.spec, len(CLASSES)).eval())
    for epoch, network in enumerate(networks):
        places = table.loc[table["epoch"] == epoch, ["x", "y"]].to_numpy()
        np.testing.assert_allclose(places, features_plainly(task, network), rtol=1e-4, atol=1e-6)
    # The image of two tags has that of the higher logit, those without tags the highest of all.
    own = table.loc[:4, "class"].tolist()
    assert own[0] == "cat" and own[1] in ("dog", "cow")
    others = wood_embedding.PlainOod(
        wood.images_of(task, wood.used_rows(task)[0]), task.spec.augment
    )
    with torch.no_grad():
        taken = [int(networks[0](others[n][0][None] / 255).argmax()) for n in range(3)]
    assert own[2:] == [CLASSES[number] for number in taken]
    assert table["class"].tolist() == own * 3


def test_at_most_so_many_of_each_kind(task):
    table = wood_embedding.embedding(task, [], 1)
    assert table["image"].tolist() == ["image 2", "other 1"]
    assert np.isfinite(table[["x", "y"]]).all(axis=None)


def test_an_epoch_that_was_not_kept_is_named(task):
    state_file(task.model.parent / "state", 2).unlink()
    with pytest.raises(UserError, match=r"epoch-0002.pt: no such checkpoint; set keep_states: tr"):
        kept_states(task.model, 2)


def test_epochs_that_are_not_kept_are_refused():
    raw = {
        "datasets": {"digits": {"kind": "digits"}},
        "classifiers": {
            "vanilla": {"method": "vanilla"},
            "wood": {"method": "wood", "keep": "all"},
        },
        "maps": {"cam": {"method": "cam"}},
        "experiments": ["digits / vanilla / cam"],
        "evaluation": {"epoch_features": 200},
    }
    assert build_experiments(parse_config(raw))  # of no concern to others
    raw["experiments"].append("digits / wood / cam")
    with pytest.raises(ConfigError, match=r"epoch_features: classifiers.wood .* keep_states: true"):
        build_experiments(parse_config(raw))
    raw["classifiers"]["wood"]["keep_states"] = True
    assert build_experiments(parse_config(raw))


def table_of(epochs, counts):
    """Places in a row; counts: (kind, class, images)."""
    rows = [
        (epoch, kind, f"{name} {n}", name, n, epoch)
        for epoch in range(epochs)
        for kind, name, count in counts
        for n in range(count)
    ]
    return pd.DataFrame(rows, columns=wood_embedding.COLUMNS)


def test_the_chart_has_a_panel_for_each_epoch_and_a_mark_for_each_image(tmp_path):
    counts = [("tagged", "null", 3), ("tagged", "<b>", 2), ("ood", "<b>", 4)]
    counts += [("ood", f"c{n}", 9 - n) for n in range(6)]
    table_of(3, counts).to_csv(tmp_path / "embedding.csv", index=False)
    artifact = ShownArtifact("classifier", "wood-0", "wood", 0, [], tmp_path)
    chart = embedding_chart("k", artifact)
    assert chart["title"] == "Features of wood after each epoch, by t-SNE"
    # The six that most out-of-distribution images are taken for; the first of equals.
    assert [entry.name for entry in chart["legend"]] == [f"c{n}" for n in range(5)] + ["<b>"]
    assert chart["others"]
    assert chart["alt"].startswith("Panels of epochs 0 to 2; 5 tagged and 43 out-of-distribution")
    Page(chart["svg"])
    uses = re.findall(
        r'<use href="#(k-\w+)" x="([\d.]+)" y="([\d.]+)" style="([^"]*)', chart["svg"]
    )
    assert len(uses) == 3 * 48
    assert [chart["svg"].count(f">epoch {epoch}<") for epoch in range(4)] == [1, 1, 1, 0]
    assert len({marker for marker, *_ in uses}) >= 2
    of_second = [use for use in uses if "var(--series-1)" in use[3]]
    assert len(of_second) == 3 * 8
    few = table_of(7, [("tagged", "a", 1), ("ood", "a", 1)])
    few.to_csv(tmp_path / "embedding.csv", index=False)
    assert not embedding_chart("k", artifact)["others"]
    (tmp_path / "embedding.csv").write_text("epoch,kind\n")
    with pytest.raises(UserError, match=r"embedding.csv.*class"):
        embedding_chart("k", artifact)
