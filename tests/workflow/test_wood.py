"""W-OoD from candidates to maps: the run waits for a person, and goes on with what was answered."""

import copy as copying
import json

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from tags2masks.data.index import images_sha, read_index
from tags2masks.store import Shard
from tests.workflow.conftest import CONFIG
from tests.workflow.test_supervision import jobs_of, leaks, undeclared

pytestmark = pytest.mark.slow  # whole chains of its own

POOL = 5


def with_wood(copy) -> dict:
    """The config with candidates of a folder, all of which are ranked; the folder is made."""
    rng = np.random.default_rng(0)
    for number in range(POOL):
        path = copy.folder / "pool" / f"other {number}.png"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(rng.integers(256, size=(30, 40, 3), dtype=np.uint8)).save(path)
    config = copying.deepcopy(CONFIG)
    config["datasets"]["pool"] = {"kind": "untagged", "images": "pool"}
    config["classifiers"]["wood"] = config["classifiers"]["vanilla"] | {
        "method": "wood",
        "ordinary": "vanilla",
        "ood": {"candidates": "pool", "min_score": 0.0},
        "keep": "keep.csv",
        "clusters": 2,
        "climb": 0.07,
        "keep_states": True,
    }
    config["evaluation"] = {"background_score": 0.3, "epoch_features": 4}
    config["report"] = {"ood_images": 2}
    config["experiments"] = ["digits / wood / cam"]
    copy.configure(config)
    return config


@pytest.mark.browser
def test_a_run_waits_for_a_person_and_goes_on_with_the_answers(copy, browser):
    config = with_wood(copy)
    planned = copy.would_run()
    assert (planned["untagged_ood"], planned["ranked"], planned["wood"]) == (1, 1, 1)
    assert "vanilla" not in planned  # it is there
    done = copy.snakemake()
    assert done.returncode != 0
    (ranking,) = copy.folder.glob("results/digits/ood/*/ranked.csv")
    page = ranking.with_name("review.html")
    last = done.stderr.strip().splitlines()[-1]
    assert last.endswith(
        "error: keep.csv: does not exist yet, and 5 candidates wait for a person's yes or no; open "
        f"{page.relative_to(copy.folder)}, save the table as keep.csv, and run again"
    )
    # A person answers no, yes, yes, skips one, and answers yes.
    context = browser.new_context(offline=True)
    review = context.new_page()
    review.goto(page.as_uri())
    for key in ("ArrowLeft", "ArrowRight", "ArrowRight", "ArrowDown", "ArrowRight"):
        review.keyboard.press(key)
    with review.expect_download() as download:
        review.click("#save")
    download.value.save_as(copy.folder / "keep.csv")
    context.close()

    planned = copy.would_run()
    assert "ranked" not in planned and (planned["wood"], planned["cam"]) == (1, 2)
    said = copy.make()
    waiting = "1 of 5 candidates had no person's yes or no when it was trained, and were not used;"
    assert said.strip().splitlines()[-1].startswith(f"warning: digits/wood/cam: {waiting}")
    board = pd.read_csv(copy.folder / "results/leaderboard.csv").set_index("experiment")
    (row,) = board.to_dict("records")
    assert (row["supervision"], row["label_cost"]) == ("tags + ood", 20)
    assert "1 of 5 candidates for out-of-distribution images" in row["note"]
    assert copy.would_run() == {}

    # Four tagged images and the three that are kept, before the training and after both epochs.
    (table,) = copy.folder.glob("results/digits/classifier/wood-*/embedding.csv")
    places = pd.read_csv(table)
    assert places.groupby(["epoch", "kind"]).size().tolist() == [3, 4] * 3
    answers = pd.read_csv(copy.folder / "keep.csv", keep_default_na=False)
    kept = set(answers.loc[answers["keep"] == "yes", "image"])
    assert set(places.loc[places["kind"] == "ood", "image"]) == kept
    train = images_sha(read_index(copy.folder / "results/digits/train.csv"))
    with Shard(table.with_name("ood.zarr.zip"), table.parent.name, train) as drawn:
        assert len(drawn.images) == 2 and set(drawn.images) <= kept
        for image in drawn.images:
            file = copy.folder / "pool" / f"{image}.png"
            assert np.array_equal(drawn.read(image)[0], np.array(Image.open(file)))
    before = table.read_bytes()
    copy.make("--forcerun", "embed_epochs")
    assert table.read_bytes() == before
    page = (copy.folder / "results/report.html").read_text(encoding="utf-8")
    assert "Features of wood after each epoch, by t-SNE" in page
    assert f"Out-of-distribution image {image}, taken for" in page

    # Another no changes nothing that is learned, another yes trains again and ranks nothing.
    table = pd.read_csv(copy.folder / "keep.csv", keep_default_na=False)
    assert table["keep"].tolist() == ["no", "yes", "yes", "", "yes"]
    table.loc[3, "keep"] = "no"
    table.to_csv(copy.folder / "keep.csv", index=False)
    assert copy.would_run() == {}
    table.loc[3, "keep"] = "yes"
    table.to_csv(copy.folder / "keep.csv", index=False)
    planned = copy.would_run()
    assert "ranked" not in planned and planned["wood"] == 1

    # New candidates are ranked.
    Image.new("RGB", (20, 20)).save(copy.folder / "pool" / "new.png")
    planned = copy.would_run()
    assert planned["untagged_ood"] == planned["ranked"] == planned["wood"] == 1

    (folder,) = copy.folder.glob("results/digits/classifier/wood-*")
    lineage = json.loads((folder / "lineage.json").read_text(encoding="utf-8"))
    assert [one["stage"] for one in lineage] == ["classifier", "ood", "classifier"]
    assert lineage[-1]["supervision"] == ["tags", "ood"]
    jobs = jobs_of(copy)
    assert leaks(jobs) == set() and undeclared(jobs, copy) == set()
    assert config["classifiers"]["wood"]["keep"] == "keep.csv"


def test_mistakes_are_told_in_one_line(copy):
    config = with_wood(copy)
    (copy.folder / "keep.csv").write_text("image,keep\nother 0,yes\nelsewhere,yes\n")

    def last_line(**changes):
        config["classifiers"]["wood"] |= changes
        copy.configure(config)
        done = copy.snakemake()
        assert done.returncode != 0
        return done.stderr.strip().splitlines()[-1]

    said = last_line()
    assert "error: keep.csv, line 3: 'elsewhere' is none of the candidates; is it the" in said
    (copy.folder / "keep.csv").write_text("image,keep\nother 0,no\n")
    assert "error: keep.csv: keeps none of the 5 ranked candidates; answer yes" in last_line()
    said = last_line(keep="all", clusters=9)
    assert "error: clusters: 9 of 5 out-of-distribution images; lower clusters" in said
    said = last_line(ood={"candidates": "pool", "min_score": 1.0})
    assert "error: no candidate scores 1 or more (the highest of 5: 0." in said
