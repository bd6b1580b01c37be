"""ResNet-38d: the wide residual network A1, with its last stages dilated instead of strided.

Source: Wu, Shen & van den Hengel, "Wider or deeper" (Pattern Recognition 2019), model A1; the
dilations are those of AffinityNet (Ahn & Kwak, CVPR 2018) and SEAM, whose public code trains with
the first convolution and all of batch norm fixed. Here `freeze_bn` fixes batch norm's statistics.
"""

import re

import torch.nn.functional as F
from torch import Tensor, nn

# Of each stage: blocks, stride, dilation of the first block's first convolution and of the others.
PLAIN = ((3, 2, 1, 1), (3, 2, 1, 1), (6, 2, 1, 1), (3, 1, 1, 2))


class Block(nn.Module):
    """Batch norm, ReLU and convolution, two or three times, beside a shortcut.

    channels: before, between (one or two numbers) and after; kernels: one for each convolution.
    The shortcut is a 1 × 1 convolution of the activated input where `projected`.
    """

    def __init__(self, channels, kernels, dilations, stride=1, dropout=0.0, projected=False):
        super().__init__()
        layers = zip(channels, channels[1:], kernels, dilations, strict=False)
        self.norms = nn.ModuleList([nn.BatchNorm2d(before) for before in channels[:-1]])
        self.convolutions = nn.ModuleList(
            nn.Conv2d(
                before,
                after,
                kernel,
                stride=stride if place == 0 else 1,
                padding=dilation * (kernel // 2),
                dilation=dilation,
                bias=False,
            )
            for place, (before, after, kernel, dilation) in enumerate(layers)
        )
        self.dropout = nn.Dropout2d(dropout)
        self.shortcut = (
            nn.Conv2d(channels[0], channels[-1], 1, stride, bias=False) if projected else None
        )

    def activated(self, features: Tensor) -> Tensor:
        """The input of the block's convolutions: the block's input after batch norm and ReLU."""
        return F.relu(self.norms[0](features))

    def forward(self, features: Tensor) -> Tensor:
        return self.from_activated(features, self.activated(features))

    def from_activated(self, features: Tensor, within: Tensor) -> Tensor:
        """The block's output from its input and the result of `activated`."""
        beside = features if self.shortcut is None else self.shortcut(within)
        within = self.convolutions[0](within)
        for norm, convolution in zip(self.norms[1:], self.convolutions[1:], strict=True):
            within = convolution(self.dropout(F.relu(norm(within))))
        return beside + within


class ResNet38d(nn.Module):
    """Features [B, 64·width, ⌈H/8⌉, ⌈W/8⌉] of normalised images [B, 3, H, W].

    width: channels of the first convolution; published weights have 64, so 4096 features.
    Raises ValueError when it is below 8: there torch 2.12 corrupts memory in the gradient of
    strided 1 × 1 convolutions (on CPUs, channels last).
    """

    def __init__(self, width: int = 64):
        super().__init__()
        if width < 8:
            raise ValueError("width must be at least 8")
        between = [2 * width, 4 * width, 8 * width, 8 * width]
        after = [2 * width, 4 * width, 8 * width, 16 * width]
        self.stem = nn.Conv2d(3, width, 3, padding=1, bias=False)
        self.stages, before = nn.ModuleList(), width
        for (blocks, stride, first, dilation), mid, out in zip(PLAIN, between, after, strict=True):
            stage = nn.Sequential(
                Block((before, mid, out), (3, 3), (first, dilation), stride, projected=True)
            )
            for _ in range(1, blocks):
                stage.append(Block((out, mid, out), (3, 3), (dilation, dilation)))
            self.stages.append(stage)
            before = out
        for out, dropout in ((32 * width, 0.3), (64 * width, 0.5)):
            self.stages.append(
                nn.Sequential(
                    Block(
                        (before, out // 4, out // 2, out),
                        (1, 3, 1),
                        (1, 4, 1),
                        dropout=dropout,
                        projected=True,
                    )
                )
            )
            before = out
        self.norm = nn.BatchNorm2d(before)
        # The stages of `forward_intermediates`, in timm's format. As in the public code, they do
        # not include the bottleneck of 32·width channels between the last two.
        self.feature_info = [
            {"num_chs": channels, "reduction": stride, "module": module}
            for channels, stride, module in (
                (2 * width, 2, "stages.0"),
                (4 * width, 4, "stages.1"),
                (8 * width, 8, "stages.2"),
                (16 * width, 8, "stages.3"),
                (64 * width, 8, "norm"),
            )
        ]
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward_features(self, images: Tensor) -> Tensor:
        """images: [B, 3, H, W]. Returns the last features, [B, 64·width, ⌈H/8⌉, ⌈W/8⌉]."""
        return self.forward_intermediates(images, indices=1, intermediates_only=True)[0]

    def forward_intermediates(
        self, images: Tensor, indices: int = 5, intermediates_only: bool = False
    ) -> list[Tensor] | tuple[Tensor, list[Tensor]]:
        """The features of the last `indices` stages, as timm's networks give them.

        images: [B, 3, H, W]. Returns the last features and the list, or the list alone. A stage's
        features are taken after the next stage's batch norm and ReLU, as SEAM and AffinityNet take
        conv4 (8·width channels), conv5 (16·width) and conv6 (64·width).
        Raises ValueError for another number than 1 to 5.
        """
        stages = len(self.feature_info)
        if not 1 <= indices <= stages:
            raise ValueError(f"there are {stages} stages, not {indices}")
        features, outputs = self.stem(images), []
        for place, (first, *others) in enumerate(self.stages):
            within = first.activated(features)
            if stages - indices < place < stages:
                outputs.append(within)
            features = first.from_activated(features, within)
            for block in others:
                features = block(features)
        outputs.append(F.relu(self.norm(features)))
        return outputs if intermediates_only else (outputs[-1], outputs)


LAYERS = {
    "conv_branch1": "shortcut",
    "bn_branch2a": "norms.0",
    "conv_branch2a": "convolutions.0",
    "bn_branch2b1": "norms.1",
    "conv_branch2b1": "convolutions.1",
    "bn_branch2b2": "norms.2",
    "conv_branch2b2": "convolutions.2",
}


def from_published(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """A state dict under our names, from the names of AffinityNet's and SEAM's public code.

    `b4_2.bn_branch2b1.weight` becomes `stages.2.2.norms.1.weight`; the prefixes `module.` and
    `backbone.` are removed. Other names, such as our own and those of heads, are kept.
    """
    return {_our_name(name): tensor for name, tensor in state.items()}


def _our_name(name: str) -> str:
    bare = re.sub(r"^(module\.)?(backbone\.)?", "", name)
    if block := re.fullmatch(r"b([2-7])(?:_(\d))?\.(\w+)\.(\w+)", bare):
        stage, number, layer, tensor = block.groups()
        if layer in LAYERS:
            return f"stages.{int(stage) - 2}.{number or 0}.{LAYERS[layer]}.{tensor}"
    for theirs, ours in (("conv1a.", "stem."), ("bn7.", "norm.")):
        if bare.startswith(theirs):
            return ours + bare.removeprefix(theirs)
    return bare
