"""Full supervision: the true instances of labelled images instead of ones made from boxes.

Images without a mask, and those whose instances are not known, are not in the shards, which are
marked `partial`.
"""

from collections.abc import Iterator

import pandas as pd

from tags2masks.config.dataset_base import Dataset
from tags2masks.data.index import sizes_of
from tags2masks.data.readers import reader_module
from tags2masks.instance_store import entry
from tags2masks.store import Entry


def labelled_instances(
    rows: pd.DataFrame, listed: pd.DataFrame, spec: Dataset, root: str, classes: list[str]
) -> Iterator[Entry]:
    """Yield the store's entries of the rows with true instances.

    rows: of the index; listed: the table of labelled images, with mask and instances; spec: the
    block of the data set, with its folders; root: the folder that masks are relative to. Raises
    UserError as the reader's `true_instances`.
    """
    listed = listed.set_index("image", drop=False)
    own = rows[rows["image"].isin(listed.index)].reset_index(drop=True)
    masks = listed.loc[own["image"]].reset_index(drop=True)
    found = reader_module(spec.kind).true_instances(spec, root, masks, own, classes)
    for image, size, instances in zip(own["image"], sizes_of(own), found, strict=True):
        if instances is not None:
            yield entry(image, instances, size)
