"""Candidates for out-of-distribution images: which there are, how they rank, what a person says."""

import re

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from tags2masks.config.ood import Ranked
from tags2masks.config.pools import OpenImages, Untagged
from tags2masks.data import openimages, untagged
from tags2masks.data.candidates import (
    RANKED,
    candidates_of,
    kept_images,
    read_answers,
    read_ranked,
    waiting_warnings,
)
from tags2masks.data.tables import write_table
from tags2masks.errors import UserError
from tags2masks.ood import ranked
from tags2masks.user_tables import kept_digest

CLASSES = ["cat", "dog"]


def index(*rows):
    """Rows of an index: image, tags, digest of the file."""
    return pd.DataFrame(
        [(image, f"{image}.png", tags, sha) for image, tags, sha in rows],
        columns=["image", "path", "tags", "sha"],
    )


def test_tagged_images_and_training_images_are_no_candidates(capsys):
    pool = index(
        ("a", (), "1"),
        ("b", ("bird", "Cat"), "2"),
        ("c", ("bird",), "3"),
        ("d", (), "4"),
        ("e", ("cat",), "4"),
    )
    train = index(("x", ("cat",), "4"), ("y", (), "9"))
    rows = candidates_of(pool, train, CLASSES)
    assert rows["image"].tolist() == ["a", "c"]
    assert rows["tags"].tolist() == [(), ()]  # those of another data set mean nothing here
    assert capsys.readouterr().err.splitlines() == [
        "2 of 5 candidates are tagged with one of the classes: left out",
        "1 of 5 candidates are among the training images: left out",
    ]


def test_no_candidate_is_told():
    train = index(("x", ("cat",), "4"))
    for pool in (index(), index(("b", ("cat",), "2"))):
        with pytest.raises(UserError, match=r"^no candidate .* name another data set as ood\."):
            candidates_of(pool, train, CLASSES)


def logit(score):
    return float(np.log(score / (1 - score)))


def test_candidates_of_a_half_and_more_are_ranked():
    logits = torch.tensor(
        [[0.0, -3], [logit(0.4), logit(0.49)], [logit(0.6), logit(0.9)], [logit(0.6), -1], [-9, 0]]
    )
    table = ranked.rank(logits, list("badce"), CLASSES, Ranked())
    assert table["image"].tolist() == ["d", "c", "b", "e"]
    assert table["class"].tolist() == ["dog", "cat", "cat", "dog"]
    assert table["score"].tolist() == pytest.approx([0.9, 0.6, 0.5, 0.5])
    few = ranked.rank(logits, list("badce"), CLASSES, Ranked(min_score=0.85))
    assert few["image"].tolist() == ["d"]
    first = ranked.rank(logits, list("badce"), CLASSES, Ranked(per_class=1))
    assert first["image"].tolist() == ["d", "c"]
    assert len(ranked.rank(logits, list("badce"), CLASSES, Ranked(per_class=3))) == 4


def test_no_candidate_above_the_limit_is_told():
    said = r"^no candidate scores 0\.5 or more \(the highest of 2: 0\.450\); lower ood\.min_score"
    with pytest.raises(UserError, match=said):
        ranked.rank(torch.tensor([[logit(0.45)], [-3.0]]), ["a", "b"], ["cat"], Ranked())


def test_a_ranked_table_is_read_as_it_was_written(tmp_path):
    table = pd.DataFrame({"image": ["a,b"], "class": ["cat"], "score": ["0.500000"]})
    write_table(tmp_path / "ranked.csv", table, RANKED)
    assert read_ranked(tmp_path / "ranked.csv").to_dict("list") == {
        "image": ["a,b"],
        "class": ["cat"],
        "score": [0.5],
    }


RANKING = pd.DataFrame({"image": list("dcba")})
CANDIDATES = index(*((name, (), name) for name in "abcdef"))


@pytest.fixture
def answered(tmp_path):
    """A function that reads a person's answers from a table of this text."""

    def answers(text, digest=None):
        table = tmp_path / "keep.csv"
        table.write_text(text)
        digest = kept_digest(table) if digest is None else digest
        return read_answers(table, RANKING, CANDIDATES, tmp_path / "review.html", digest)

    return answers


