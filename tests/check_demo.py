"""What the demo must have reached; run after `make demo`."""

import sys
from pathlib import Path

import pandas as pd

RESULTS = Path(__file__).resolve().parents[1] / "results"


def main() -> int:
    """Check the demo's figures and page; the exit status."""
    board = pd.read_csv(RESULTS / "leaderboard.csv").set_index("experiment")
    metrics = pd.read_csv(RESULTS / "metrics.csv")
    background_alone = (
        pd.read_csv(next(RESULTS.glob("digits/maps/cam-*/curve.csv")))
        .query("threshold == 1 and `class` == 'mean'")["iou"]
        .item()
    )
    best = board.loc["digits/vanilla/cam/crf/deeplabv3plus"]
    irn = board.loc["digits/vanilla/cam/irn"]
    outside = metrics.query(
        "stage == 'maps' and metric == 'ndr_recall' and `class` == 'mean' and not tuned_on_masks"
    )
    ndr = outside.assign(maps=outside["experiment"].str.split("/").str[2])
    ndr = ndr.groupby("maps")["value"].first()
    related = pd.read_csv(RESULTS / "doubt_correlations.csv")
    related = related[related["part"] == "doubt"]["spearman"]
    checks = {
        "the experiments are there": set(board.index)
        >= {
            "digits/vanilla/cam/threshold",
            "digits/vanilla/cam/crf/deeplabv3plus",
            "digits/vanilla/cam/irn",
            "digits/vanilla/lpcam",
        },
        f"LPCAM finds more outside the discriminative regions, {ndr['lpcam']:.3f} of them, than "
        f"CAM, {ndr['cam']:.3f}": ndr["lpcam"] > ndr["cam"],
        f"the classifier's mAP {best.classifier_map:.3f} > 0.9": best.classifier_map > 0.9,
        f"mask IoU {best.mask_iou:.3f} > 3 × background alone {background_alone:.3f}": (
            best.mask_iou > 3 * background_alone
        ),
        f"IRN's masks {irn.mask_iou:.3f} > their CAM seed {irn.seed_iou:.3f} "
        f"(tuned on masks: {irn.seed_iou_best:.3f})": irn.mask_iou
        > max(irn.seed_iou, irn.seed_iou_best),
        f"the segmenter {best.prediction_iou:.3f} > its CAM seed {best.seed_iou:.3f} "
        f"(tuned on masks: {best.seed_iou_best:.3f})": best.prediction_iou
        > max(best.seed_iou, best.seed_iou_best),
        "tuned figures are marked": metrics.query("tuned_on_masks")["stage"].eq("maps").all()
        and metrics["tuned_on_masks"].any(),
        f"doubts find bad masks: rank correlation with the IoU {related.max():.2f} at most": (
            related.max() < -0.3
        ),
        "every entry of masks has a contact sheet": {
            path.name.split("-")[0] for path in RESULTS.glob("digits/sheets/*.html")
        }
        >= {"threshold", "crf", "irn"},
        "report.html is a whole page": (RESULTS / "report.html")
        .read_text(encoding="utf-8")
        .rstrip()
        .endswith("</html>"),
    }
    for what, holds in checks.items():
        print("ok  " if holds else "FAIL", what)
    return 0 if all(checks.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
