"""P-NOC: P-OC with an ordinary classifier that is trained on the erased images.

Source: David, Pedrini & Dias, "P-NOC" (arXiv 2305.12522), section 3.2, eq. 2 and 3, algorithm 1. At
every `k_noc`-th step the ordinary classifier is trained too: it should predict all tags from images
in which the pixels with ψ(A^r) > δ_noc are erased. The mask is computed from the maps before the
network's update, as in the algorithm, without a gradient. The ordinary classifier has its own
optimizer with the same settings. It stays in evaluation mode, so its batch norm is fixed.

In this mask ψ is divided by each image's own maximum, as in the public code. Differs from the code:
the ordinary classifier learns at steps 0, k, 2k, … as in the algorithm (i mod k = 0), in the code
at k − 1, 2k − 1, …; `lambda_noc` ends at 1, in the code at 0.5 by default.
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

    "second_loss", the loss of the ordinary classifier, is "noc" times "lambda_noc"; it is absent at
    steps where that classifier does not learn. "lr_noc" is the rate at which its backbone learns in
    effect (figure 7 (a)): the learning rate times "lambda_noc".
    """
    images, tags = batch
    images = images.float() / 255
    maps, of_tiles = network.score_all(images, tile(images))
    drawn = draw_class(tags, moment.uniform(len(tags)))
    weight, limit = (moment.weight(ramp, spec) for ramp in (spec.lambda_noc, spec.delta_noc))
    figures = {"lambda_noc": weight, "delta_noc": limit, "k_noc": float(spec.k_noc)}
    figures["lr_noc"] = weight * moment.rate
    # Before `consult`: with several processes, its training writes batch norm buffers, which must
    # not happen between a forward pass and the backward pass through it.
    if moment.number % spec.k_noc == 0:
        share = hard_share(maps.detach(), drawn, images.shape[-2:], limit)
        seen = moment.second(erase(images, share, spec.backbone.mean))
        noc = drawn_loss(seen, tags, drawn, spec.label_smoothing)
        figures |= {"second_loss": weight * noc, "noc": noc}
    return poc_losses(images, maps, merge(of_tiles), tags, drawn, moment, spec) | figures
