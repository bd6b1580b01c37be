"""Hard candidates: those that the ordinary classifier takes for a class, the surest first.

Source: Lee, "Label-Efficient Learning for Object Recognition" (PhD thesis, 2023), section 4.3.1;
Lee et al., CVPR 2022. Candidates with p(c) ≥ 0.5 for some class c are kept, and ranked by p.

The papers do not say what an image with several such classes counts as: here it is one candidate,
of its likeliest class. Images are seen whole, at the mean of the classifier's training sizes, as
those of val are.
"""

import numpy as np
import pandas as pd
from torch import Tensor

from tags2masks.config.ood import Ranked
from tags2masks.errors import UserError


def rank(logits: Tensor, images: list[str], classes: list[str], spec: Ranked) -> pd.DataFrame:
    """The ranked candidates: image, class and score, the highest score first, ties by name.

    logits: [N, K], of the candidates named images.
    Raises UserError if no score reaches `min_score`.
    """
    scores, best = logits.double().sigmoid().max(1)
    table = pd.DataFrame(
        {
            "image": images,
            "class": np.array(classes, object)[best.numpy()],
            "score": scores.numpy(),
        }
    )
    ranked = table[table["score"] >= spec.min_score]
    if ranked.empty:
        raise UserError(
            f"no candidate scores {spec.min_score:g} or more (the highest of {len(images)}: "
            f"{table['score'].max():.3f}); lower ood.min_score, or take other candidates"
        )
    ranked = ranked.sort_values(["score", "image"], ascending=[False, True])
    if spec.per_class is not None:
        ranked = ranked.groupby("class", sort=False).head(spec.per_class)
    return ranked.reset_index(drop=True)
