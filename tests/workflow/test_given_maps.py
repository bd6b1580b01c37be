"""Maps from elsewhere: in a chain of their own, or after a classifier that chooses their score."""

import copy as copying

import numpy as np
import pandas as pd

from tags2masks.data.index import images_sha, read_index, rows_of
from tags2masks.store import Shard
from tests.workflow.conftest import CONFIG
from tests.workflow.test_supervision import jobs_of, leaks, undeclared


def shards_of(project, experiment, stage):
    """The shards of an experiment's artifact."""
    figures = pd.read_csv(project.folder / "results/metrics.csv")
    (artifact,) = set(
        figures.loc[(figures["experiment"] == experiment) & (figures["stage"] == stage), "artifact"]
    )
    results = project.folder / "results/digits"
    index = read_index(results / "train.csv")
    return [
        Shard(
            results / f"{stage}/{artifact}/{number}.zarr.zip",
            artifact,
            images_sha(rows_of(index, "train", number)),
        )
        for number in (0, 1)
    ]


def test_maps_from_elsewhere_give_the_same_masks(copy):
    folder = copy.folder / "elsewhere"
    folder.mkdir()
    for shard in shards_of(copy, "digits/vanilla/cam/threshold/net", "maps"):
        for image in shard.images:
            maps, about = shard.read(image)
            named = dict(zip(about["classes"], maps, strict=True))
            np.savez(folder / f"{image}.npz", **named)
    given = {"method": "given", "folder": "elsewhere", "stride": 1}
    config = copying.deepcopy(CONFIG)
    config["maps"] |= {"given": given, "boxed": given | {"learned_from": ["tags", "boxes"]}}
    config["masks"]["auto"] = {"method": "threshold"}
    config["experiments"] = [
        "digits / vanilla / cam / threshold",
        "digits / given / threshold",
        "digits / vanilla / boxed / auto",
    ]
    copy.configure(config)
    planned = copy.would_run()
    assert planned["given_maps"] == 4 and planned["separation"] == 1
    assert "vanilla" not in planned and "list_boxes" not in planned
    jobs = jobs_of(copy)
    assert leaks(jobs) == set()
    # Boxes were read where the maps were made, and are not here.
    assert {source for source, _ in undeclared(jobs, copy)} == {"boxes"}

    copy.make()
    assert copy.would_run() == {}
    board = pd.read_csv(copy.folder / "results/leaderboard.csv").set_index("experiment")
    assert board["supervision"].to_dict() == {
        "digits/vanilla/cam/threshold": "tags",
        "digits/given/threshold": "tags",
        "digits/vanilla/boxed/auto": "boxes",
    }
    ours, theirs = board.loc["digits/vanilla/cam/threshold"], board.loc["digits/given/threshold"]
    for figure in ("seed_iou", "seed_iou_best", "mask_iou"):
        assert ours[figure] == theirs[figure] > 0
    for stage in ("maps", "masks"):
        made = shards_of(copy, "digits/vanilla/cam/threshold", stage)
        read = shards_of(copy, "digits/given/threshold", stage)
        for one, other in zip(made, read, strict=True):
            assert one.images == other.images
            for image in one.images:
                np.testing.assert_array_equal(one.read(image)[0], other.read(image)[0])

    config["experiments"] = ["digits / given / auto"]
    copy.configure(config)
    done = copy.snakemake("-n")
    assert done.returncode != 0
    assert (
        "masks.auto.background_score: separation needs a classifier, and 'digits/given/auto' has "
        "none before it" in done.stderr + done.stdout
    )
