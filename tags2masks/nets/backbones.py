"""timm networks as feature extractors, with weights from a file, from the hub, or random."""

import difflib
import hashlib
import pickle
import re
from pathlib import Path

import timm
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch import Tensor, nn

from tags2masks.checkpoints import load_plain
from tags2masks.config.training import Backbone
from tags2masks.errors import UserError
from tags2masks.given import is_given
from tags2masks.nets.any_size import on_any_size
from tags2masks.nets.class_tokens import repeat_class_token
from tags2masks.nets.convnet import ConvNet
from tags2masks.nets.resnet38d import ResNet38d, from_published
from tags2masks.nets.vision_transformers import (
    REFUSALS,
    Patches,
    check_colours,
    create_vision_transformer,
    renamed_weights,
)

DIGEST = "sha256"
"""Key of `tensors_digest` in the metadata of our own weights files."""

OWN = {"convnet": ConvNet, "resnet38d": ResNet38d}


def create_backbone(backbone: Backbone) -> nn.Module:
    """A timm network without its head, our `convnet` or `resnet38d`, with random weights.

    Its `forward_features` gives [B, C, H/stride, W/stride]; for a vision transformer see
    `nets/vision_transformers.py`.
    Raises UserError for an unknown name or arguments that the network does not take.
    """
    if backbone.name in OWN:
        if backbone.name == "resnet38d" and backbone.output_stride != 8:
            raise UserError("backbone.output_stride: resnet38d has 8 and no other; set it to 8")
        try:
            return OWN[backbone.name](**backbone.args)
        except (TypeError, ValueError) as error:
            raise UserError(
                f"backbone.args: {backbone.args} make no {backbone.name} ({error})"
            ) from None
    check_name(backbone.name)
    if backbone.patch:
        return create_vision_transformer(backbone)
    stride = {} if backbone.output_stride == 32 else {"output_stride": backbone.output_stride}
    try:
        network = timm.create_model(
            backbone.name, num_classes=0, global_pool="", **stride, **backbone.args
        )
    except REFUSALS as error:
        raise UserError(
            f"backbone.name: {backbone.name} takes no output_stride {backbone.output_stride} "
            f"or args {backbone.args} ({error}); try output_stride 32 or other args"
        ) from None
    return on_any_size(network)


def feature_shape(backbone: nn.Module, name: str) -> tuple[int, int]:
    """Channels of the last features, and the image pixels per feature.

    Raises UserError for a network whose features are not [B, C, h, w], or that accepts only one
    image size.
    """
    training = backbone.training
    try:
        with torch.no_grad():
            features = backbone.eval().forward_features(torch.zeros(1, 3, 64, 64))
    except (AssertionError, RuntimeError) as error:
        raise UserError(
            f"backbone.name: {name} takes no images of any size ({error}); choose a "
            "convolutional network, or a plain vision transformer such as vit_base_patch16_224"
        ) from None
    backbone.train(training)
    if isinstance(backbone, Patches):
        return features.shape[1], backbone.side
    if features.ndim != 4 or features.shape[-1] > 64:
        raise UserError(
            f"backbone.name: {name} gives features of shape {list(features.shape)}, not a map "
            "[B, C, h, w]; choose a convolutional network, or a plain vision transformer such as "
            "vit_base_patch16_224"
        )
    return features.shape[1], 64 // features.shape[-1]


def stage_channels(backbone: nn.Module, count: int) -> list[int]:
    """The channels of `stage_features`.

    Raises UserError for a network without access to its stages, or with fewer stages.
    """
    known = list(getattr(backbone, "feature_info", []))
    if not hasattr(backbone, "forward_intermediates") or len(known) < count:
        raise UserError(
            f"backbone.name: {type(backbone).__name__} does not give the features of {count} "
            "stages, which this method needs; choose another, such as resnet50 or resnet38d"
        )
    return [stage["num_chs"] for stage in known[-count:]]


def stage_features(backbone: nn.Module, images: Tensor, count: int) -> list[Tensor]:
    """The features of the last `count` stages in one pass, shallow to deep, each [B, C, h, w].

    images: normalised. Stages are those of timm; for `resnet38d` the last 3 are conv4, conv5 and
    conv6, for `resnet50` layer2 to layer4.
    """
    return backbone.forward_intermediates(images, indices=count, intermediates_only=True)


def check_name(name: str) -> None:
    """Raises UserError when timm has no such network, or no such weights of it (`name.tag`)."""
    if name in OWN:
        raise UserError(
            f"backbone.name: {name} is not of timm, whose networks this method needs; choose one "
            "of timm's, or a method that takes any"
        )
    if not timm.is_model(name):
        near = difflib.get_close_matches(name, timm.list_models(), n=3)
        raise UserError(
            f"backbone.name: timm has no '{name}'; "
            + (f"did you mean {', '.join(near)}?" if near else "see timm.list_models()")
        )
    network, _, tag = name.partition(".")
    known = timm.list_models(f"{network}.*", pretrained=True)
    if tag and name not in known:
        raise UserError(
            f"backbone.name: timm has no weights '{tag}' of {network}; it has {', '.join(known)}"
        )


