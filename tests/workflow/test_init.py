"""A newcomer's path: a folder per class, a config for it, a check, and what a run would do."""

import numpy as np
import pytest
from PIL import Image

from tests.workflow.conftest import CONFIG, fresh_project
from tests.workflow.test_housekeeping import command


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """The workflow beside a folder of 30 photographs in mixed formats."""
    folder = tmp_path_factory.mktemp("init")
    rng = np.random.default_rng(0)
    for name, suffix in (("cat", "jpg"), ("dog", "png"), ("none", "webp")):
        (folder / "photos" / name).mkdir(parents=True)
        for number in range(10):
            pixels = rng.integers(0, 255, (96, 128, 3), np.uint8)
            Image.fromarray(pixels).save(folder / f"photos/{name}/{number}.{suffix}")
    return fresh_project(folder, CONFIG)


def test_init_then_check_then_run(project):
    made = command(project, "init", "photos", "--out", "photos.yaml")
    assert made.returncode == 0, made.stderr
    seen = command(project, "check", "photos.yaml")
    assert seen.returncode == 0, seen.stdout + seen.stderr
    assert "photos: folder of images, 2 classes" in seen.stdout
    assert seen.stdout.splitlines()[-1].startswith("photos.yaml: no errors and ")
    jobs = project.would_run("--configfile", "photos.yaml")
    assert {"folder", "vanilla", "kmeans", "lpcam", "crf", "deeplabv3plus"} <= jobs.keys()
