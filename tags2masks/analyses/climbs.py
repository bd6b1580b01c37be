"""Features of images and along AdvCAM's climbs, in two dimensions.

Source: Lee, "Label-Efficient Learning for Object Recognition" (PhD thesis, 2023), section 3.3.4 and
figure 3.9: t-SNE of the pooled features of images that show one class alone, which the classifier
takes for it, and of an image of each class along 20 steps of its climb.

The thesis has two classes and a "representative" image of each. Here that is the image whose
features are nearest to the mean of its class's. Images are whole, resized as in validation; climbs
are at this size, without the mirror image.
"""

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from tags2masks.config.climbing import AdvCam
from tags2masks.errors import UserError
from tags2masks.maps.advcam import ascend
from tags2masks.nets.classifier import Classifier

COLUMNS = ("kind", "image", "class", "step", "x", "y")
IMAGE, CLIMB = "image", "climb"


def taken_rightly(logits: Tensor, number: int) -> Tensor:
    """Whether a class has the highest logit of an image and is above 0: bool [N] of [N, K]."""
    return (logits.argmax(1) == number) & (logits[:, number] > 0)


def representative(features: Tensor) -> int:
    """The row of features [N, C] that is nearest to their mean."""
    return int((features - features.mean(0)).norm(dim=1).argmin())


def along_climb(
    network: Classifier, image: Tensor, number: int, spec: AdvCam, steps: int
) -> Tensor:
    """The pooled features [T, C] of the images after each step of a climb, without the first.

    image: [1, 3, H, W] in 0 to 1; number: of the class; steps: T.
    """
    classes = torch.tensor([number], device=image.device)
    mean, std = network.normalize.mean, network.normalize.std
    climbed = [views for _, views in ascend(network, image, classes, steps, spec)]
    with torch.no_grad():
        seen = [network.features(views * std + mean) for views in climbed[1:]]
        return torch.cat([features.mean((2, 3)) for features in seen])


def climb_table(
    network: Classifier,
    images: dict[int, tuple[Sequence[str], Tensor]],
    classes: Sequence[str],
    spec: AdvCam,
    steps: int,
    embedded: Callable[[np.ndarray], np.ndarray],
) -> pd.DataFrame:
    """Rows (COLUMNS) of the images and of the climbs, whose step 0 is an image's own place.

    images: by the number of their class, names and images [N, 3, H, W] in 0 to 1; classes: all
    names. embedded: from features [n, C] to places [n, 2].
    Raises UserError for a class without an image that is taken for it.
    """
    features, rows, starts = [], [], []
    for number, (names, pixels) in images.items():
        with torch.no_grad():
            cells = network.features(pixels)
            found, right = cells.mean((2, 3)), taken_rightly(network.logits(cells), number)
        if not right.any():
            raise UserError(
                f"evaluation.climbs.classes: the classifier takes no image of "
                f"'{classes[number]}' for it; take another class, or train longer"
            )
        kept = right.nonzero().flatten().tolist()
        first = kept[representative(found[right])]
        starts.append((number, names[first], pixels[first : first + 1]))
        features.append(found[right])
        rows += [(IMAGE, names[row], classes[number], 0) for row in kept]
    for number, name, image in starts:
        features.append(along_climb(network, image, number, spec, steps))
        rows += [(CLIMB, name, classes[number], step) for step in range(1, steps + 1)]
    table = pd.DataFrame(rows, columns=list(COLUMNS[:4]))
    table[["x", "y"]] = embedded(torch.cat(features).float().cpu().numpy())
    own = table[table["kind"] == IMAGE].set_index("image")[["x", "y"]]
    first_places = pd.DataFrame(
        [(CLIMB, name, classes[number], 0, *own.loc[name]) for number, name, _ in starts],
        columns=list(COLUMNS),
    )
    table = pd.concat([table, first_places], ignore_index=True)
    return table.sort_values(["kind", "class", "image", "step"], kind="stable", ascending=True)
