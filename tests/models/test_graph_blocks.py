"""Graph blocks: equivariance, derivatives, edges that are not kept, types, errors."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from sgseg.cost.measure import saved_bytes
from sgseg.models import DGCNNBlock, DiffGCNBlock, PointNetBlock
from sgseg.ops.graph import gather_neighbours, knn
from tests.models.graphs import BLOCKS, B, C, N, build, cloud, every_block


@every_block
def test_block_keeps_the_shape(config: dict) -> None:
    """(B, N, C) in, (B, N, C) out, finite and rectified."""
    found = build(config)(*cloud())
    assert found.shape == (B, N, C) and found.isfinite().all() and (found >= 0).all()
    assert found.abs().sum() > 0


@every_block
def test_block_does_not_care_for_the_numbering_of_nodes(config: dict) -> None:
    """Renumbering the nodes renumbers the output and changes nothing else."""
    x, pos, neighbours = cloud()
    order = torch.randperm(N, generator=torch.Generator().manual_seed(3))
    new_number = order.argsort()
    block = build(config)
    found = block(x[:, order], pos[:, order], new_number[neighbours[:, order]])
    torch.testing.assert_close(found, block(x, pos, neighbours)[:, order])


@every_block
def test_block_does_not_care_for_the_order_of_neighbours(config: dict) -> None:
    """The aggregation is permutation invariant."""
    x, pos, neighbours = cloud()
    block = build(config)
    expected = block(x, pos, neighbours)
    torch.testing.assert_close(block(x, pos, neighbours.flip(2)), expected)


@every_block
def test_block_keeps_images_apart(config: dict) -> None:
    """In eval mode a batch of two gives what two batches of one give."""
    given, block = cloud(), build(config)
    alone = torch.cat([block(*(t[b : b + 1] for t in given)) for b in range(B)])
    torch.testing.assert_close(block(*given), alone)


@every_block
def test_block_trains_all_its_weights(config: dict) -> None:
    """Every parameter gets a finite gradient, and the graph blocks listen to neighbours."""
    x, pos, neighbours = cloud()
    block = build(config).train()
    block(x, pos, neighbours).square().sum().backward()
    for name, parameter in block.named_parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all(), name
    changed = x.clone()
    changed[:, 0] += 1
    block.eval()
    listens = (neighbours == 0).any(2)
    same = (block(changed, pos, neighbours) - block(x, pos, neighbours)).abs().sum(2) < 1e-12
    others = torch.arange(N).expand(B, N) != 0
    assert same[others & ~listens].all()
    if config["type"] == "PointNetBlock":
        assert same[others].all()
    elif config.get("aggregation") == "mean" or config["type"] == "PyGBlock":
        assert not same[others & listens].all()


@pytest.mark.parametrize("kind", [DGCNNBlock, DiffGCNBlock])
def test_unknown_aggregation_is_refused(kind: type[nn.Module]) -> None:
    """The message names the block and the choices."""
    with pytest.raises(ValueError, match=f"{kind.__name__}: aggregation = 'sum'; choose 'max'"):
        kind(C, "sum")


def test_pointnet_is_graph_free() -> None:
    """PointNet gives the same for any positions and neighbours."""
    x, pos, neighbours = cloud()
    block = build(dict(type="PointNetBlock"))
    assert isinstance(block, PointNetBlock)
    other = block(x, -pos, neighbours.flip(1))
    torch.testing.assert_close(block(x, pos, neighbours), other)


def test_dgcnn_include_self_adds_one_edge() -> None:
    """include_self is the same as naming each node among its own neighbours."""
    x, pos, neighbours = cloud()
    plain, own = build(dict(type="DGCNNBlock")), build(dict(type="DGCNNBlock", include_self=True))
    with_self = torch.cat([neighbours, torch.arange(N).expand(B, N)[..., None]], 2)
    found = own(x, pos, neighbours)
    torch.testing.assert_close(found, plain(x, pos, with_self))
    without = plain(x, pos, neighbours)
    assert (found >= without).all() and (found > without).any()


# DiffGCN's derivatives


def exposing_block() -> DiffGCNBlock:
    """Outputs +dx, -dx, +dy, -dy of channel 0, rectified, with a normalisation that is none."""
    block = DiffGCNBlock(4).double().eval()
    weight = torch.zeros(4, 3, 4, dtype=torch.float64)  # output, (node, dx, dy), input
    weight[0, 1, 0], weight[1, 1, 0], weight[2, 2, 0], weight[3, 2, 0] = 1, -1, 1, -1
    block.linear.weight.data.copy_(weight.flatten(1))
    block.norm.norm.running_var.fill_(1 - block.norm.norm.eps)
    return block


def derivatives(x: Tensor, pos: Tensor, neighbours: Tensor) -> tuple[Tensor, Tensor]:
    """The two derivative parts of channel 0 towards a single neighbour, read off the block."""
    plus_x, minus_x, plus_y, minus_y = exposing_block()(x, pos, neighbours).unbind(2)
    return plus_x - minus_x, plus_y - minus_y


@pytest.mark.parametrize("a, b", [(1.0, 0.0), (0.0, 1.0), (1.5, -0.7)])
def test_derivatives_of_a_linear_field(a: float, b: float) -> None:
    """For F = a x + b y the block sees (a dx + b dy) dx / D and (a dx + b dy) dy / D."""
    x, pos, _ = cloud()
    x[..., 0] = a * pos[..., 0] + b * pos[..., 1]
    neighbours = knn(pos, 1)
    d = pos - gather_neighbours(pos, neighbours)[:, :, 0]
    slope = (a * d[..., 0] + b * d[..., 1]) / d.norm(dim=2)
    along_x, along_y = derivatives(x, pos, neighbours)
    torch.testing.assert_close(along_x, slope * d[..., 0])
    torch.testing.assert_close(along_y, slope * d[..., 1])


def test_swapping_the_axes_swaps_the_derivatives() -> None:
    """Exchanging x and y exchanges the two derivative parts."""
    x, pos, _ = cloud()
    neighbours = knn(pos, 1)
    along_x, along_y = derivatives(x, pos, neighbours)
    swapped = derivatives(x, pos.flip(2), neighbours)
    torch.testing.assert_close(swapped, (along_y, along_x))
    assert not torch.allclose(along_x, along_y)


@pytest.mark.parametrize("scale, shift", [(1.0, 4.0), (0.01, 0.0), (64.0, -2.0)])
def test_diffgcn_ignores_shift_and_scale_of_positions(scale: float, shift: float) -> None:
    """Position units and origin do not matter to the block."""
    x, pos, neighbours = cloud()
    block = build(dict(type="DiffGCNBlock"))
    found = block(x, scale * pos + shift, neighbours)
    torch.testing.assert_close(found, block(x, pos, neighbours), rtol=0, atol=1e-6)


def test_diffgcn_does_depend_on_directions() -> None:
    """Turning the positions by a quarter changes the result, so direction is really used."""
    x, pos, neighbours = cloud()
    block = build(dict(type="DiffGCNBlock"))
    turned = torch.stack([-pos[..., 1], pos[..., 0]], 2)
    assert not torch.allclose(block(x, turned, neighbours), block(x, pos, neighbours))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_coincident_nodes_are_finite(dtype: torch.dtype) -> None:
    """All nodes at one place, as for a diffuse P: derivatives vanish, gradients stay finite."""
    x, _, neighbours = (t.to(dtype) if t.is_floating_point() else t for t in cloud())
    x, pos = x.requires_grad_(), torch.full((B, N, 2), 0.25, dtype=dtype, requires_grad=True)
    block = build(dict(type="DiffGCNBlock")).to(dtype)
    found = block(x, pos, neighbours)
    found.square().sum().backward()
    node_part = x @ block.linear.weight[:, :C].T
    torch.testing.assert_close(found, block.norm(node_part))
    assert x.grad is not None and x.grad.isfinite().all()
    assert pos.grad is not None and pos.grad.isfinite().all()


# Torch-geometric


def test_pyg_messages_go_from_neighbour_to_node() -> None:
    """SAGEConv takes the mean of the neighbours and adds the node's own part."""
    x, pos, neighbours = cloud()
    block = build(dict(type="PyGBlock", conv="SAGEConv"))
    conv = block.conv
    mean = gather_neighbours(x, neighbours).mean(2)
    expected = block.norm(conv.lin_l(mean) + conv.lin_r(x))
    torch.testing.assert_close(block(x, pos, neighbours), expected)


