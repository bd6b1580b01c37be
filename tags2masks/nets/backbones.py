"""timm networks as feature extractors, with their weights from a file, the hub or chance."""

import difflib
import pickle
from pathlib import Path

import timm
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from tags2masks.config.training import Backbone
from tags2masks.errors import UserError
from tags2masks.nets.convnet import ConvNet


def create_backbone(backbone: Backbone) -> nn.Module:
    """A timm network without its head, or our `convnet`, with random weights.

    Its `forward_features` gives [B, C, H/stride, W/stride].
    Raises UserError for an unknown name or arguments that the network does not take.
    """
    if backbone.name == "convnet":
        try:
            return ConvNet(**backbone.args)
        except (TypeError, ValueError) as error:
            raise UserError(f"backbone.args: {backbone.args} make no convnet ({error})") from None
    check_name(backbone.name)
    stride = {} if backbone.output_stride == 32 else {"output_stride": backbone.output_stride}
    try:
        return timm.create_model(
            backbone.name, num_classes=0, global_pool="", **stride, **backbone.args
        )
    except (TypeError, NotImplementedError, AssertionError, ValueError) as error:
        raise UserError(
            f"backbone.name: {backbone.name} takes no output_stride {backbone.output_stride} "
            f"or args {backbone.args} ({error}); try output_stride 32 or other args"
        ) from None


def check_name(name: str) -> None:
    """Raises UserError when timm has no such network."""
    if not timm.is_model(name):
        near = difflib.get_close_matches(name, timm.list_models(), n=3)
        raise UserError(
            f"backbone.name: timm has no '{name}'; "
            + (f"did you mean {', '.join(near)}?" if near else "see timm.list_models()")
        )


def load_initial_weights(network: nn.Module, backbone: Backbone) -> None:
    """Fill a timm network with the weights its config names; null leaves it as it is.

    Raises UserError naming the file, or the hub's answer.
    """
    if backbone.weights == "pretrained":
        try:
            state = timm.create_model(backbone.name, pretrained=True, **backbone.args).state_dict()
        except (OSError, RuntimeError) as error:
            raise UserError(
                f"backbone.weights: timm's hub gave no weights for {backbone.name} ({error}); "
                "download them elsewhere and give the file's path"
            ) from None
        fill(network, state, f"timm's {backbone.name}")
    elif backbone.weights:
        fill(network, read_weights(backbone.weights), backbone.weights)


def read_weights(path: Path | str, mend: str = "check backbone.weights") -> dict[str, Tensor]:
    """A state dict from a .safetensors or .pth file; never runs code from the file.

    Raises UserError when the file is absent or damaged, with `mend` as the way out, or would run
    code.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"{path}: no such weights file; {mend}")
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        state = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:
        raise UserError(
            f"{path}: not a plain file of weights: loading it could run code, which is refused; "
            "save the state dict alone, best as .safetensors"
        ) from None
    except (SafetensorError, RuntimeError, EOFError, ValueError) as error:
        raise UserError(f"{path}: not a readable weights file ({error}); {mend}") from None
    state = state.get("state_dict", state) if isinstance(state, dict) else state
    if not isinstance(state, dict) or not all(isinstance(v, Tensor) for v in state.values()):
        raise UserError(f"{path}: holds no state dict; save model.state_dict()")
    return state


def fill(network: nn.Module, state: dict[str, Tensor], source: str) -> None:
    """Copy a state dict into a network that may have fewer layers (no head), but no others.

    Raises UserError when the network has a tensor that the state lacks or that is of another shape.
    """
    own = network.state_dict()
    for name, tensor in own.items():
        if name not in state:
            if name.endswith("num_batches_tracked"):
                continue
            raise UserError(f"{source}: has no '{name}'; these weights are for another network")
        if state[name].shape != tensor.shape:
            raise UserError(
                f"{source}: '{name}' is {list(state[name].shape)}, the network needs "
                f"{list(tensor.shape)}; these weights are for another network"
            )
    network.load_state_dict({k: v for k, v in state.items() if k in own}, strict=False)


class Normalize(nn.Module):
    """Images in 0 to 1 less their channel means, over their deviations."""

    def __init__(self, backbone: Backbone):
        super().__init__()
        self.register_buffer("mean", torch.tensor(backbone.mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(backbone.std).view(1, 3, 1, 1), persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """images: [B, 3, H, W] in 0 to 1."""
        return (images - self.mean) / self.std
