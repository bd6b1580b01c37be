"""A copy of the workflow with a data set of any size by its tables alone: no image is there."""

import shutil
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[1]
SOURCES = ("Snakefile", "rules", "workflow_scripts", "tags2masks")
CLASSES = ["cat", "dog"]

CONFIG = {
    "classifiers": {"vanilla": {"method": "vanilla"}},
    "maps": {"cam": {"method": "cam"}, "single": {"method": "cam", "scales": [1]}},
    "masks": {
        "low": {"method": "threshold", "background_score": 0.2},
        "threshold": {"method": "threshold", "background_score": 0.3},
        "crf": {"method": "crf", "background_score": 0.3},
    },
    "segmenters": {"net": {"method": "deeplabv3plus"}},
    "experiments": ["mine / vanilla / {cam,single} / {low,threshold,crf} / net"],
}

EMPTY = """
rule all:
    input:
        [],
"""

PER_IMAGE = """
with open("results/mine/train.csv") as lines:
    images = [line.partition(",")[0] for line in lines][1:]


rule all:
    input:
        expand("maps/{image}.npy", image=images),


rule maps:
    output:
        "maps/{image}.npy",
    shell:
        "touch {output}"
"""

# What a run has loaded when it ends. Snakemake itself brings pandas and numpy.
CONFESS = """
import atexit

heavy = {"torch", "torchvision", "timm", "lightning_fabric", "zarr", "sklearn", "skimage"}
atexit.register(lambda: print("loaded:", *(heavy & sys.modules.keys())))
"""


def make_project(folder: Path, images: int, shards: int) -> None:
    """A folder with the workflow's sources, a data set of tagged images, listed, and a config.

    Beside the Snakefile, which tells what it has loaded, stand `Empty` and `PerImage`.
    """
    ignored = shutil.ignore_patterns("__pycache__")
    for name in ("photos", "masks", "results/mine"):
        (folder / name).mkdir(parents=True)
    for name in SOURCES:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, folder / name, ignore=ignored)
        else:
            shutil.copy2(ROOT / name, folder / name)
    snakefile = folder / "Snakefile"
    snakefile.write_text(snakefile.read_text() + CONFESS)
    (folder / "Empty").write_text(EMPTY)
    (folder / "PerImage").write_text(PER_IMAGE)
    places = {"images": "photos", "tags": "tags.csv", "masks": "masks"}
    dataset = {"kind": "folder", "classes": CLASSES, "shards": shards, **places}
    (folder / "config.yaml").write_text(yaml.safe_dump({"datasets": {"mine": dataset}} | CONFIG))
    header = "image,path,split,tags,height,width,sha,shard"
    tags, index = ["image,tags,split"], [header]
    for number in range(images):
        name, shard = f"{number:06}", number * shards // images
        tags.append(f"{name}.jpg,cat;dog,train")
        index.append(f"{name},{name}.jpg,train,cat;dog,375,500,{number:016x},{shard}")
    for file, lines in (
        ("tags.csv", tags),
        ("results/mine/train.csv", index),
        ("results/mine/val.csv", [header]),
        ("results/mine/ood.csv", [header]),
        ("results/mine/classes.txt", CLASSES),
    ):
        (folder / file).write_text("".join(f"{line}\n" for line in lines))