def test_pyg_options_reach_the_convolution() -> None:
    """Several heads with concat=False keep the width and are built."""
    block = build(dict(type="PyGBlock", conv="GATv2Conv", options=dict(heads=2, concat=False)))
    assert block.conv.heads == 2
    assert block(*cloud()).shape == (B, N, C)


def test_pyg_unknown_convolution_is_refused() -> None:
    """The message repeats the name."""
    with pytest.raises(ValueError, match="no convolution named 'NoConv'"):
        build(dict(type="PyGBlock", conv="NoConv"))


def test_pyg_convolution_that_is_built_another_way_is_refused() -> None:
    """ChebConv wants its order K; the message says where arguments go, and there they work."""
    with pytest.raises(ValueError, match="ChebConv cannot be built as .*options"):
        build(dict(type="PyGBlock", conv="ChebConv"))
    block = build(dict(type="PyGBlock", conv="ChebConv", options=dict(K=2)))
    assert block(*cloud()).shape == (B, N, C)


def test_pyg_convolution_that_changes_the_width_is_refused() -> None:
    """Joined heads are too wide; the message says concat=False."""
    block = build(dict(type="PyGBlock", options=dict(heads=2)))
    with pytest.raises(ValueError, match=r"gives 8 channels for 4.*concat=False"):
        block(*cloud())


