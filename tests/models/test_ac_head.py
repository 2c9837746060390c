"""ACHead: shapes, probabilities, orders, errors, precision."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from sgseg.models import ACHead
from sgseg.models.decode_heads.ac_head import RasterBlock
from sgseg.ops.raster import NUM_ORDERS, visiting_rank
from sgseg.registry import MODELS


def head(bands: int = 3, **options: object) -> ACHead:
    torch.manual_seed(0)
    return ACHead(bands + 4, 5, bands, base_channels=2, **options)


def given(bands: int = 3, batch: int = 2, height: int = 8, width: int = 10) -> Tensor:
    g = torch.Generator().manual_seed(1)
    return torch.randn(batch, bands + 4, height, width, generator=g)


@pytest.mark.parametrize("order", [0, 1, 8])
@pytest.mark.parametrize("size", [(8, 10), (9, 7), (2, 2), (3, 2)])
@pytest.mark.parametrize("bands", [1, 3, 4])
def test_shapes(bands: int, size: tuple[int, int], order: int) -> None:
    """Any number of bands and any size from 2 x 2, odd ones too, at full resolution."""
    view = head(bands).eval()(given(bands, 2, *size), order)
    assert view.probability.shape == (2, 5, *size)
    assert view.reconstruction.shape == (2, bands, *size)


@pytest.mark.parametrize("order", range(NUM_ORDERS + 1))
def test_probabilities(order: int) -> None:
    """Class probabilities are non-negative and sum to one in every order."""
    probability = head()(given(), order).probability
    assert (probability >= 0).all()
    torch.testing.assert_close(probability.sum(1), torch.ones(2, 8, 10))


@pytest.mark.parametrize("order", [0, 3])
def test_images_do_not_influence_each_other(order: int) -> None:
    """In eval mode a batch of two gives what two batches of one give."""
    model, x = head().eval(), given()
    alone = [model(x[b : b + 1], order) for b in range(2)]
    for whole, parts in zip(model(x, order), zip(*alone, strict=True), strict=True):
        torch.testing.assert_close(whole, torch.cat(parts))


def test_order_zero_is_the_default() -> None:
    """Without an order the head reads unmasked, as at inference."""
    model, x = head().eval(), given()
    for default, unmasked in zip(model(x), model(x, 0), strict=True):
        assert torch.equal(default, unmasked)


def test_orders_give_different_readings() -> None:
    """Nine readings of one image all differ, or there would be nothing to agree on."""
    model, x = head().eval(), given()
    readings = [model(x, order).probability for order in range(NUM_ORDERS + 1)]
    for a, first in enumerate(readings):
        for second in readings[:a]:
            assert not torch.allclose(first, second)


@pytest.mark.parametrize("order", range(1, NUM_ORDERS + 1))
def test_blocks_are_causal(order: int) -> None:
    """Two residual blocks in a row see nothing of the future, by autograd (Table 9)."""
    torch.manual_seed(order)
    pair = nn.ModuleList([RasterBlock(2, 2, True, True), RasterBlock(2, 3, True, True)])
    pair.double().eval()
    x = torch.randn(1, 2, 4, 5, dtype=torch.float64)
    slopes = torch.autograd.functional.jacobian(lambda v: pair[1](pair[0](v, order), order), x)
    seen = slopes.abs().sum((0, 1, 4, 5)).view(20, 20) > 0
    rank = visiting_rank(order, 4, 5).flatten()
    assert not (seen & (rank[None, :] > rank[:, None])).any()
    assert (seen & (rank[None, :] < rank[:, None])).any()


def test_block_pads_the_shortcut_with_zeros() -> None:
    """With all convolutions at zero a wider block returns its input and empty channels."""
    block = RasterBlock(2, 5, True, True).eval()
    for parameter in block.parameters():
        nn.init.zeros_(parameter)
    x = torch.randn(1, 2, 4, 4)
    found = block(x, 1)
    assert torch.equal(found[:, :2], x) and (found[:, 2:] == 0).all()


@pytest.mark.parametrize("order", [0, 1])
def test_every_weight_is_trained(order: int) -> None:
    """Both outputs together reach every parameter."""
    model = head()
    view = model(given(), order)
    (view.probability.square().sum() + view.reconstruction.square().sum()).backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().sum() > 0, name


def test_multipliers_are_the_widths() -> None:
    """The doubling of Table 9 is a key; the default is Table 10."""
    widths = [[b.raster.weight.shape[0] for b in head(multipliers=m).blocks] for m in [(2, 4, 8)]]
    assert widths == [[4, 8, 16]]
    assert [b.raster.weight.shape[0] for b in head().blocks] == [4, 4, 8, 16]


@pytest.mark.parametrize("shift, centre", [(True, False), (False, True), (False, False)])
def test_windows_reach_the_blocks(shift: bool, centre: bool) -> None:
    """shift and include_centre change the reading and keep its shape."""
    model, plain, x = head(shift=shift, include_centre=centre).eval(), head().eval(), given()
    found = model(x, 1).probability
    assert found.shape == (2, 5, 8, 10)
    assert not torch.allclose(found, plain(x, 1).probability)
    torch.testing.assert_close(model(x).probability, plain(x).probability)


def test_probabilities_are_never_half() -> None:
    """Under autocast the probabilities are float32 and sum to one."""
    with torch.autocast("cpu", dtype=torch.bfloat16):
        view = head().eval()(given(), 2)
    assert view.probability.dtype == torch.float32
    torch.testing.assert_close(view.probability.sum(1), torch.ones(2, 8, 10))
    assert view.reconstruction.isfinite().all()


def test_built_by_name() -> None:
    """A config names it as a string."""
    config = dict(type="ACHead", in_channels=7, num_classes=2, base_channels=1)
    assert isinstance(MODELS.build(config), ACHead)


@pytest.mark.parametrize("shape", [(2, 6, 8, 8), (2, 7, 1, 8), (2, 7, 8, 1)])
def test_wrong_input_is_refused(shape: tuple[int, ...]) -> None:
    """The message shows the shape, the least size and what in_channels is made of."""
    with pytest.raises(ValueError, match=r"\(B, 7, H, W\) with H, W >= 2.*bands \+ node channels"):
        head()(torch.zeros(shape))


@pytest.mark.parametrize("order", [-1, 9])
def test_unknown_order_is_refused(order: int) -> None:
    """The message names the orders there are."""
    with pytest.raises(ValueError, match=r"choose 1\.\.8, or 0"):
        head()(given(), order)


@pytest.mark.parametrize("classes, multipliers", [(1, (2, 2)), (5, (4, 2)), (5, (0, 2))])
def test_wrong_parameter_is_refused(classes: int, multipliers: tuple[int, ...]) -> None:
    """One class or shrinking widths are named with their values."""
    with pytest.raises(ValueError, match=rf"num_classes = {classes} .*\({multipliers[0]}, 2\)"):
        ACHead(7, classes, multipliers=multipliers)
