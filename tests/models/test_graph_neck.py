"""GraphNeck: equivariance, the graph's keys, errors."""

from __future__ import annotations

import warnings

import pytest
import torch
from torch import Tensor, nn

from sgseg.models import DiffGCNBlock, GraphNeck
from sgseg.ops.graph import knn
from tests.models.graphs import B, C, K, N, every_block


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
