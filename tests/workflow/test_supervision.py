"""Pixel masks reach evaluation and nothing else."""

import re

import pytest

EVALUATION = {"measure_maps", "measure_labels", "report_page"}


@pytest.fixture(scope="module")
def files(finished):
    """(file, rule that makes it, the files that it is made from) of everything in the workflow."""
    done = finished.snakemake("--detailed-summary", "--forceall")
    header, *lines = [line.split("\t") for line in done.stdout.splitlines() if "\t" in line]
    rule, inputs = header.index("rule"), header.index("input-file(s)")
    return [(line[0], line[rule], set(line[inputs].split(","))) for line in lines]


def test_the_summary_is_read_right(files):
    made = {rule: inputs for _, rule, inputs in files}
    assert made["digits_truth"] == {
        "results/digits/classes.txt",
        "results/digits/index.csv",
        next(file for file, rule, _ in files if rule == "describe" and "/truth-" in file),
    }
    assert set(made) >= EVALUATION | {"vanilla", "cam", "threshold", "crf", "deeplabv3plus"}


def test_only_evaluation_reads_truth(files):
    readers = {rule for _, rule, inputs in files if "results/digits/truth.csv" in inputs}
    assert readers == EVALUATION


def test_nothing_measured_flows_back_into_a_model_map_or_mask(files):
    tainted = {"results/digits/truth.csv"}
    for _ in files:
        tainted |= {file for file, _, inputs in files if tainted & inputs}
    forbidden = re.compile(r"model\.safetensors|/(maps|masks|predictions)/[^/]+/\d+\.zarr\.zip")
    assert [file for file in sorted(tainted) if forbidden.search(file)] == []
    assert "results/metrics.csv" in tainted