def test_answers_of_a_person(answered, tmp_path):
    answers = answered(
        "image,class,score,keep\na,cat,0.6,no\nb,dog,0.7,yes\nd.png,cat,0.9,yes\ne,,,yes\n"
    )
    assert answers == {"d": "yes", "c": "", "b": "yes", "a": "no"}
    table, page = tmp_path / "keep.csv", tmp_path / "review.html"
    assert kept_images(table, answers) == ["d", "b"]
    (warned,) = waiting_warnings(table, answers, page)
    assert warned.note.startswith("1 of 4 candidates")
    assert str(page) in warned.warning and "were not used" in warned.warning
    assert waiting_warnings(table, dict.fromkeys("abcd", "no"), page) == []


def test_nothing_kept_is_told(answered, tmp_path):
    table = tmp_path / "keep.csv"
    answers = answered("image,keep\na,no\nb,\n")
    with pytest.raises(UserError, match=r"keep\.csv: keeps none of the 4 ranked candidates"):
        kept_images(table, answers)


def test_candidates_wait_without_a_table(tmp_path):
    table, page = tmp_path / "keep.csv", tmp_path / "review.html"
    said = rf"{table}: does not exist yet, and 4 candidates wait .*; open {page}, save"
    with pytest.raises(UserError, match=said) as error:
        read_answers(table, RANKING, CANDIDATES, page, "absent")
    assert "\n" not in str(error.value)


def test_a_table_that_is_edited_during_a_run_is_told(answered, tmp_path):
    with pytest.raises(UserError, match=r"keep\.csv was edited after this run began; start"):
        answered("image,keep\na,yes\n", "00000000")
    with pytest.raises(UserError, match=r"keep\.csv was edited after this run began"):
        answered("image,keep\na,yes\n", "absent")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", ": empty; write the columns image, keep"),
        ("image,class\na,cat\n", ": no column keep"),
        ("image,keep\n", ": no line below the header"),
        ("image,keep\na,maybe\n", ", line 2: keep is 'maybe'; write yes"),
        ("image,keep\na,yes\nb,Yes\n", ", line 3: keep is 'Yes'"),
        ("image,keep\n,yes\n", ", line 2: the image is blank"),
        ("image,keep\na,yes\na,no\n", ", line 3: 'a' is in line 2 already; keep one"),
        ("image,keep\na,yes\na.png,no\n", ", line 3: 'a.png' is answered twice; keep one"),
        ("image,keep\na,yes,no\n", ", line 2: 3 cells, but 2 columns"),
        ("image,keep\na,yes\nzebra,no\n", ", line 3: 'zebra' is none of the candidates; is it"),
    ],
)
def test_every_mistake_in_a_persons_table_is_told(answered, tmp_path, text, said):
    with pytest.raises(UserError) as error:
        answered(text)
    assert str(error.value).startswith(f"{tmp_path / 'keep.csv'}{said}")
    assert "\n" not in str(error.value)


def test_only_what_is_kept_is_in_the_digest(tmp_path):
    def digest(text):
        (tmp_path / "keep.csv").write_text(text)
        return kept_digest(tmp_path / "keep.csv")

    first = digest("image,keep\na,yes\nb,no\n")
    assert digest("keep,image,score\nno,c,1\nyes,a,0.5\n,b,\n") == first
    assert digest("image,keep\na,yes\nbb,yes\n") != first
    assert kept_digest(tmp_path / "none.csv") == "absent"


@pytest.fixture
def photos(tmp_path):
    for name in ("b.jpg", "a.png", "inner/c.jpg", "notes.txt"):
        path = tmp_path / "photos" / name
        path.parent.mkdir(exist_ok=True)
        if path.suffix == ".txt":
            path.write_text("no image")
        else:
            Image.new("RGB", (4, 3)).save(path)
    return tmp_path / "photos"


def listed(reader, spec, root):
    assert reader.list_classes(spec, root) == []
    rows = reader.list_images(spec, root, "ood", [])
    assert set(rows["split"]) <= {"ood"} and set(rows["tags"]) <= {()}
    return dict(zip(rows["image"], rows["path"], strict=True))


def test_a_folder_of_untagged_images(photos, tmp_path):
    spec = Untagged(images=str(photos))
    everything = {"a": "a.png", "b": "b.jpg", "inner/c": "inner/c.jpg"}
    assert listed(untagged, spec, photos) == everything
    (tmp_path / "some.txt").write_text("inner/c.jpg\n\n./a.png\na.png\n")
    spec = Untagged(images=str(photos), names=str(tmp_path / "some.txt"))
    assert listed(untagged, spec, photos) == {"a": "a.png", "inner/c": "inner/c.jpg"}


