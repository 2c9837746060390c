"""timm for the tests, with bare names for torchvision where there is none, and small networks."""

from __future__ import annotations

import importlib.util
import sys
from typing import Any

import pytest
from mmengine.config import Config

from sgseg.models import FrozenFeatures
from sgseg.registry import is_a
from tests.conftest import ROOT

SMALL: dict[str, Any] = dict(
    model="vit_tiny_patch16_224",
    weights="random",
    model_args=dict(img_size=64, embed_dim=24, depth=2, num_heads=2),
)
"""A transformer of 24 channels for images of any size."""


def demand_timm() -> Any:
    """timm; the test is skipped without it."""
    if importlib.util.find_spec("torchvision") is None:
        sys.path.append(str(ROOT / "tests/stand_ins"))
    return pytest.importorskip("timm")


def with_small_features(config: Config) -> Config:
    """The config with a small random network for the frozen features that it has, if any."""
    for part in ("frozen", "backbone"):
        if is_a(config.model.get(part), FrozenFeatures):
            demand_timm()
            config.model[part].update(SMALL, cache=None)
    return config
