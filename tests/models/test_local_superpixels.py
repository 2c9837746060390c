"""The whole model on superpixels of nine numbers a pixel: as on their dense form, without it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from sgseg.cost.measure import as_fake, peak_bytes, saved_bytes
from sgseg.inference import Segmenter
from sgseg.models import SGSeg
from sgseg.ops.local_assignment import SLOTS, LocalAssignment, cells
from sgseg.ops.superpixel import labels
from sgseg.structures import Superpixels
from tests.inference.models import save, small_config, small_model
from tests.inference.test_tiling import scene

BANDS, COUNT, SIDE = 3, 50, 24
DENSE = 2 * COUNT * SIDE * SIDE
"""Entries of P for two images."""


class Grid(nn.Module):
    """Learned scores of the nine cells; with ``dense`` their dense form is handed on."""

    def __init__(self, dense: bool = False, count: int = COUNT) -> None:
        super().__init__()
        self.dense, self.count, self.out_channels = dense, count, 4
        self.conv = nn.Conv2d(BANDS, SLOTS + 4 + BANDS, 3, padding=1)

    def forward(self, image: Tensor) -> Superpixels:
        """Superpixels of ``image`` (B, C, H, W)."""
        scores, feature, own = self.conv(image).split([SLOTS, 4, BANDS], 1)
        grid = cells(*image.shape[2:], self.count, image.device)
        P = LocalAssignment.of_scores(scores, grid)
        return Superpixels(P.dense() if self.dense else P, feature, own)


def build(**changes: Any) -> SGSeg:
    torch.manual_seed(0)
    losses = ("Clustering", "Smoothness", "SuperpixelReconstruction", "Edge")
    losses += ("TotalVariation", "MutualInformation", "ImageReconstruction")
    return SGSeg(
        backbone=dict(type=Grid, **changes),
        neck=dict(type="GraphNeck", channels=4, num_blocks=2, knn=3),
        decode_head=dict(type="ACHead", num_classes=3, base_channels=4, multipliers=(1, 1)),
        losses={name: dict(type=f"{name}Loss") for name in losses},
        data_preprocessor=dict(type="ImagePreprocessor", bands=BANDS),
    )


def images(batch: int = 2) -> Tensor:
    g = torch.Generator().manual_seed(1)
    return torch.randn(batch, BANDS, SIDE, SIDE, generator=g)


def step(model: SGSeg, inputs: Tensor) -> dict[str, Tensor]:
    terms = model.loss(inputs)
    losses = [value for name, value in terms.items() if name.startswith("loss")]
    torch.stack(losses).sum().backward()
    return terms


@pytest.mark.parametrize("stage", ["superpixel", "joint"])
def test_a_training_step_is_that_of_the_dense_form(stage: Any) -> None:
    """All losses, all diagnostics and all gradients, to rounding."""
    found = []
    for dense in (False, True):
        model = build(dense=dense).double()
        model.stage = stage
        terms = step(model, images().double())
        slopes = {name: p.grad for name, p in model.named_parameters() if p.grad is not None}
        found.append(terms | slopes)
    assert found[0].keys() == found[1].keys() and "live_superpixels" in found[0]
    for name, value in found[0].items():
        torch.testing.assert_close(value, found[1][name], rtol=1e-6, atol=1e-6, msg=name)


def test_predictions_are_those_of_the_dense_form() -> None:
    """Probabilities and the superpixels that pictures show; afterwards it can still be trained."""
    models = [build(dense=dense).eval() for dense in (False, True)]
    with torch.inference_mode():
        # Of a size that no other test has: its tables are made here.
        local, dense = (model.infer(images()[..., :-2]) for model in models)
    torch.testing.assert_close(local.probability, dense.probability)
    owners = (labels(state.superpixels.assignment) for state in (local, dense))
    assert torch.equal(*owners)
    step(models[0].train(), images()[..., :-2])


class _Largest(TorchDispatchMode):
    """Entries of the largest tensor made inside."""

    entries = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        sizes = [x.numel() for x in tree_leaves(out) if isinstance(x, Tensor)]
        self.entries = max(self.entries, *sizes, 0)
        return out


def test_nothing_as_large_as_the_dense_form_is_made() -> None:
    """In a whole step of training, its backward pass included, and in a prediction."""
    model = build()
    step(model, images())  # makes the tables of this size, which are of no batch
    with _Largest() as made:
        step(model, images())
        model.eval().infer(images())
    assert made.entries < DENSE / 2
    with _Largest() as made:
        step(build(dense=True), images())
    assert made.entries >= DENSE


def test_half_precision_runs() -> None:
    """Under autocast every term and every gradient is finite, and features are pooled in halves."""
    model = build()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        terms = model.loss(images())
    sum(value for name, value in terms.items() if name.startswith("loss")).backward()
    assert all(value.isfinite() for value in terms.values())
    assert all(p.grad.isfinite().all() for p in model.parameters() if p.grad is not None)


def test_memory_is_counted_on_fakes() -> None:
    """What a step keeps, and its peak, without running it: less than the dense form's, by far."""
    kept, peak = {}, {}
    for dense in (False, True):
        model = build(dense=dense, count=200)
        model.stage = "superpixel"
        with as_fake(model):
            inputs = torch.zeros(2, BANDS, SIDE, SIDE)
            kept[dense], _ = saved_bytes(lambda m=model, x=inputs: m.loss(x))
            peak[dense] = peak_bytes(lambda m=model, x=inputs: step(m, x))
    assert kept[True] > 3 * kept[False] and peak[True] > 3 * peak[False], (kept, peak)


def test_no_value_is_read_off_the_device(monkeypatch: pytest.MonkeyPatch) -> None:
    """On the meta device, which has none, a step runs; so it never waits for a GPU."""
    real = torch.autocast  # refuses the meta device; the CPU's setting, off, stands in
    monkeypatch.setattr(torch, "autocast", lambda device_type, **given: real("cpu", **given))
    model = build().to("meta")
    assert step(model, images().to("meta"))["loss_Edge"].device.type == "meta"


def test_a_large_image_in_windows(tmp_path: Path) -> None:
    """Each window has superpixels of its own, and its middle the labels it has by itself."""
    config = small_config("local_mosaic")
    path = save(small_model(config), tmp_path / "a.pth")
    windows = Segmenter(path, config, side=0, tile=48, overlap=16)
    image = scene(48, 90)
    labels = windows(image).labels
    assert labels.shape == (48, 90) and len(np.unique(labels)) > 1
    alone = Segmenter(path, config, side=0, tile=0)(image[:, :48]).labels
    np.testing.assert_array_equal(labels[:, :32], alone[:, :32])
