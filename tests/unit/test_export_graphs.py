"""Networks as ONNX and as torch.export's programs: the same numbers at any size."""

import json

import numpy as np
import pytest
import torch
from timm.layers import Conv2dSame
from torch import nn

from tags2masks.config.methods import METHODS
from tags2masks.errors import UserError
from tags2masks.export import graphs
from tests.unit.tiny import CLASSES, built, small

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")

# Of one image and several; odd, a side of whole cells, long, and less than a cell.
SIZES = ((1, 33, 47), (3, 64, 128), (2, 101, 37), (1, 41, 250))
TINY = (1, 1, 40)
PADDED = {"args": {"pad_type": "same"}}


def resnet(stride):
    return {"backbone": {"name": "test_resnet", "output_stride": stride}}


def same_padded(stride):
    """A network of TensorFlow's padding, which timm computes from each map's size."""
    return {"backbone": {"name": "test_efficientnet", "output_stride": stride} | PADDED}


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A function that gives a network, and the files of its graphs, made once."""
    made = {}

    def give(method, changes):
        key = json.dumps([method, changes])
        if key not in made:
            folder = tmp_path_factory.mktemp("graphs")
            network = built("segmenters", small(METHODS["segmenters"][method], **changes))
            program = graphs.traced(network, network.stride)
            graphs.write_onnx(folder / "model.onnx", program, CLASSES)
            graphs.write_pt2(folder / "model.pt2", program)
            made[key] = network, folder
        return made[key]

    return give


def images_of(batch, height, width):
    return torch.rand(batch, 3, height, width, generator=torch.Generator().manual_seed(1))


FAST = ("deeplabv2", resnet(8))


@pytest.mark.parametrize(
    ("method", "changes"),
    [
        FAST,
        pytest.param("deeplabv3plus", resnet(16), marks=pytest.mark.slow),
        pytest.param("deeplabv2", {"backbone": {"name": "test_vit"}}, marks=pytest.mark.slow),
        pytest.param("deeplabv2", same_padded(8), marks=pytest.mark.slow),
        pytest.param("upernet", resnet(32), marks=pytest.mark.slow),
    ],
)
@torch.no_grad()
def test_graphs_give_the_networks_logits_at_any_size(files, method, changes):
    network, folder = files(method, changes)
    session = onnxruntime.InferenceSession(folder / "model.onnx")
    program = torch.export.load(folder / "model.pt2").module()
    for size in (*SIZES, TINY):
        images = images_of(*size)
        known = network(images)
        assert known.shape == (size[0], len(CLASSES) + 1, *size[1:])
        (logits,) = session.run(None, {"images": images.numpy()})
        np.testing.assert_allclose(logits, known, rtol=0, atol=1e-4)
        if min(size[1:]) > network.stride:
            np.testing.assert_allclose(program(images), known, rtol=0, atol=1e-5)


def test_the_graph_names_its_ends_and_classes(files):
    model = onnx.load(files(*FAST)[1] / "model.onnx")
    assert [each.name for each in model.graph.input] == ["images"]
    assert [each.name for each in model.graph.output] == ["logits"]
    said = {each.key: each.value for each in model.metadata_props}
    assert json.loads(said["classes"]) == CLASSES
    sides = model.graph.input[0].type.tensor_type.shape.dim
    assert [side.dim_value for side in sides] == [0, 3, 0, 0]  # 0: any


def test_a_graph_of_another_network_is_refused(files):
    network, folder = files(*FAST)
    assert graphs.check_onnx(folder / "model.onnx", network) < 1e-6

    class Moved(nn.Module):
        def forward(self, images):
            logits = network(images)
            return logits + torch.arange(logits.shape[1]).view(-1, 1, 1) / 100

    with pytest.raises(
        UserError, match=r"^--format onnx: its probabilities differ .* by \d\.\de-0"
    ):
        graphs.check_onnx(folder / "model.onnx", Moved())


def test_a_network_that_looks_at_values_is_refused():
    class Looks(nn.Module):
        def forward(self, images):
            return images if images.mean() > 0 else -images

    with pytest.raises(UserError, match=r"^--format: torch\.export cannot follow this network \("):
        graphs.traced(Looks(), 8)


def test_windows_of_each_size_are_refused():
    graphs.check_network("upernet", "resnet50")
    said = r"^--format: the windows of swin_tiny_patch4_window7_224 are cut for each image size"
    with pytest.raises(UserError, match=said):
        graphs.check_network("upernet", "swin_tiny_patch4_window7_224")
    with pytest.raises(UserError, match=r"^--format: dpt is exported as weights alone, as "):
        graphs.check_network("dpt", "vit_base_patch16_224")


def test_absent_packages_are_named(monkeypatch):
    monkeypatch.setattr(graphs, "find_spec", lambda name: None if name == "onnxscript" else "there")
    said = r"^--format onnx: onnxscript not installed; pip install 'tags2masks\[onnx\]'$"
    with pytest.raises(UserError, match=said):
        graphs.check_onnx_is_installed()


@pytest.mark.parametrize("size", [(1, 1), (3, 5), (7, 11), (12, 4)])
@pytest.mark.parametrize("cells", [(2, 2), (3, 6)])
def test_pools_as_products_are_those_of_torch(size, cells):
    maps = images_of(2, *size)
    pooled = graphs._Pool(cells)(maps)
    np.testing.assert_allclose(pooled, nn.AdaptiveAvgPool2d(cells)(maps), rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("kernel", "stride", "dilation"), [(3, 1, 1), (3, 2, 1), (5, 2, 1), (5, 1, 2), (1, 2, 1)]
)
def test_fixed_padding_is_timms_for_maps_of_whole_strides(kernel, stride, dilation):
    network = nn.Sequential(Conv2dSame(3, 4, kernel, stride, dilation=dilation))
    plain = graphs._with_plain_parts(network)
    assert not any(isinstance(module, Conv2dSame) for module in plain.modules())
    maps = torch.rand(2, 3, 6, 10)
    torch.testing.assert_close(plain(maps), network(maps), rtol=0, atol=1e-6)
