"""`tags2masks init`: a config that fits a folder of images."""

import json
import sys
from pathlib import Path

import jsonschema
import numpy as np
import pytest
import yaml
from PIL import Image

from tags2masks.__main__ import main
from tags2masks.config.project import parse_config
from tags2masks.config.reading import read_config
from tags2masks.config.reference import DOCS
from tags2masks.errors import UserError
from tags2masks.importing.colour_masks import read as read_colour_masks
from tags2masks.importing.first_config import fitting, write_first_config
from tags2masks.importing.items import Options
from tags2masks.importing.writing import Division, write_dataset


@pytest.fixture(autouse=True)
def there(tmp_path, monkeypatch):
    """Work in an empty folder, as paths in configs are relative to the working directory."""
    monkeypatch.chdir(tmp_path)


def photo(path, size=(320, 240)):
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.zeros((*size[::-1], 3), np.uint8)).save(path)


def written(folder="pets", out="pets.yaml", tags=None, device="cpu"):
    write_first_config(Path(folder), Path(out), tags, device, "two cores", 1)
    text = Path(out).read_text(encoding="utf-8")
    schema = json.loads((DOCS / "config.schema.json").read_text(encoding="utf-8"))
    jsonschema.validate(yaml.safe_load(text), schema)
    return parse_config(read_config(out)), text


def test_a_folder_with_a_table():
    rows = ["image,tags,split"]
    for number in range(40):
        photo(f"my pets/{number}.jpg", (320, 240) if number else (64, 48))
        rows.append(f"{number}.jpg,{'cat;dog' if number % 2 else 'cat'},train")
    Path("my pets/tags.csv").write_text("\n".join(rows) + "\n")
    config, text = written("my pets")
    (name, spec), *more = config.datasets.items()
    assert (name, more) == ("my-pets", [])
    assert (spec.images, spec.tags, spec.classes) == ("my pets", "my pets/tags.csv", ("cat", "dog"))
    assert spec.evaluate_on == "train"  # no image is of val
    assert config.experiments == ("my-pets / vanilla / lpcam / crf / deeplabv3plus",)
    vanilla = config.classifiers["vanilla"]
    assert (vanilla.epochs, vanilla.batch_size, vanilla.backbone.name) == (
        50, 10, "mobilenetv2_100",
    )  # fmt: skip
    assert vanilla.optimizer.lr == 0.00063  # 0.001 of batches of 16
    assert (vanilla.augment.crop, vanilla.augment.resize) == (256, (224, 352))
    lines = text.splitlines()
    schema = Path(lines[0].removeprefix("# yaml-language-server: $schema="))
    assert schema.resolve() == DOCS / "config.schema.json"
    assert lines[1:4] == [
        "# Written by `tags2masks init` for 40 images (40 train),",
        "# 64 × 48 to 320 × 240 pixels.",
        "# images tagged: cat 40; dog 20",
    ]


def test_a_folder_per_class_gets_a_table_beside_the_config(capsys):
    for name in ("cat", "dog", "none"):
        for number in range(10):
            photo(f"pets/{name}/{number}.jpg")
    config, _ = written()
    spec = config.datasets["pets"]
    assert (spec.images, spec.tags, spec.evaluate_on) == ("pets", "pets-data/tags.csv", "val")
    table = Path("pets-data/tags.csv").read_text().splitlines()
    assert len(table) == 31 and sum(line.endswith(",val") for line in table) == 6
    assert sum(",," in line for line in table) == 10
    assert capsys.readouterr().out.splitlines()[0] == "pets-data: 30 images (24 train, 6 val)"


def test_what_was_imported_keeps_its_masks_and_their_numbers():
    Path("in/images").mkdir(parents=True)
    Path("in/masks").mkdir()
    for number in range(2):
        photo(f"in/images/{number}.jpg", (8, 6))
        Image.new("RGB", (8, 6), (255, 0, 0)).save(f"in/masks/{number}.png")
    Path("in/classes.csv").write_text("name,r,g,b\ncow,0,255,0\ncat,255,0,0\n")
    source = read_colour_masks(Path("in"), Options())
    write_dataset(source, Path("pets"), Division(0.5), files="named", only=None, threads=1)
    config, text = written()
    spec = config.datasets["pets"]
    assert (spec.images, spec.masks, spec.classes) == ("in/images", "pets/masks", ("cat",))
    assert spec.mask_values == {"0": "background", "2": "cat", "255": "ignored"}
    assert "path/to/masks" not in text and "images (1 train, 1 val)" in text


def test_what_suits():
    # 437 photographs of 500 × 375 on two cores: as papers/animals.yaml, nine epochs.
    assert fitting(437, 500, "cpu") == (256, (224, 352), 9, 16)
    assert fitting(10_582, 500, "cuda") == (448, (392, 616), 5, 16)
    assert fitting(100_000, 4000, "cuda") == (512, (448, 704), 5, 16)
    assert fitting(4, 20, "cpu") == (32, (28, 44), 50, 2)


def test_large_images_are_advised_on():
    photo("pets/a.jpg", (1400, 40))
    Path("pets/tags.csv").write_text("image,tags,split\na.jpg,cat,train\n")
    _, text = written()
    assert "at most 1400 pixels here" in text and "Copies of about 512 pixels a side" in text


@pytest.mark.parametrize("name", ["2024", "no", "null", "predict", "groups.csv"])
def test_a_folder_whose_name_no_data_set_can_have(name):
    photo(f"{name}/cat/0.jpg")
    photo(f"{name}/dog/1.jpg")
    config, _ = written(name, "first.yaml")
    assert list(config.datasets) == [f"images-{name}"]


def test_nothing_is_overwritten_or_guessed():
    with pytest.raises(UserError, match="pets: no such folder"):
        written()
    Path("pets").mkdir()
    with pytest.raises(UserError, match="pets: no image in it"):
        written()
    photo("pets/a.jpg")
    with pytest.raises(UserError, match=r"pets: no table of tags; write pets/tags\.csv"):
        written()
    with pytest.raises(UserError, match=r"gone\.csv: no such table of tags; correct --tags"):
        written(tags=Path("gone.csv"))
    assert sorted(path.name for path in Path().iterdir()) == ["pets"]
    Path("pets.yaml").write_text("mine\n")
    with pytest.raises(UserError, match=r"pets\.yaml: is there already; give another name"):
        written()
    assert Path("pets.yaml").read_text() == "mine\n"


def test_the_command(monkeypatch, capsys):
    photo("pets/a.jpg")
    Path("tags.csv").write_text("image,tags,split\na.jpg,cat,train\n")
    monkeypatch.setattr(sys, "argv", ["tags2masks", "init", "pets", "--tags", "tags.csv"])
    main()
    assert capsys.readouterr().out.splitlines() == [
        "config.yaml: written, for 1 images of 1 classes; next:",
        "  tags2masks check config.yaml",
        "  tags2masks run config.yaml --cores 2",
    ]
    with pytest.raises(SystemExit, match=r"error: config\.yaml: is there already"):
        main()
