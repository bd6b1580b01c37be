"""Instances in the report: table, column of the leaderboard, pictures."""

import base64
import io

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from tags2masks.instance_store import instance
from tags2masks.report.instance_table import INSTANCE_METRICS, InstanceRow, instance_table
from tags2masks.report.leaderboard import leaderboard_cells, shown_columns
from tags2masks.report.pictures import INSTANCE_COLOURS, instances_picture
from tags2masks.report.summary import LEADERBOARD, METRICS


def test_a_row_for_each_artifact_with_instances():
    def row(experiment, stage, metric, value, name="mean"):
        return (experiment, "d", "train", stage, "x", metric, name, value, None, False, "7")

    rows = [
        row("d/boxfill", "instances", "ap", 0.25),
        row("d/boxfill", "instances", "abo", 0.5),
        row("d/boxfill", "instances", "ap", 0.75, "cat"),
        row("d/v/cam/irn", "masks", "iou", 0.9),
        row("d/detector", "detector", "ap50", 0.5),  # of boxes
        row("d/v/cam/irn", "masks", "ap50", 0.125),
        row("d/boxfill/rcnn", "predictions", "ap50", 0.75),
    ]
    first, second, third = instance_table(pd.DataFrame(rows, columns=list(METRICS)))
    nothing = ["–"] * len(INSTANCE_METRICS)
    cells = nothing.copy()
    cells[0], cells[-2] = "25.0", "50.0"
    assert first == InstanceRow("d/boxfill", "instance", "train", "7", cells)
    cells = nothing.copy()
    cells[2] = "12.5"
    assert second == InstanceRow("d/v/cam/irn", "mask", "train", "7", cells)
    cells = nothing.copy()
    cells[2] = "75.0"
    assert third == InstanceRow("d/boxfill/rcnn", "prediction", "train", "7", cells)


def test_the_leaderboard_has_instances_where_some_are_measured():
    row = dict.fromkeys(LEADERBOARD, "") | {"label_cost": "38.1", "dataset": "d"}
    rows = [
        row | {"experiment": "d/a", "instance_ap": "0.2", "instance_ap50": "0.4"},
        row | {"experiment": "d/b", "instance_ap": "0.3", "instance_abo": "0.6"},
        row | {"experiment": "d/c", "detector_ap": "0.3", "detector_ap50": "0.45"},
    ]
    board = pd.DataFrame(rows)
    at = [column.name for column in shown_columns(board)].index("instance_ap")
    first, second, third = (line[at] for line in leaderboard_cells(board))
    assert (first.text, first.best, first.below) == ("20.0", False, "AP50 40.0, ABO –")
    assert (second.text, second.best, second.below) == ("30.0", True, "AP50 –, ABO 60.0")
    assert (third.text, third.below) == ("–", "")
    boxes = [column.name for column in shown_columns(board)].index("detector_ap")
    first, _, third = (line[boxes] for line in leaderboard_cells(board))
    assert (first.text, first.below) == ("–", "")
    assert (third.text, third.below) == ("30.0", "AP50 45.0")
    without = shown_columns(board.assign(instance_ap="", detector_ap=""))
    assert not {"instance_ap", "detector_ap"} & {column.name for column in without}


def pixels(picture):
    return np.array(Image.open(io.BytesIO(base64.b64decode(picture.uri.partition(",")[2]))))


def test_instances_in_colours_of_their_own():
    mask = np.zeros((20, 30), bool)
    mask[5:15, 5:25] = True
    inner = np.zeros((20, 30), bool)
    inner[8:12, 8:12] = True
    grey = np.full((20, 30, 3), 100, np.uint8)
    drawn = pixels(instances_picture(grey, [instance(1, inner), instance(1, mask)]))
    first, second = (np.array(colour, np.float32) for colour in INSTANCE_COLOURS[:2])
    assert drawn.shape == (20, 30, 3) and (drawn[0, 0] == 75).all()  # the image, darker
    assert (drawn[5, 5:25] == second).all() and (drawn[5:15, 24] == second).all()  # its box
    assert (drawn[8, 8:12] == first).all()
    over = np.round(0.4 * 75 + 0.6 * second)
    np.testing.assert_allclose(drawn[13, 20], over, atol=1)
    on_top = np.round(0.4 * (0.4 * 75 + 0.6 * second) + 0.6 * first)  # the smallest is drawn last
    np.testing.assert_allclose(drawn[9, 9], on_top, atol=1)


@pytest.mark.parametrize(("left", "top"), [(0, 0), (601, 449), (1199, 899), (7, 13)])
def test_an_object_of_one_pixel_in_a_large_image(left, top):
    mask = np.zeros((900, 1200), bool)
    mask[top, left] = True
    grey = np.full((900, 1200, 3), 100, np.uint8)
    drawn = pixels(instances_picture(grey, [instance(1, mask)])).astype(int)
    across, down = drawn.shape[1] / 1200, drawn.shape[0] / 900
    mine = drawn[round(top * down) - 1 :, round(left * across) - 1 :] if left else drawn
    assert drawn.shape[1] < 600
    assert (abs(mine[:3, :3] - 75).max(2) > 20).any()  # its box: a point of its colour


def test_no_instance_and_one_without_a_pixel():
    grey = np.full((20, 30, 3), 100, np.uint8)
    empty = instance(1, np.zeros((20, 30), bool))
    assert (pixels(instances_picture(grey, [])) == 75).all()
    assert (pixels(instances_picture(grey, [empty])) == 75).all()


def test_a_score_is_written_into_a_large_box():
    grey = np.full((150, 200, 3), 100, np.uint8)
    plain = instances_picture(grey, [instance(1, np.zeros((150, 200), bool), 0.5)])
    mask = np.zeros((150, 200), bool)
    large = instances_picture(grey, [instance(1, mask, 0.5, (10, 10, 190, 140))])
    small = instances_picture(grey, [instance(1, mask, 0.5, (10, 10, 14, 14))])
    white = [int((pixels(one).min(axis=2) > 200).sum()) for one in (plain, small, large)]
    assert white[0] == white[1] == 0 < white[2]
