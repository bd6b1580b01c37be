"""Pixel masks reach evaluation and nothing else."""

import re

EVALUATION = {"measure_maps", "measure_labels", "report_page"}


def jobs(printed):
    """(rule, inputs, outputs) of every job of a dry run."""
    for block in re.split(r"\n(?=(?:local)?rule )", printed):
        rule = re.match(r"(?:local)?rule (\w+):", block)
        if rule:
            inputs, outputs = (
                re.findall(r"[^\s,]+", " ".join(re.findall(rf"^    {word}: (.*)$", block, re.M)))
                for word in ("input", "output")
            )
            yield rule[1], inputs, outputs


def test_only_evaluation_reads_truth(finished):
    found = list(jobs(finished.make("--dry-run", "--forceall", "--verbose")))
    assert len(found) == sum(finished.would_run("--forceall").values()) + 1  # and `all`
    readers = {rule for rule, inputs, _ in found if any("truth" in path for path in inputs)}
    assert readers == EVALUATION


def test_nothing_measured_flows_back_into_a_model_map_or_mask(finished):
    found = list(jobs(finished.make("--dry-run", "--forceall", "--verbose")))
    tainted = {"results/digits/truth.csv"}
    for _ in found:
        for _, inputs, outputs in found:
            if tainted & set(inputs):
                tainted |= set(outputs)
    forbidden = re.compile(r"model\.safetensors|/(maps|masks|predictions)/[^/]+/\d+\.zarr\.zip")
    assert [path for path in sorted(tainted) if forbidden.search(path)] == []
    assert "results/metrics.csv" in tainted
