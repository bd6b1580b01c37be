"""snakemake --lint: clean but for what is explained here."""

import re

EXPLAINED = {
    # One pip environment, made by `make setup` with pinned versions, serves every rule: the
    # methods are a Python library of this repository, not separate tools with needs of their own.
    "Specify a conda environment or container for each rule.",
    # `outline` and `describe` write one of their params to a file, and print nothing.
    "No log directive defined",
}


def test_lint_has_only_explained_findings(finished):
    done = finished.snakemake("--lint")
    titles = set(re.findall(r"^    \* (.*?):?$", done.stdout + done.stderr, re.MULTILINE))
    assert titles == EXPLAINED
