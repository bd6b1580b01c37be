"""Mean-field inference of dense conditional random fields in torch, on any device.

The formulation of pydensecrf: kernels on the permutohedral lattice, each normalised symmetrically,
and Potts' compatibility. Probabilities differ by rounding, and labels with them where two are as
probable.
"""

import numpy as np
import torch
from torch import Tensor

from tags2masks.config.crf import DenseCrf
from tags2masks.masks.permutohedral import Lattice, build, filtered


@torch.inference_mode()
def mean_field(image: np.ndarray, unary: np.ndarray, spec: DenseCrf) -> np.ndarray:
    """Probabilities of L labels at each pixel, float32 [L, H, W], computed on `spec.device`.

    image: uint8 [H, W, 3]; unary: float32 [L, H · W], energies −log p.
    Raises UserError as `permutohedral.build`.
    """
    (height, width), device = image.shape[:2], spec.device
    pixels = torch.from_numpy(image.reshape(-1, 3).astype(np.float32)).to(device)
    rows, columns = torch.meshgrid(
        torch.arange(height, device=device), torch.arange(width, device=device), indexing="ij"
    )
    places = torch.stack([columns, rows], -1).reshape(-1, 2).float()
    colours = pixels / spec.bilateral.srgb
    kernels = [
        (spec.gaussian.compat, *_kernel(places / spec.gaussian.sxy)),
        (spec.bilateral.compat, *_kernel(torch.cat([places / spec.bilateral.sxy, colours], 1))),
    ]
    evidence = -torch.from_numpy(np.array(unary.T, np.float32, order="C")).to(device)
    belief = evidence.softmax(1)
    for _ in range(spec.iterations):
        logits = evidence
        for weight, lattice, norm in kernels:
            logits = logits + weight * norm * filtered(lattice, norm * belief)
        belief = logits.softmax(1)
    return belief.T.reshape(-1, height, width).cpu().numpy()


def _kernel(features: Tensor) -> tuple[Lattice, Tensor]:
    """A lattice, and the root of the inverse sum of each point's weights: [N, 1]."""
    lattice = build(features)
    sums = filtered(lattice, torch.ones_like(features[:, :1]))
    return lattice, (sums + 1e-20).rsqrt()
