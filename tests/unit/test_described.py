"""What a data set is made from, written down in files that are named by their content."""

import hashlib
import json
import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from tags2masks.config.base import ConfigError
from tags2masks.config.coco import Coco
from tags2masks.config.voc import Voc
from tags2masks.errors import UserError
from tags2masks.stages import STAGES
from tags2masks.workflow import described as described_module
from tags2masks.workflow import ids, started
from tags2masks.workflow.plan import Plan

TABLE = "image,tags,split\na.png,cat,train\nb.png,dog,train\nv.png,cat,val\n"
RAW = {
    "datasets": {
        "pets": {"kind": "folder", "images": "photos", "tags": "tags.csv"},
        "cats": {"kind": "folder", "images": "photos", "tags": "tags.csv", "shards": 2},
    },
    "classifiers": {"vanilla": {"method": "vanilla"}},
    "experiments": ["{pets,cats} / vanilla"],
}
PETS = SimpleNamespace(dataset="pets")


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """A folder with the table of tags, and a run that begins there."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(started.VARIABLE, "{}")
    Path("tags.csv").write_text(TABLE)
    started.begin(is_main=True)
    yield
    started.begin(is_main=True)


def described(table, dataset="pets", **options):
    """What each table of the data set is made from, when the table of tags is this one."""
    Path("tags.csv").write_text(table)
    raw = RAW | {"datasets": {name: RAW["datasets"][name] | options for name in RAW["datasets"]}}
    plan = Plan(raw)
    tables = ["train", "val", "ood", "truth"] + ["boxes", "val-boxes"] * ("boxes" in options)
    return {what: plan.description(what, dataset) for what in tables}


def made_new(before, after):
    return {what for what in before if before[what] != after[what]}


def test_a_description_says_what_a_split_is_made_from_and_names_its_file():
    plan = Plan(RAW)
    written = plan.description("train", "pets")
    about = json.loads(written)
    assert about.pop("read_from").keys() == {"tags", "classes"}
    assert about == {"seed": 0, "dataset": {"kind": "folder", "classes": None}, "shards": 1}
    digits = hashlib.sha256(written.encode()).hexdigest()[:8]
    assert plan.description_files[0] == f"results/pets/train-{digits}.json"
    assert plan.described("train")(PETS) == plan.description_files[0]
    splits = [name.split("/")[2].split("-")[0] for name in plan.description_files]
    assert splits == ["train", "val", "ood"] * 2


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        (TABLE, set()),
        (TABLE + "w.png,cat,val\nx.png,dog,val\n", {"val"}),
        (TABLE.replace("v.png", "w.png"), {"val"}),
        (TABLE.replace("v.png,cat,val\n", ""), {"val"}),
        (TABLE + "o.png,,ood\n", {"ood"}),
        (TABLE + "c.png,cat,train\n", {"train"}),
        (TABLE + "a.png,cat,train\n", {"train"}),  # twice: to be refused
        (TABLE.replace("b.png,dog", "b.png,cat;dog"), {"train"}),
        (TABLE.replace("v.png,cat,val", "v.png,cat,train"), {"train", "val"}),
        # A class of its own: the classes are listed with train.
        (TABLE.replace("v.png,cat", "v.png,owl"), {"train", "val"}),
        (TABLE + "w.png,cat,tset\n", {"val"}),  # to be refused
        # Other orders, blanks, ends of lines and columns are the same.
        (
            'split,note,image,tags\r\nval,?,v.png,cat\r\n"train",,b.png, dog\r\ntrain,x,a.png,cat',
            set(),
        ),
    ],
)
def test_a_split_is_made_anew_where_its_rows_are_others(table, expected):
    assert made_new(described(TABLE), described(table)) == expected


def test_with_given_classes_no_tag_of_val_concerns_train():
    before = described(TABLE, classes=["cat", "dog", "owl"])
    after = described(TABLE.replace("v.png,cat", "v.png,owl"), classes=["cat", "dog", "owl"])
    assert made_new(before, after) == {"val"}


def test_boxes_of_a_split_are_those_of_its_images():
    def boxes(*rows):
        Path("boxes.csv").write_text("\n".join(["image,class,x1,y1,x2,y2", *rows]))
        return described(TABLE, boxes="boxes.csv")

    before = boxes("a.png,cat,0,0,1,1", "v.png,cat,0,0,1,1")
    assert made_new(before, boxes("v.png,cat,0,0,1,1", "./a.png,cat,0,0,1,1")) == {"boxes"}
    after = boxes("v.png,cat,0,0,2,2", "a.png,cat,0,0,1,1")
    assert made_new(before, after) == {"val-boxes"}
    unknown = boxes("a.png,cat,0,0,1,1", "v.png,cat,0,0,1,1", "z.png,cat,0,0,1,1")
    assert made_new(before, unknown) == {"boxes"}  # to be refused


@pytest.mark.parametrize("text", ["", "image,tags\n", "image;tags;split\na.png;cat;train\n", '"'])
def test_a_table_that_is_none_is_told_before_anything_runs(text):
    Path("tags.csv").write_text(text)
    with pytest.raises(UserError, match=r"^tags\.csv"):
        Plan(RAW)


def test_of_coco_each_split_has_its_files(tmp_path):
    names = ("annotations/t.json", "annotations/v.json", "t.txt", "v.txt")
    (tmp_path / "annotations").mkdir()
    for name in names:
        (tmp_path / name).write_text(name)
    spec = Coco(
        root=str(tmp_path), train_annotations=names[0], val_annotations=names[1],
        train_list=names[2], val_list=names[3],
    )  # fmt: skip

    def read(table):
        return spec.read_from(table, lambda path: Path(path).read_text())

    train, val = {name: name for name in names[::2]}, {name: name for name in names[1::2]}
    for table in ("train", "boxes", "labelled"):
        assert read(table) == train
    assert read("val") == read("val-boxes") == val
    assert read("truth") == train | val and read("ood") == {}
    assert set(spec.all_files()) == {str(tmp_path / name) for name in names}


def test_of_voc_each_split_has_its_list(tmp_path):
    (tmp_path / "ImageSets/Segmentation").mkdir(parents=True)
    spec = Voc(root=str(tmp_path), seed_list="seeds", labelled="few")
    found = {
        table: [Path(name).name for name in spec.read_from(table, str)]
        for table in ("train", "val", "ood", "boxes", "val-boxes", "labelled", "truth")
    }
    assert found == {
        "train": ["train.txt"], "val": ["val.txt"], "ood": [], "boxes": [], "val-boxes": [],
        "labelled": ["few.txt"], "truth": ["seeds.txt"],
    }  # fmt: skip


def test_a_file_is_read_once_by_a_plan_and_again_by_the_next(monkeypatch, tmp_path):
    read = []
    digest_of = ids.file_digest
    monkeypatch.setattr(described_module, "file_digest", lambda p: read.append(p) or digest_of(p))
    Path("all.json").write_text("{}")
    coco = {"kind": "coco", "root": ".", "train_annotations": "all.json"}
    raw = RAW | {"datasets": {"pets": coco | {"val_annotations": "all.json"}, "cats": coco}}
    raw["datasets"]["cats"] = RAW["datasets"]["cats"]
    plan = Plan(raw)
    for _ in range(2):
        before = plan.description_files
        plan.described("train")(PETS)
    assert read == ["all.json"]
    Path("all.json").write_text("[]")
    after = Plan(raw).description_files
    assert read == ["all.json"] * 2
    assert len(set(before) & set(after)) == len(before) - 2  # train and val of pets


def test_a_job_refuses_a_table_that_was_edited_after_its_run_began():
    Plan(RAW).described("train")(PETS)
    begun = os.environ[started.VARIABLE]
    started.begin(is_main=False)
    Plan(RAW).described("train")(PETS)
    Path("tags.csv").write_text(TABLE.replace("a.png", "c.png"))
    assert os.environ[started.VARIABLE] == begun
    line = r"^datasets\.pets of the config, its table, or the seed was edited after this run began"
    with pytest.raises(ConfigError, match=line):
        Plan(RAW).described("train")(PETS)


def test_initial_weights_count_by_their_bytes_wherever_they_are():
    def content(path, weights):
        Path(path).parent.mkdir(exist_ok=True)
        Path(path).write_bytes(weights)
        vanilla = {"method": "vanilla", "backbone": {"name": "resnet18", "weights": path}}
        plan = Plan(RAW | {"classifiers": {"vanilla": vanilla}, "experiments": ["pets / vanilla"]})
        (classifier,) = plan.of_stage("classifier")
        wildcards = SimpleNamespace(dataset="pets", id=classifier.id)
        params = plan.weighted_params(STAGES["classifier"])
        return classifier.id, params["weights_content"](wildcards)

    here = content("here/net.pth", b"1")
    assert content("there/net.pth", b"1") == here
    assert content("there/net.pth", b"2") != here


def test_no_param_closes_a_script_of_snakemakes_report():
    """`snakemake --report` writes params into its page as they are."""
    name = "</script><script>alert(1)</script>&amp"
    pets = RAW["datasets"]["pets"] | {"classes": ["cat", name]}
    cam = {"maps": {"cam": {"method": "cam"}}, "experiments": ["pets / vanilla / cam"]}
    plan = Plan(RAW | {"datasets": {"pets": pets}} | cam)
    artifact = plan.of_stage("maps")[0]
    wildcards = SimpleNamespace(dataset="pets", id=artifact.id)
    params = [
        plan.recipe("maps")(wildcards),
        plan.dataset_recipe(wildcards),
        plan.truth_recipe(wildcards),
        plan.labelled_recipe(wildcards),
        plan.all_roots(wildcards, None),
    ]
    for text in params:
        assert not set(text) & set("<>&")
        assert name in str(json.loads(text))
    assert json.loads(params[0]) == artifact.recipe


def test_images_of_other_settings_are_told():
    plan = Plan(RAW)
    assert plan.replaced() == []
    for name in ("pets", "cats"):
        file = Path(plan.description_file("train", name))
        file.parent.mkdir(parents=True)
        file.touch()
    assert plan.replaced() == []
    started.begin(is_main=True)
    other = Plan(RAW | {"datasets": RAW["datasets"] | {"cats": RAW["datasets"]["pets"]}})
    (line,) = other.replaced()
    assert line.startswith("note: the images in results/cats were listed for other settings")
