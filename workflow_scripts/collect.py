"""Collect the figures of all experiments into metrics.csv and leaderboard.csv, and the warnings."""

import argparse

from tags2masks.files import written_whole
from tags2masks.program import add_paths, run
from tags2masks.report.run_warnings import collect_warnings
from tags2masks.report.summary import leaderboard, read_outline, tidy_metrics


def main() -> None:
    """Read the arguments, write the tables, and print the leaderboard."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_paths(parser, "outline", "results", "metrics", "leaderboard", "warnings")
    args = parser.parse_args()

    outline = read_outline(args.outline)
    experiments = outline["experiments"]
    metrics = tidy_metrics(experiments, outline["evaluation"], args.results)
    warnings = collect_warnings(metrics, experiments, args.results)
    table = leaderboard(metrics, experiments, args.results, warnings)
    with written_whole(args.warnings) as beside:
        warnings.to_csv(beside, index=False)
    with written_whole(args.metrics) as beside:
        metrics.to_csv(beside, index=False)
    with written_whole(args.leaderboard) as beside:
        table.to_csv(beside, index=False, float_format="%.6g")
    figures = ["classifier_map", "seed_iou", "seed_iou_best", "mask_iou", "prediction_iou"]
    print(table[["experiment", *figures]].to_string(index=False, float_format="%.3f", na_rep="-"))
    unmeasured = sorted(
        {experiment["dataset"] for experiment in experiments if not experiment["has_truth"]}
    )
    if unmeasured:
        print(f"No quality figures for {', '.join(unmeasured)}: no pixel masks to measure against")


if __name__ == "__main__":
    run(main)
