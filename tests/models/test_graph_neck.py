"""GraphNeck and its blocks: equivariance, derivatives, the graph's keys, errors."""

from __future__ import annotations

import warnings

import pytest
import torch
from torch import Tensor, nn

from sgseg.models import DGCNNBlock, DiffGCNBlock, GraphNeck, PointNetBlock
from sgseg.ops.graph import gather_neighbours, knn
from sgseg.registry import MODELS

B, N, C, K = 2, 7, 4, 3
BLOCKS = [
    dict(type="PointNetBlock"),
    dict(type="DGCNNBlock"),
    dict(type="DGCNNBlock", aggregation="mean", include_self=True),
    dict(type="DiffGCNBlock"),
    dict(type="DiffGCNBlock", aggregation="mean"),
    dict(type="PyGBlock", conv="GATv2Conv"),
    dict(type="PyGBlock", conv="SAGEConv"),
]
NAMES = ["PointNet", "DGCNN", "DGCNN-mean-self", "DiffGCN", "DiffGCN-mean", "GATv2", "SAGE"]
every_block = pytest.mark.parametrize("config", BLOCKS, ids=NAMES)


def build(config: dict, channels: int = C) -> nn.Module:
    torch.manual_seed(0)
    return MODELS.build(dict(config, channels=channels)).double().eval()


