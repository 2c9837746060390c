"""A model prepared for inference gives what the trained one gives."""

import weakref
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from sgseg.inference.fold import FoldedRasterConv2d, SummedFusion, fold_batch_norm, for_inference
from sgseg.inference.network import TorchNetwork
from sgseg.models.layers import DilatedDepthwise, RasterConv2d
from sgseg.training import build_config
from tests.conftest import ROOT
from tests.inference.models import lived_in, small_config, small_model

VARIANTS: dict[str, dict[str, Any]] = {
    "practical": dict(recipe="mosaic"),
    "paper": dict(recipe="paper_folder"),
    "centred window": {"model.decode_head.shift": False, "model.predict_orders": (0, 3)},
    "dgcnn": {"model.neck.block.type": "DGCNNBlock"},
    "no superpixels": {
        "model.backbone": None,
        "model.neck": None,
        "model.roll_coordinates": False,
        "model.decode_head.in_channels": 3,
    },
}


def plainly(model: Any, images: Tensor) -> Tensor:
    """The head run as in training, once an order, everything kept."""
    x = model.head_input(model.describe(model.data_preprocessor.normalise(images)))
    return torch.stack([model.decode_head(x, o).probability for o in model.predict_orders]).mean(0)


@pytest.mark.parametrize("name", VARIANTS)
@torch.no_grad()
def test_probabilities_stay(name: str) -> None:
    """To 1e-5, for every kind of part, in a batch of odd images; the model itself is untouched."""
    model = small_model(small_config(**VARIANTS[name]))
    before = {key: value.clone() for key, value in model.state_dict().items()}
    images = torch.rand(2, 3, 33, 46)
    expected = plainly(model, images)
    assert expected.std(1).mean() > 0.01  # probabilities that say something
    prepared = for_inference(model)
    normalised = prepared.data_preprocessor.normalise(images)
    for found in (prepared.probability(normalised), prepared.infer(normalised).probability):
        torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)
    torch.testing.assert_close(model.probability(normalised), expected, atol=1e-6, rtol=0)
    for key, value in model.state_dict().items():
        torch.testing.assert_close(value, before[key], atol=0, rtol=0)


METHODS = sorted(
    path for path in (ROOT / "configs").glob("*/*_mosaic.py") if "seeds" not in path.name
)  # SEEDS needs another OpenCV


@pytest.mark.parametrize("path", METHODS, ids=lambda path: path.stem)
@torch.no_grad()
def test_every_method_stays(path: Path) -> None:
    """Whatever the segmentor and its parts: prepared, it gives what it gave."""
    model = small_model(build_config(path))
    images = torch.rand(1, 3, 24, 34)
    expected = model.probability(model.data_preprocessor.normalise(images))
    found = TorchNetwork(model, torch.device("cpu"))(images)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)


def test_no_normalisation_over_pixels_is_left() -> None:
    """Every batch normalisation of maps is gone, and nothing of the copy can train."""
    model = small_model(small_config())
    assert any(isinstance(module, nn.BatchNorm2d) for module in model.modules())
    folded = fold_batch_norm(model)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in folded.modules())
    assert not any(parameter.requires_grad for parameter in folded.parameters())
    assert any(parameter.requires_grad for parameter in model.parameters())


@pytest.mark.parametrize("shift", [True, False])
@torch.no_grad()
def test_raster_convolution_in_every_order(shift: bool) -> None:
    """Masked, normalised and then applied is the same as applied and then normalised."""
    conv = RasterConv2d(3, 5, shift)
    norm = lived_in(nn.Sequential(nn.BatchNorm2d(5)))[0].eval()
    folded = FoldedRasterConv2d(conv, norm)
    x = torch.randn(2, 3, 7, 6)
    for order in range(9):
        torch.testing.assert_close(folded(x, order), norm(conv(x, order)), atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_branches_are_summed() -> None:
    """A convolution of joined maps, without the joined map."""
    split, conv = DilatedDepthwise(4), nn.Conv2d(12, 5, 3, padding=1)
    x = torch.randn(2, 4, 9, 8)
    torch.testing.assert_close(SummedFusion(split.branches, conv)(x), conv(split(x)))


def test_superpixels_are_gone_when_the_head_runs() -> None:
    """Probabilities alone cost no memory for P and the features while the head works."""
    model = small_model(small_config())
    seen: list[Any] = []
    alive: list[bool] = []
    model.backbone.register_forward_hook(
        lambda module, args, out: seen.extend((weakref.ref(out.assignment), weakref.ref(out[1])))
    )
    model.decode_head.stem.register_forward_pre_hook(
        lambda module, args: alive.extend(ref() is not None for ref in seen)
    )
    with torch.inference_mode():
        model.probability(torch.rand(1, 3, 32, 32))
        assert alive == [False, False]
        state = model.infer(torch.rand(1, 3, 32, 32))
    assert state.superpixels is not None
