"""One training step of every config that is shipped, shrunk to milliseconds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from torch import Tensor, nn

from sgseg.registry import HOOKS, MODELS
from sgseg.training import build_config
from tests.conftest import ROOT
from tests.timm_at_hand import with_small_features

PATHS = sorted(
    path
    for path in (ROOT / "configs").glob("*/*.py")
    if path.parent.name not in ("_base_", "tables") and "seeds" not in path.stem
)
"""SEEDS needs opencv-contrib; its model differs from the other fixed superpixels in no layer."""
SIDE = 32


def shrunk(path: Path) -> Config:
    """A config at the tiny preset and less; what is checkpointed stays so."""
    config = with_small_features(build_config(path, preset="tiny", num_classes=3))
    model = config.model
    if model.type.__name__ == "PixelKMeans":
        return config
    if model.type.__name__ != "SGSeg":
        if model.get("backbone"):
            model.backbone.base_channels = 2
        if model.get("task"):
            model.task.side = 5
            model.context_head.hidden_channels = 4
        return config
    if model.backbone:
        model.backbone.num_superpixels = 8
    if model.neck:
        model.neck.knn = 3
    return config


def stages(config: Config) -> list[str | None]:
    """Every stage that the config's hook sets; [None] where a model has but one."""
    if "stage" not in config.default_hooks:
        return [None]
    hook = HOOKS.build(config.default_hooks.stage)
    return list(dict.fromkeys(map(hook.stage_at, range(config.train_cfg.max_epochs))))


def steps(path: Path) -> Iterator[tuple[str, Config, str | None]]:
    """(what makes this step different from others, config, stage) of each stage of a config."""
    config = shrunk(path)
    if config.model.type.__name__ == "PixelKMeans":  # nothing to step
        return
    for stage in stages(config):
        yield str((config.model.to_dict(), stage, sorted(batch(config)))), config, stage


def batch(config: Config, count: int = 2) -> dict[str, Tensor]:
    """What the training pipeline of a config would give, random."""
    generator = torch.Generator().manual_seed(0)
    transforms = config.train_dataloader.dataset.transforms
    bands = config.model.data_preprocessor.bands
    found = dict(inputs=torch.rand(count, bands, SIDE, SIDE, generator=generator))
    if transforms[-1].get("loss_mask") == "labelled":
        found["mask"] = torch.rand(count, SIDE, SIDE, generator=generator) > 0.3
    if "SLICRegions" in str(transforms):
        found["regions"] = torch.arange(SIDE * SIDE).view(1, SIDE, SIDE).expand(count, -1, -1) // 99
    return found


def build(config: Config, stage: str | None) -> nn.Module:
    """The config's model in a stage; equal weights every time."""
    torch.manual_seed(0)
    model = MODELS.build(config.model)
    if stage is not None:
        model.stage = stage
    return model


def take(model: Any, data: dict[str, Tensor], between: Callable[[], None] = lambda: None) -> Tensor:
    """The sum of the losses of one step; ``between`` is called in front of its backward pass."""
    torch.manual_seed(1)  # dropout
    terms = model(**model.data_preprocessor(dict(data), True), mode="loss")
    total = sum(value for name, value in terms.items() if "loss" in name)
    between()
    total.backward()
    return total.detach()