# Edges that are made again in the backward pass

EDGE_BLOCKS = [config for config in BLOCKS if config["type"] in ("DGCNNBlock", "DiffGCNBlock")]
every_edge_block = pytest.mark.parametrize("config", EDGE_BLOCKS, ids=str)


def kept(block: nn.Module) -> Any:
    """The forward pass of ``block`` as autograd would run it, with all edges kept."""
    return partial(type(block).forward.__wrapped__, block)


@every_edge_block
@pytest.mark.parametrize("training", [True, False])
def test_a_step_is_that_with_the_edges_kept(config: dict, training: bool) -> None:
    """Same output and gradients, and statistics that count each batch once, for two steps."""
    outcomes = []
    for way in (lambda block: block, kept):
        block = build(config).train(training)
        for _ in range(2):
            x, pos, neighbours = cloud()
            inputs = x.requires_grad_(), pos.requires_grad_()
            out = way(block)(*inputs, neighbours)
            slopes = torch.autograd.grad(
                out.square().sum(), (*inputs, *block.parameters()), materialize_grads=True
            )
        outcomes.append((out, slopes, dict(block.named_buffers())))
    torch.testing.assert_close(*outcomes, rtol=0, atol=0)


@every_edge_block
def test_only_nodes_wait_for_the_backward_pass(config: dict) -> None:
    """Less is kept than one feature of every edge takes."""
    x, pos, neighbours = cloud(8, 40)
    neighbours = knn(x, 20)
    block = build(config).train()
    ours, plain = (
        saved_bytes(lambda f=f: f(x.requires_grad_(), pos, neighbours))[0]
        for f in (block, kept(block))
    )
    assert ours < neighbours.numel() * C * 8 < plain


@every_edge_block
def test_bfloat16_autocast(config: dict) -> None:
    """Near the float32 result, in the type that autocast works in; gradients are finite."""
    block = build(config).float().train()
    x, pos, neighbours = (t.float() if t.is_floating_point() else t for t in cloud())
    expected = block(x, pos, neighbours)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        half = block(x.requires_grad_(), pos, neighbours)
    assert half.dtype == torch.bfloat16
    torch.testing.assert_close(half.float(), expected, rtol=0.1, atol=0.1)
    half.float().sum().backward()
    assert x.grad is not None and x.grad.isfinite().all()


@every_edge_block
def test_half_precision_weights(config: dict) -> None:
    """A block in bfloat16, as for inference, takes and gives bfloat16."""
    x, pos, neighbours = (t.bfloat16() if t.is_floating_point() else t for t in cloud())
    with torch.no_grad():
        half = build(config).bfloat16()(x, pos, neighbours)
    assert half.dtype == torch.bfloat16 and half.isfinite().all()


@pytest.mark.parametrize("block", [DGCNNBlock, DiffGCNBlock])
def test_a_block_is_compiled(block: type[nn.Module]) -> None:
    """The compiled training step gives the values and gradients of the plain one."""
    torch.manual_seed(0)
    x, pos, neighbours = cloud()
    plain = block(C).to(x.dtype)
    gradients = []
    for module in (plain, torch.compile(plain, backend="aot_eager")):
        leaf = x.clone().requires_grad_()
        module(leaf, pos, neighbours).square().sum().backward()
        gradients.append(leaf.grad)
    torch.testing.assert_close(*gradients)
