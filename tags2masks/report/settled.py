"""Whether trainings settled: what their curves say without a mask."""

import pandas as pd

from tags2masks.data.warnings import Warned

FALL = 0.1  # of the mAP, a share; between epochs of a good training it changes by some hundredths


def settled_warnings(training: pd.DataFrame, name: str) -> list[Warned]:
    """A warning where a classifier's mAP on val ends far below that of an earlier epoch.

    training: a row per epoch, columns epoch and val_map (0 to 1; absent or empty without val
    images); cells may be text. name: what to call it.
    """
    if "val_map" not in training:
        return []
    figures = training[["epoch", "val_map"]].apply(pd.to_numeric, errors="coerce").dropna()
    if figures.empty:
        return []
    epoch, reached = figures.loc[figures["val_map"].idxmax()]
    ends = figures["val_map"].iloc[-1]
    if reached - ends < FALL:
        return []
    return [
        Warned(
            f"mAP fell from {100 * reached:.1f} to {100 * ends:.1f}",
            f"the training of {name} did not settle: its mAP on val was {100 * reached:.1f} after "
            f"epoch {epoch:.0f} and is {100 * ends:.1f} at the end; try a lower "
            "optimizer.lr, or optimizer.warmup",
        )
    ]
