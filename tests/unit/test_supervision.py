"""What labels cost, and how supervision is named."""

import pytest

from tags2masks.supervision import label_cost, supervision_text


@pytest.mark.parametrize(
    ("sources", "labelled", "said", "cost"),
    [
        (["tags"], 0, "tags", 20),
        (["tags", "ood"], 0, "tags + ood", 20),
        (["boxes"], 0, "boxes", 38.1),
        (["tags", "boxes"], 0, "boxes", 38.1),
        (["masks"], 100, "masks", 239.7),
        (["masks"], 12, "12 masks", 0.12 * 239.7),
        (["tags", "masks"], 12, "tags + 12 masks", 0.12 * 239.7 + 0.88 * 20),
        (["tags", "saliency"], 0, "tags + saliency", 20),
        (["tags", "segments"], 0, "tags + segments", 20),
        ([], 0, "none", 0),
    ],
)
def test_words_and_seconds_of_100_images(sources, labelled, said, cost):
    assert supervision_text(sources, labelled, 100) == said
    assert label_cost(sources, labelled, 100) == pytest.approx(cost)
