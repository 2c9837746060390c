"""Tables 7-10 at the paper's size: output shapes and parameter counts, worked out by hand.

The networks stand on the meta device, so shapes are computed and no numbers are.
"""

from __future__ import annotations

from collections.abc import Iterable

import pytest
import torch
from torch import nn

from sgseg.models import SPNN, ACHead, GraphNeck
from sgseg.models.decode_heads.ac_head import RasterBlock

N, SIZE = 200, 128


def parameters(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def shapes(net: nn.Module, layers: Iterable[nn.Module], x: torch.Tensor, *rest: int) -> list:
    """Shape behind each of ``layers``, without the batch, when ``net`` runs on ``x``."""
    found: list[tuple[int, ...]] = []
    hooks = [
        layer.register_forward_hook(lambda module, given, out: found.append(tuple(out.shape[1:])))
        for layer in layers
    ]
    net(x, *rest)
    for hook in hooks:
        hook.remove()
    return found


def spnn(bands: int) -> SPNN:
    with torch.device("meta"):
        return SPNN(bands, num_superpixels=N, base_channels=64)


def head(bands: int, classes: int) -> ACHead:
    with torch.device("meta"):
        return ACHead(64 + bands, classes, image_channels=bands)


@pytest.mark.parametrize("bands, last", [(3, 203), (4, 204)])
def test_table7_shapes(bands: int, last: int) -> None:
    """SPNN's layers have the sizes of Table 7; N + bands channels come out."""
    net = spnn(bands)
    image = torch.empty(1, bands, SIZE, SIZE, device="meta")
    widths = [64, 128, 256, 512, 1536, 512, last]
    expected = [(width, SIZE, SIZE) for width in widths]
    assert shapes(net, [*net.trunk, net.classifier], image) == expected
    found = net(image)
    assert found.assignment.shape == (1, 200, SIZE, SIZE)
    assert found.feature.shape == (1, 512, SIZE, SIZE)
    assert found.reconstruction.shape == (1, bands, SIZE, SIZE)


@pytest.mark.parametrize(
    "bands, first, last, total",
    [
        (3, 5 * 5 * 3 * 64 + 2 * 64, 512 * 203 + 203, 8_753_419),
        (4, 5 * 5 * 4 * 64 + 2 * 64, 512 * 204 + 204, 8_755_532),
    ],
)
def test_table7_parameters(bands: int, first: int, last: int, total: int) -> None:
    """Each layer of SPNN has the weights of Table 7, with BN and without biases before it."""
    net = spnn(bands)
    expected = [
        first,
        3 * 3 * 64 * 128 + 2 * 128,
        3 * 3 * 128 * 256 + 2 * 256,
        3 * 3 * 256 * 512 + 2 * 512,
        3 * (3 * 3 * 512 + 512),  # three depthwise convolutions with bias
        3 * 3 * 1536 * 512 + 2 * 512,
        last,
    ]
    assert [parameters(layer) for layer in (*net.trunk, net.classifier)] == expected
    assert parameters(net) == sum(expected) == total


def test_table7_depthwise_dilations() -> None:
    """DWA [1,2,4]: three depthwise 3x3 convolutions with these dilations."""
    branches = spnn(3).trunk[4].branches
    assert [branch.dilation for branch in branches] == [(1, 1), (2, 2), (4, 4)]
    assert all(branch.groups == 512 and branch.kernel_size == (3, 3) for branch in branches)


@pytest.mark.parametrize("width", [517, 518])
def test_table8_shapes(width: int) -> None:
    """The graph network's layers have the sizes of Table 8, for RGB and RGBIR nodes."""
    net = GraphNeck(width).eval()
    nodes = torch.randn(1, 24, width)
    layers = [net.stem, *net.blocks, *net.fuse]
    widths = [64, 64, 64, 64, 64, 256, 128, 64]
    assert shapes(net, layers, nodes) == [(24, w) for w in widths]
    assert net.fuse[0].linear.in_features == 4 * 64


@pytest.mark.parametrize("width, stem", [(517, 517 * 64 + 2 * 64), (518, 518 * 64 + 2 * 64)])
@pytest.mark.parametrize(
    "block, each",
    [
        ("PointNetBlock", 64 * 64 + 2 * 64),
        ("DGCNNBlock", 128 * 64 + 2 * 64),
        ("DiffGCNBlock", 192 * 64 + 2 * 64),
    ],
)
def test_table8_parameters(block: str, each: int, width: int, stem: int) -> None:
    """Each layer of the graph network has the weights of Table 8 and Eq 14, 15 or 16."""
    with torch.device("meta"):
        net = GraphNeck(width, block=dict(type=block))
    expected = [
        stem,
        *(4 * [each]),
        256 * 256 + 2 * 256,
        256 * 128 + 2 * 128,
        128 * 64 + 64,
    ]
    assert [parameters(layer) for layer in (net.stem, *net.blocks, *net.fuse)] == expected
    assert parameters(net) == sum(expected)


def test_table8_total() -> None:
    """The paper's graph network for COCO-Stuff has 190,208 parameters."""
    with torch.device("meta"):
        assert parameters(GraphNeck(517)) == 190_208


@pytest.mark.parametrize("narrow, wide", [(64, 128), (128, 128), (128, 256), (256, 512)])
def test_table9_shapes_and_parameters(narrow: int, wide: int) -> None:
    """A residual block is AC, 1x1, then twice two 1x1, each of the block's output width."""
    with torch.device("meta"):
        block = RasterBlock(narrow, wide, shift=True, include_centre=True)
        x = torch.empty(1, narrow, 64, 64)
    layers = [block.raster, block.mix, block.refine[0], block.refine[1]]
    assert shapes(block, layers, x, 1) == 4 * [(wide, 64, 64)]
    assert block(x, 1).shape == (1, wide, 64, 64)
    assert parameters(block.raster) == 3 * 3 * narrow * wide
    assert parameters(block.norm) == 2 * wide
    assert parameters(block.mix) == wide * wide + 2 * wide
    pair = (wide * wide + 2 * wide) + (wide * wide + wide)
    assert [parameters(refine) for refine in block.refine] == [pair, pair]
    assert parameters(block) == 9 * narrow * wide + 2 * wide + wide * wide + 2 * wide + 2 * pair


@pytest.mark.parametrize("bands, classes, outputs", [(3, 15, 18), (4, 6, 10)])
def test_table10_shapes(bands: int, classes: int, outputs: int) -> None:
    """The head halves the image once, and comes back to full size with K + bands channels."""
    net = head(bands, classes)
    x = torch.empty(1, 64 + bands, SIZE, SIZE, device="meta")
    layers = [*net.stem, *net.blocks, *net.classifier, net.to_image]
    half = [(w, 64, 64) for w in (64, 128, 128, 256, 512, outputs, outputs)]
    expected = 3 * [(64, SIZE, SIZE)] + half + [(bands, SIZE, SIZE)]
    assert shapes(net, layers, x, 1) == expected
    view = net(x, 1)
    assert view.probability.shape == (1, classes, SIZE, SIZE)
    assert view.reconstruction.shape == (1, bands, SIZE, SIZE)


@pytest.mark.parametrize(
    "bands, classes, stem, first, second, image, total",
    [
        # RGB, COCO-Stuff: 15 classes + 3 bands = 18 outputs
        (
            *(3, 15, 3 * 3 * 67 * 64 + 2 * 64),
            *(512 * 18 + 18, 18 * 18 + 18, 3 * 3 * 18 * 3 + 3),
            3_557_009,
        ),
        # RGBIR, Potsdam: 6 classes + 4 bands = 10 outputs
        (
            *(4, 6, 3 * 3 * 68 * 64 + 2 * 64),
            *(512 * 10 + 10, 10 * 10 + 10, 3 * 3 * 10 * 4 + 4),
            3_553_124,
        ),
    ],
)
def test_table10_parameters(
    bands: int, classes: int, stem: int, first: int, second: int, image: int, total: int
) -> None:
    """Each layer of the head has the weights of Tables 9 and 10."""
    net = head(bands, classes)
    blocks = [
        # AC, BN, (1x1, BN), 2 x (1x1, BN, 1x1 with bias)
        9 * 64 * 128 + 256 + 128 * 128 + 256 + 2 * (2 * 128 * 128 + 256 + 128),
        9 * 128 * 128 + 256 + 128 * 128 + 256 + 2 * (2 * 128 * 128 + 256 + 128),
        9 * 128 * 256 + 512 + 256 * 256 + 512 + 2 * (2 * 256 * 256 + 512 + 256),
        9 * 256 * 512 + 1024 + 512 * 512 + 1024 + 2 * (2 * 512 * 512 + 1024 + 512),
    ]
    assert parameters(net.stem) == stem
    assert [parameters(block) for block in net.blocks] == blocks
    assert [parameters(layer) for layer in net.classifier] == [first, second]
    assert parameters(net.to_image) == image
    assert parameters(net) == stem + sum(blocks) + first + second + image == total