def load_initial_weights(network: nn.Module, backbone: Backbone) -> None:
    """Load the weights that the config names into a network; null keeps the random ones.

    A network with several class tokens gets copies of the one of the weights.
    Raises UserError naming the file, or the hub's error.
    """
    if backbone.weights and getattr(network, "class_tokens", 1) > 1:
        plain = create_backbone(backbone)
        load_initial_weights(plain, backbone)
        repeat_class_token(plain, network.class_tokens, backbone.name)
        fill(network, plain.state_dict(), backbone.weights)
        return
    if backbone.weights == "pretrained":
        if backbone.patch:
            check_colours(backbone)
        try:
            state = timm.create_model(backbone.name, pretrained=True, **backbone.args).state_dict()
        except (OSError, RuntimeError) as error:
            raise UserError(
                f"backbone.weights: timm's hub gave no weights for {backbone.name} ({error}); "
                "download them elsewhere and give the file's path"
            ) from None
        if backbone.patch:
            state = renamed_weights(state, network, f"timm's {backbone.name}")
        fill(network, state, f"timm's {backbone.name}")
    elif backbone.weights:
        state = read_weights(backbone.weights)
        if isinstance(network, ResNet38d):
            state = from_published(state)
        state = _of_prefix(state, backbone.weights_prefix, backbone.weights)
        if backbone.patch:
            state = renamed_weights(state, network, backbone.weights)
        fill(network, state, backbone.weights)


def _of_prefix(state: dict[str, Tensor], prefix: str, source: str) -> dict[str, Tensor]:
    """The tensors whose names begin with the prefix, without it.

    Raises UserError naming the file if there are none.
    """
    inner = {n.removeprefix(prefix): tensor for n, tensor in state.items() if n.startswith(prefix)}
    if not inner:
        raise UserError(
            f"{source}: no tensor's name begins with '{prefix}' (backbone.weights_prefix); the "
            f"first is '{next(iter(state), '')}'"
        )
    return inner


def read_weights(path: Path | str, mend: str = "check backbone.weights") -> dict[str, Tensor]:
    """Read a state dict from a .safetensors or .pth file, without running code from it.

    Raises UserError if the file is absent or damaged, or would run code; mend: what the message
    tells the user to do. Changes in files of `nets.checkpoint.save_model` are detected.
    """
    path = Path(path)
    if not is_given(path):
        raise UserError(f"{path}: no such weights file; {mend}")
    if path.suffix == ".params":
        raise UserError(
            f"{path}: MXNet's format is not read; convert it where mxnet is installed (the public "
            "code of AffinityNet does) and save the state dict as .pth or .safetensors"
        )
    try:
        if path.suffix == ".safetensors":
            return _read_safetensors(path, mend)
        state = load_plain(path)
    except pickle.UnpicklingError:
        raise UserError(
            f"{path}: not a plain file of weights: loading it could run code, which is refused; "
            "save the state dict alone, best as .safetensors"
        ) from None
    except UserError:
        raise
    except (SafetensorError, OSError, ValueError) as error:
        raise UserError(f"{path}: not a readable weights file ({error}); {mend}") from None
    state = state.get("state_dict", state) if isinstance(state, dict) else state
    if not isinstance(state, dict) or not all(
        isinstance(name, str) and isinstance(tensor, Tensor) for name, tensor in state.items()
    ):
        raise UserError(f"{path}: holds no state dict; save model.state_dict()")
    for name, tensor in state.items():
        if tensor.layout != torch.strided or tensor.is_quantized:
            raise UserError(
                f"{path}: '{name}' is sparse or quantised; save plain tensors (to_dense(), "
                "dequantize())"
            )
        if tensor.is_meta:
            raise UserError(f"{path}: '{name}' has no values (device meta); save the weights")
    return state


def _read_safetensors(path: Path, mend: str) -> dict[str, Tensor]:
    with safe_open(path, framework="pt") as file:
        written = (file.metadata() or {}).get(DIGEST)
    state = load_file(path)
    if written not in (None, tensors_digest(state)):
        raise UserError(f"{path}: damaged: not what was written; {mend}")
    return state


def tensors_digest(state: dict[str, Tensor]) -> str:
    """sha256 over the names, types, shapes and values of tensors, in hexadecimal."""
    digest = hashlib.sha256()
    for name, tensor in sorted(state.items()):
        digest.update(f"{name} {tensor.dtype} {list(tensor.shape)}\n".encode())
        digest.update(tensor.contiguous().flatten().view(torch.uint8).numpy())
    return digest.hexdigest()


def fill(network: nn.Module, state: dict[str, Tensor], source: str) -> None:
    """Copy a state dict into a network; tensors that the network does not have are skipped.

    Raises UserError if a tensor of the network is missing in the state or has another shape.
    """
    fitting = {}
    for name, tensor in network.state_dict().items():
        loaded = state.get(name, state.get(_unflattened(name)))
        if loaded is None:
            if name.endswith("num_batches_tracked"):
                continue
            raise UserError(f"{source}: has no '{name}'; these weights are for another network")
        if loaded.shape != tensor.shape:
            raise UserError(
                f"{source}: '{name}' is {list(loaded.shape)}, the network needs "
                f"{list(tensor.shape)}; these weights are for another network"
            )
        fitting[name] = loaded
    network.load_state_dict(fitting, strict=False)


def _unflattened(name: str) -> str:
    """timm's name of a tensor of an encoder, where `stages.0.` is called `stages_0.`."""
    return re.sub(r"^(\w+?)_(\d+)\.", r"\1.\2.", name)


class Normalize(nn.Module):
    """Normalise images in 0 to 1 by channel means and standard deviations."""

    def __init__(self, backbone: Backbone):
        super().__init__()
        self.register_buffer("mean", torch.tensor(backbone.mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(backbone.std).view(1, 3, 1, 1), persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """images: [B, 3, H, W] in 0 to 1."""
        return (images - self.mean) / self.std
