"""Small models with the statistics of a trained one, and their checkpoints."""

from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from torch import nn

from sgseg.registry import MODELS
from sgseg.training import build_config
from tests.conftest import ROOT, TINY

SIZES = {key: value for key, value in TINY.items() if key.startswith("model.")}


def small_config(recipe: str = "mosaic", **options: Any) -> Config:
    """A recipe of configs/sgseg/ at the size of the tests."""
    path = ROOT / f"configs/sgseg/sgseg_diffgcn_{recipe}.py"
    sizes = SIZES if recipe != "paper_folder" else SIZES | {"model.decode_head.num_classes": 5}
    known = {k: v for k, v in sizes.items() if k != "model.losses.mutual_information.half_window"}
    return build_config(path, options=known | options)


def lived_in(model: nn.Module, seed: int = 0) -> nn.Module:
    """The model as training leaves it: weights and statistics that are nobody's first values."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d)):
                count = len(module.weight)
                module.running_mean.copy_(torch.randn(count, generator=generator) / 4)
                module.running_var.copy_(torch.rand(count, generator=generator) + 0.5)
                module.weight.copy_(torch.randn(count, generator=generator) / 4 + 1)
                module.bias.copy_(torch.randn(count, generator=generator) / 4)
    return model


def small_model(config: Config, seed: int = 0) -> Any:
    """The config's model, lived in, in eval mode."""
    torch.manual_seed(seed)
    return lived_in(MODELS.build(config.model), seed).eval()


def save(model: nn.Module, path: Path, classes: list[str] | None = None) -> Path:
    """A checkpoint of ``model``; an evaluation in it has named its clusters ``classes``."""
    content: dict[str, Any] = dict(state_dict=model.state_dict())
    if classes is not None:
        evaluation = dict(
            mapping=list(reversed(range(len(classes)))), per_class=[dict(name=n) for n in classes]
        )
        content["meta"] = dict(evaluation=evaluation)
    torch.save(content, path)
    return path
