"""Segmentation networks as graphs for other programs: ONNX, and torch.export's .pt2.

Both take images [B, 3, H, W] in 0 to 1, RGB, of any size, and give logits [B, K+1, H, W] of
background and classes. Normalising, padding and upsampling are part of the graph.
"""

import copy
import json
import math
from collections.abc import Sequence
from importlib.util import find_spec
from operator import floordiv, neg
from pathlib import Path

import torch
from timm.layers import Conv2dSame, get_same_padding
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from tags2masks.errors import UserError

FILES = {"onnx": "model.onnx", "pt2": "model.pt2"}
"""The name of the file of each format."""

WEIGHTS_ALONE = frozenset({"cct", "dpt"})
"""Methods whose graphs are not tested: tracing takes minutes, or does not end."""

LARGEST_DIFFERENCE = 1e-4
"""Of the probabilities of a graph from those of the network."""

SIZES = ((1, 61, 83), (2, 131, 70))
"""Batch, height and width of the images on which graphs are compared with the network."""


def check_network(method: str, name: str) -> None:
    """Raise UserError for a method, or a backbone of timm, that has no graph for any size."""
    if method in WEIGHTS_ALONE:
        raise UserError(
            f"--format: {method} is exported as weights alone, as torch.export is not known to "
            "follow it for any size; leave --format out"
        )
    if name.startswith("swin"):
        raise UserError(
            f"--format: the windows of {name} are cut for each image size, which torch.export "
            "cannot follow; leave --format out, or use another backbone"
        )


def traced(network: nn.Module, stride: int) -> ExportedProgram:
    """The network as torch.export has it, for images of any size of more than one cell.

    network: in evaluation mode, on the CPU; stride: image pixels per cell of its coarsest features.
    Raises UserError for a network that torch.export does not support.
    """
    sizes = {0: Dim.DYNAMIC, 2: Dim.DYNAMIC, 3: Dim.DYNAMIC}
    # Not whole cells, and more than one, so that no special case of either is traced.
    images = torch.rand(2, 3, 2 * stride + 5, 3 * stride - 5)
    try:
        program = torch.export.export(
            _with_plain_parts(network), (images,), dynamic_shapes=(sizes,)
        )
    except Exception as error:  # of many kinds, which torch does not list
        reason = str(error).strip().partition("\n")[0]
        raise UserError(
            f"--format: torch.export cannot follow this network ({type(error).__name__}: "
            f"{reason}); leave --format out, or use another backbone"
        ) from None
    _replace_ceil(program)
    return program


def _replace_ceil(program: ExportedProgram) -> None:
    """Put −(−a // b) in the place of ceil(a / b), which torch.export.save does not know.

    timm's padding of some networks has it.
    """
    graph = program.graph
    for node in [node for node in graph.nodes if node.target is math.ceil]:
        above, below = node.args[0].args
        value = above.meta["val"]
        with graph.inserting_before(node):
            for operation, others in ((neg, ()), (floordiv, (below,)), (neg, ())):
                value = operation(value, *others)
                above = graph.call_function(operation, (above, *others))
                above.meta["val"] = value
        node.replace_all_uses_with(above)
        graph.erase_node(node)
    graph.eliminate_dead_code()


def write_pt2(path: Path, program: ExportedProgram) -> None:
    """Write the program for `torch.export.load`.

    Raises UserError for a network whose sizes are computed by what torch.export cannot write.
    """
    try:
        torch.export.save(program, path)
    except Exception as error:  # of a kind that is not public
        reason = str(error).strip().partition("\n")[0]
        raise UserError(
            f"--format pt2: torch.export cannot write this network ({reason}); leave it out, or "
            "use another backbone"
        ) from None


def check_onnx_is_installed() -> None:
    """Raise UserError if a package that ONNX needs is absent."""
    absent = [name for name in ("onnx", "onnxscript", "onnxruntime") if find_spec(name) is None]
    if absent:
        raise UserError(
            f"--format onnx: {', '.join(absent)} not installed; pip install 'tags2masks[onnx]'"
        )


