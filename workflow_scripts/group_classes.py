"""Average figures and properties over the groups of classes that the config names."""

import argparse

import pandas as pd

from tags2masks.data.index import read_classes
from tags2masks.files import written_whole
from tags2masks.metrics.groups import group_figures, members
from tags2masks.program import add_paths, run
from tags2masks.report.reading import read_metrics, read_properties
from tags2masks.report.summary import read_outline


def main() -> None:
    """Read the arguments and write a row per group, experiment and figure."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_paths(parser, "outline", "metrics", "results", "output")
    args = parser.parse_args()

    metrics = read_metrics(args.metrics)
    tables = []
    for name, groups in read_outline(args.outline)["report"]["class_groups"].items():
        home, where = args.results / name, f"report.class_groups.{name}"
        properties = read_properties(home / "properties.csv")
        classes = read_classes(home / "classes.txt")
        found = members(groups, classes, properties, where)
        mine = metrics[metrics["dataset"] == name]
        tables.append(group_figures(found, mine, properties, name))
    with written_whole(args.output) as beside:
        pd.concat(tables).to_csv(beside, index=False, float_format="%.6g")


if __name__ == "__main__":
    run(main)
