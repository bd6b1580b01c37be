"""DeepLabV3+ (Chen et al., ECCV 2018) of segmentation-models-pytorch on a timm encoder.

Trained with cross entropy on pseudo-masks; pixels of 255 are ignored.
"""

from tags2masks.segmenters.encoder_deeplab import build
from tags2masks.segmenters.learning import step

__all__ = ["build", "step"]
