"""P-NOC: P-OC against a classifier that learns from what the erasing leaves over.

Source: David, Pedrini & Dias, "P-NOC" (arXiv 2305.12522), section 3.2, eq. 2 and 3, algorithm 1. At
every `k_noc`-th step the ordinary classifier takes a step of its own: from the images without the
places where ψ(A^r) > δ_noc, to all tags. Its mask is of the maps from before the network's update,
as in the algorithm, and takes in no gradient; its optimizer is like the network's, with its own
state. It stays in evaluation mode: its batch norm is fixed.

ψ in this mask is over each image's own maximum, as in the public code. Differs from it: the steps
that teach are 0, k, 2k, …, as in the algorithm (i mod k = 0), there k − 1, 2k − 1, …; `lambda_noc`
ends at 1, there at 0.5 unless told otherwise.
"""

from torch import Tensor

from tags2masks.classifiers import vanilla
from tags2masks.classifiers.occse import draw_class, drawn_loss, erase, hard_share
from tags2masks.classifiers.poc import poc_losses
from tags2masks.classifiers.puzzle import merge, tile
from tags2masks.config.classifiers import Pnoc
from tags2masks.nets.classifier import Classifier
from tags2masks.training import Moment

build = vanilla.build

ORDINARY_LEARNS = True


def step(
    network: Classifier, batch: list[Tensor], moment: Moment, spec: Pnoc
) -> dict[str, Tensor | float]:
    """The losses on a batch: images [B, 3, S, S] in 0 to 255 and multi-hot tags [B, K].

    "second_loss", which the ordinary classifier descends, is "noc" times "lambda_noc"; it is absent
    where the classifier rests.
    """
    images, tags = batch
    images = images.float() / 255
    maps, of_tiles = network.score_all(images, tile(images))
    drawn = draw_class(tags, moment.uniform(len(tags)))
    weight, limit = (moment.weight(ramp, spec) for ramp in (spec.lambda_noc, spec.delta_noc))
    figures = {"lambda_noc": weight, "delta_noc": limit, "k_noc": float(spec.k_noc)}
    # Before it is consulted: several processes write its batch norm anew when it learns, which must
    # not happen between a use of it and the gradient through that use.
    if moment.number % spec.k_noc == 0:
        share = hard_share(maps.detach(), drawn, images.shape[-2:], limit)
        seen = moment.second(erase(images, share, spec.backbone.mean))
        noc = drawn_loss(seen, tags, drawn, spec.label_smoothing)
        figures |= {"second_loss": weight * noc, "noc": noc}
    return poc_losses(images, maps, merge(of_tiles), tags, drawn, moment, spec) | figures