def cloud(batch: int = B, count: int = N, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    g = torch.Generator().manual_seed(seed)
    x = torch.randn(batch, count, C, generator=g, dtype=torch.float64)
    pos = 2 * torch.rand(batch, count, 2, generator=g, dtype=torch.float64) - 1
    return x, pos, knn(x, K)


def nodes(width: int = 9, count: int = N, seed: int = 0) -> Tensor:
    g = torch.Generator().manual_seed(seed)
    return torch.randn(B, count, width, generator=g, dtype=torch.float64)


def neck(width: int = 9, **options: object) -> GraphNeck:
    torch.manual_seed(0)
    options = dict(channels=C, num_blocks=2, knn=K) | options
    return GraphNeck(width, **options).double().eval()


class Spy(nn.Module):
    """A plugin block that remembers what it was given."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.linspace(-1, 1, channels))
        self.seen: list[tuple[Tensor, Tensor, Tensor]] = []

    def forward(self, x: Tensor, pos: Tensor, neighbours: Tensor) -> Tensor:
        self.seen.append((x, pos, neighbours))
        return x * self.scale + x.flip(2)


def spied(points: Tensor, **options: object) -> list[tuple[Tensor, Tensor, Tensor]]:
    """What each block of a neck saw: features, positions and neighbours."""
    model = neck(points.shape[2], block=dict(type=Spy), **options)
    model(points)
    return [block.seen[0] for block in model.blocks]


# Blocks


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


# The neck


@every_block
@pytest.mark.parametrize("bands", [1, 3, 4])
def test_neck_shapes(bands: int, config: dict) -> None:
    """Nodes of any number of bands come out with ``channels`` features."""
    found = neck(2 + bands + 4, block=config)(nodes(2 + bands + 4))
    assert found.shape == (B, N, C) and found.isfinite().all()


@every_block
def test_neck_does_not_care_for_the_numbering_of_superpixels(config: dict) -> None:
    """Renumbering the superpixels renumbers the refined nodes."""
    model, x = neck(block=config), nodes()
    order = torch.randperm(N, generator=torch.Generator().manual_seed(3))
    torch.testing.assert_close(model(x[:, order]), model(x)[:, order])


@every_block
def test_neck_keeps_images_apart(config: dict) -> None:
    """In eval mode a batch of two gives what two batches of one give."""
    model, x = neck(block=config), nodes()
    torch.testing.assert_close(model(x), torch.cat([model(x[:1]), model(x[1:])]))


def test_default_block_is_diffgcn() -> None:
    """Without a block the neck is the paper's best, with four of them."""
    model = GraphNeck(9)
    assert len(model.blocks) == 4 and all(isinstance(b, DiffGCNBlock) for b in model.blocks)
    assert model.knn == 20


def test_graph_is_built_once_on_all_features() -> None:
    """By default all blocks share the neighbours in the space of all raw node features."""
    x = nodes()
    for _, pos, neighbours in spied(x):
        torch.testing.assert_close(neighbours, knn(x, K))
        torch.testing.assert_close(pos, x[..., :2])


def test_graph_on_xy() -> None:
    """graph_on='xy' takes the neighbours in the image instead."""
    x = nodes()
    assert not torch.equal(knn(x, K), knn(x[..., :2], K))
    for _, _, neighbours in spied(x, graph_on="xy"):
        torch.testing.assert_close(neighbours, knn(x[..., :2], K))


def test_dynamic_graph() -> None:
    """dynamic=True rebuilds the graph on the features in front of every later block."""
    x = nodes()
    first, second = spied(x, dynamic=True)
    torch.testing.assert_close(first[2], knn(x, K))
    torch.testing.assert_close(second[2], knn(second[0], K))
    assert not torch.equal(first[2], second[2])


def test_knn_normalise_weighs_all_features_alike() -> None:
    """With knn_normalise the unit of a feature does not change the graph; without it does."""
    x = nodes()
    enlarged = x.clone()
    enlarged[..., 5] *= 1000
    for normalise in (False, True):
        before = spied(x, knn_normalise=normalise)[0][2]
        after = spied(enlarged, knn_normalise=normalise)[0][2]
        assert torch.equal(before, after) is normalise


def test_without_use_position_x_and_y_are_no_features() -> None:
    """A graph-free network then gives the same wherever the nodes are."""
    x = nodes()
    moved = x.clone()
    moved[..., :2] += nodes(2, seed=1)
    config = dict(type="PointNetBlock")
    model = neck(block=config, use_position=False)
    torch.testing.assert_close(model(moved), model(x))
    plain = neck(block=config)
    assert not torch.allclose(plain(moved), plain(x))


def test_all_block_outputs_are_joined() -> None:
    """The last layers see every block's output, not the last one's only."""
    model = neck(block=dict(type=Spy))
    seen: list[Tensor] = []
    model.fuse.register_forward_hook(lambda module, given, out: seen.append(given[0]))
    model(nodes())
    first, second = model.blocks
    middle = second.seen[0][0]
    torch.testing.assert_close(seen[0], torch.cat([middle, second(middle, middle, middle)], 2))


@pytest.mark.parametrize("knn_", [N, 20])
def test_too_many_neighbours_are_clamped_with_a_warning(knn_: int) -> None:
    """knn >= N warns, says what is used, and works as N - 1."""
    with pytest.warns(UserWarning, match=rf"knn = {knn_} but a node has only 6 others; using 6"):
        found = neck(knn=knn_)(nodes())
    torch.testing.assert_close(found, neck(knn=N - 1)(nodes()))


def test_fitting_neighbours_do_not_warn() -> None:
    """N - 1 neighbours are fine."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        neck(knn=N - 1)(nodes())


def test_autocast_is_finite() -> None:
    """A diffuse cloud under bfloat16 autocast gives finite features and gradients."""
    model = GraphNeck(9, C, 2, K).train()
    x = (0.01 * nodes() + 1).float().requires_grad_()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = model(x)
    found.float().square().sum().backward()
    assert found.isfinite().all() and x.grad is not None and x.grad.isfinite().all()


@pytest.mark.parametrize("shape", [(2, 7, 8), (7, 9)])
def test_wrong_nodes_are_refused(shape: tuple[int, ...]) -> None:
    """The message shows the shape and what in_channels is made of."""
    with pytest.raises(ValueError, match=r"\(B, N, 9\).*2 \+ bands \+ backbone features"):
        neck()(torch.zeros(shape))


@pytest.mark.parametrize(
    "options, text",
    [
        (dict(graph_on="colour"), "graph_on = 'colour'; choose 'features' or 'xy'"),
        (dict(knn=0), "knn = 0"),
        (dict(num_blocks=0), "num_blocks = 0"),
    ],
)
def test_wrong_keys_are_refused(options: dict, text: str) -> None:
    """The message names the key and its value."""
    with pytest.raises(ValueError, match=text):
        GraphNeck(9, **options)
