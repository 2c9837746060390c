"""Nothing in a step or a prediction reads a number off the device: a GPU never has to be awaited.

The model and its images are on the meta device, which has no values to give: ``.item()``,
``.tolist()``, ``.cpu()`` and boolean masks all raise there.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch
from mmengine.optim import build_optim_wrapper
from torch import Tensor

from sgseg.evaluation import HungarianMetric
from sgseg.registry import MODELS
from sgseg.training import build_config
from tests.conftest import ROOT, TINY

SMALL = {key: value for key, value in TINY.items() if key.startswith("model.")}
PAPER = SMALL | {"model.backbone.checkpoint": True}
CONFIGS = [("sgseg_diffgcn_coco15", PAPER), ("sgseg_diffgcn_mosaic", SMALL)]
both = pytest.mark.parametrize("name, options", CONFIGS, ids=["paper", "practical"])


@pytest.fixture(autouse=True)
def autocast_knows_meta(monkeypatch: pytest.MonkeyPatch) -> None:
    """torch.autocast refuses the meta device; the CPU's setting, off, stands in."""
    real = torch.autocast

    def known(device_type: str, *args: Any, **kwargs: Any) -> Any:
        return real("cpu" if device_type == "meta" else device_type, *args, **kwargs)

    monkeypatch.setattr(torch, "autocast", known)


def built(name: str, options: dict[str, Any]) -> tuple[Any, Any]:
    """Config, and its model on the meta device."""
    config = build_config(ROOT / f"configs/sgseg/{name}.py", options=options)
    return config, MODELS.build(config.model).to("meta")


def batch() -> dict[str, Tensor]:
    """As the loader gives it, on the host."""
    images = torch.zeros(2, 3, 32, 32, dtype=torch.uint8)
    return dict(inputs=images, gt=torch.zeros(2, 32, 32, dtype=torch.int64), index=torch.arange(2))


def test_the_meta_device_has_nothing_to_read() -> None:
    """What this module relies on."""
    for read in (Tensor.item, Tensor.tolist, Tensor.cpu, lambda x: x[x > 0]):
        with pytest.raises((RuntimeError, NotImplementedError)):
            read(torch.zeros((), device="meta"))


@both
@pytest.mark.parametrize("stage", ["superpixel", "segmentation", "joint"])
def test_training_step(name: str, options: dict[str, Any], stage: str) -> None:
    """Normalisation, forward, losses, diagnostics, backward and optimiser."""
    config, model = built(name, options)
    model.stage = stage
    wrapper = build_optim_wrapper(model, config.optim_wrapper)
    logged = model.train().train_step(dict(inputs=batch()["inputs"]), wrapper)
    assert all(value.is_meta for value in logged.values())


@both
def test_prediction_and_its_metric(name: str, options: dict[str, Any]) -> None:
    """Records with their places, and the counting of their pixels."""
    _, model = built(name, options)
    records = model.eval().val_step(batch())
    assert [record["index"] for record in records] == [0, 1]
    metric = HungarianMetric(15, 15)
    metric.dataset_meta = dict(subsets=dict(val=(0, 1)))
    metric.process(None, records)
    with pytest.raises((RuntimeError, NotImplementedError)):  # only here the counts are fetched
        metric.evaluate(2)