def write_onnx(path: Path, program: ExportedProgram, classes: Sequence[str]) -> None:
    """Write the program as ONNX, its metadata `classes` a JSON list of their names.

    Beyond 2 GB, which a file of ONNX cannot have, the weights are in a second file.
    """
    graph = torch.onnx.export(
        program, input_names=["images"], output_names=["logits"], verbose=False
    )
    graph.model.metadata_props["classes"] = json.dumps(list(classes), ensure_ascii=False)
    graph.save(path)


def check_onnx(path: Path, network: nn.Module) -> float:
    """The largest difference of probabilities between a file of `write_onnx` and the network.

    On random images of the sizes `SIZES`. Raises UserError if it is above `LARGEST_DIFFERENCE`.
    """
    import onnxruntime  # lazy: an optional dependency

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    largest = 0.0
    for batch, height, width in SIZES:
        images = torch.rand(batch, 3, height, width, generator=torch.Generator().manual_seed(0))
        (logits,) = session.run(None, {"images": images.numpy()})
        with torch.no_grad():
            known = network(images).softmax(1)
        largest = max(largest, (torch.from_numpy(logits).softmax(1) - known).abs().max().item())
    if not largest <= LARGEST_DIFFERENCE:
        raise UserError(
            f"--format onnx: its probabilities differ from the network's by {largest:.1e} (at most "
            f"{LARGEST_DIFFERENCE:.0e}); leave --format onnx out, and use the weights"
        )
    return largest


class _Pool(nn.Module):
    """Adaptive average pooling as two matrix products, which a graph has for any size."""

    def __init__(self, cells: tuple[int, int]):
        super().__init__()
        self.cells = cells

    def forward(self, maps: Tensor) -> Tensor:
        """[B, C, H, W] to [B, C, *cells]."""
        sides = zip(self.cells, maps.shape[-2:], strict=True)
        rows, columns = (_shares(cells, side).to(maps) for cells, side in sides)
        return rows @ maps @ columns.T


def _shares(cells: int, side: int) -> Tensor:
    """The share of each of `side` places in each cell's mean, [cells, side]."""
    cell, place = torch.arange(cells)[:, None], torch.arange(side)
    within = (place >= cell * side // cells) & (place < -((cell + 1) * -side // cells))
    return within / within.sum(1, keepdim=True)


def _with_plain_parts(network: nn.Module) -> nn.Module:
    """A copy whose adaptive pools, and convolutions padded like TensorFlow's, suit torch.export."""
    plain = copy.deepcopy(network)
    for module in list(plain.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, nn.AdaptiveAvgPool2d):
                setattr(module, name, _pool(child))
            elif isinstance(child, Conv2dSame):
                setattr(module, name, _padded(child))
    return plain


def _pool(pool: nn.AdaptiveAvgPool2d) -> nn.Module:
    """The pool, or `_Pool`: torch.export takes the places of cells from the traced image's size."""
    cells = pool.output_size
    cells = (cells, cells) if isinstance(cells, int) else tuple(cells)
    return pool if cells == (1, 1) else _Pool(cells)


def _padded(convolution: Conv2dSame) -> nn.Sequential:
    """The convolution with padding of a fixed size before it, for maps of whole strides.

    Images are padded to whole cells, so all maps are of these. With padding computed from each
    map's size, tracing DeepLab-v3+ on MobileNetV2 did not end in four minutes; so it takes 15 s.
    """
    columns, rows = (
        get_same_padding(convolution.stride[side], convolution.kernel_size[side],
                         convolution.stride[side], convolution.dilation[side])
        for side in (1, 0)
    )  # fmt: skip
    plain = nn.Conv2d(
        convolution.in_channels,
        convolution.out_channels,
        convolution.kernel_size,
        convolution.stride,
        dilation=convolution.dilation,
        groups=convolution.groups,
        bias=convolution.bias is not None,
    )
    plain.load_state_dict(convolution.state_dict())
    sides = (columns // 2, columns - columns // 2, rows // 2, rows - rows // 2)
    return nn.Sequential(nn.ZeroPad2d(sides), plain)
