"""Features in two dimensions, by t-SNE."""

import numpy as np
from sklearn.manifold import TSNE
from threadpoolctl import threadpool_limits

PERPLEXITY = 30  # scikit-learn's default


def embedded(features: np.ndarray, seed: int) -> np.ndarray:
    """Features [N, C] in two dimensions by t-SNE, [N, 2]; equal features and seed give equal bytes.

    Its perplexity is 30, or a third of the other points where these are fewer than 90.
    """
    perplexity = min(PERPLEXITY, (len(features) - 1) / 3)
    # Several threads add up in the order in which they end, so that results would differ.
    with threadpool_limits(1):
        return TSNE(perplexity=perplexity, random_state=seed).fit_transform(features)