def test_mistakes_in_a_folder_of_untagged_images_are_told(photos, tmp_path):
    with pytest.raises(UserError, match=r"none: no such folder of images; correct `images`"):
        untagged.list_images(Untagged(images=""), tmp_path / "none", "ood", [])
    names = tmp_path / "some.txt"
    names.write_text("a.png\nz.jpg\n../secret.jpg\n")
    spec = Untagged(images=str(photos), names=str(names))
    with pytest.raises(UserError) as error:
        untagged.list_images(spec, photos, "ood", [])
    lines = str(error.value).splitlines()
    assert [line.split(":")[0] for line in lines] == [f"{names}, line 2", f"{names}, line 3"]
    spec = Untagged(images=str(photos), names=str(tmp_path / "no.txt"))
    with pytest.raises(UserError, match=r"no\.txt: cannot be read .*; correct `names`"):
        untagged.list_images(spec, photos, "ood", [])


LABELS = """ImageID,Source,LabelName,Confidence
a,verification,/m/cat,0
a,verification,/m/tree,1
b,verification,/m/cat,1
c,crowdsource-verification,/m/dog,1
c,crowdsource-verification,/m/cat,0
elsewhere,verification,/m/cat,1
e,verification,/m/tree,0
"""
DESCRIPTIONS = "LabelName,DisplayName\n/m/cat,Cat\n/m/dog,Dog\n/m/tree,Tree\n"


@pytest.fixture
def open_images(tmp_path):
    """A folder of OpenImages, and a function that makes a block of it."""
    for name in "abcde":
        path = tmp_path / "images" / f"{name}.jpg"
        path.parent.mkdir(exist_ok=True)
        Image.new("RGB", (4, 3)).save(path)
    (tmp_path / "labels.csv").write_text(LABELS)
    (tmp_path / "descriptions.csv").write_text(DESCRIPTIONS)

    def block(**changes):
        files = {name: str(tmp_path / f"{name}.csv") for name in ("labels", "descriptions")}
        images = {"images": str(tmp_path / "images"), "without": ("Cat",)}
        return OpenImages(**(images | files | changes))

    return tmp_path / "images", block


def test_images_whose_verified_labels_name_none_of_the_classes(open_images, capsys, monkeypatch):
    root, block = open_images
    assert list(listed(openimages, block(), root)) == ["a", "c", "e"]
    assert capsys.readouterr().out.splitlines() == [
        "1 of 5 images have no verified label and are left out",
        "1 of 5 images show one of the classes and are left out",
    ]
    monkeypatch.setattr(openimages, "ROWS", 2)  # read in parts
    assert list(listed(openimages, block(without=("Cat", "Dog")), root)) == ["a", "e"]


def test_descriptions_have_a_header_or_not(open_images, tmp_path):
    root, block = open_images
    (tmp_path / "descriptions.csv").write_text(DESCRIPTIONS.partition("\n")[2])
    assert list(listed(openimages, block(), root)) == ["a", "c", "e"]


@pytest.mark.parametrize(
    ("file", "text", "said"),
    [
        (None, "", "descriptions.csv: no class 'Caat'; did you mean 'Cat'? "),
        ("labels", "ImageID,LabelName\na,b\n", "labels.csv: no readable table ("),
        ("labels", "", "labels.csv: no readable table ("),
        ("labels", LABELS + 'a,"b\n', "labels.csv: no readable table ("),
        ("descriptions", "Cat\n", "descriptions.csv: no second column; correct `descriptions`"),
        ("descriptions", None, "descriptions.csv: no such file; correct `descriptions`"),
        ("labels", None, "labels.csv: no such file; correct `labels`"),
    ],
)
def test_mistakes_in_open_images_are_told(open_images, tmp_path, file, text, said):
    root, block = open_images
    if file and text is None:
        (tmp_path / f"{file}.csv").unlink()
    elif file:
        (tmp_path / f"{file}.csv").write_text(text)
    spec = block() if file else block(without=("Caat",))
    with pytest.raises(UserError, match=re.escape(said)) as error:
        openimages.list_images(spec, root, "ood", [])
    assert "\n" not in str(error.value)
