"""Batch norm folded into the convolution before it, for networks that are only looked through."""

from collections import Counter

from torch import fx, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.utils.fusion import fuse_conv_bn_eval


class _Flow(fx.Tracer):
    """Follows a network down to batch norms, and to modules without inner modules."""

    def is_leaf_module(self, module: nn.Module, name: str) -> bool:
        return isinstance(module, _BatchNorm) or not any(module.children())


def fold_batch_norm(backbone: nn.Module) -> int:
    """Fold each batch norm of a frozen backbone whose input is a convolution's output alone.

    backbone: in evaluation mode; changed in place. What `forward_features` gives, or `forward`
    where there is none, stays the same to rounding, and so do its gradients to the images. The
    output of a folded convolution is that of its batch norm, so what lies between the two must not
    be looked at. Names of modules stay: in the place of a batch norm is its activation, or nothing.
    Returns how many were folded: 0 for a network without batch norm, and for one whose course
    depends on the values or sizes of its input, which cannot be followed beforehand.
    Raises ValueError in training mode, where batch norm is no fixed map.
    """
    if backbone.training:
        raise ValueError("batch norm is folded in evaluation mode only")
    flow = _Flow()
    if hasattr(backbone, "forward_features"):
        flow.traced_func_name = "forward_features"
    try:
        graph = flow.trace(backbone)
    except Exception:  # the network's own code meets stand-ins for tensors, and may fail anyhow
        return 0
    calls = Counter(node.target for node in graph.nodes if node.op == "call_module")
    folded = 0
    for node in graph.nodes:
        source = node.args[0] if node.op == "call_module" and node.args else None
        if not isinstance(source, fx.Node) or source.op != "call_module" or len(source.users) != 1:
            continue
        convolution, norm = (backbone.get_submodule(n.target) for n in (source, node))
        if (
            isinstance(convolution, nn.Conv2d)
            and isinstance(norm, _BatchNorm)
            and norm.running_mean is not None
            and calls[source.target] == calls[node.target] == 1
        ):
            backbone.set_submodule(source.target, fuse_conv_bn_eval(convolution, norm))
            # timm's batch norm has its activation within.
            backbone.set_submodule(node.target, getattr(norm, "act", nn.Identity()))
            folded += 1
    return folded
