"""Losses reach the log late, and all of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from sgseg.engine import ModuleLRConstructor
from sgseg.training.run import train


def history(work_dir: Path, tiny_config: Any, hook: str) -> dict[str, np.ndarray]:
    """Every scalar of every step of a run over two stages, two steps an epoch."""
    config = tiny_config(work_dir, **{"default_hooks.logger.interval": 3})
    config.train_cfg.max_epochs, config.train_cfg.val_interval = 3, 9
    config.train_dataloader.dataset.length = 20
    config.val_dataloader = config.val_evaluator = config.val_cfg = None
    config.default_hooks.checkpoint.pop("save_best", None)
    config.default_hooks.runtime_info = dict(type=hook)
    hub = train(config).message_hub
    found = {name: buffer.data[0] for name, buffer in hub.log_scalars.items()}
    return {name: found[name] for name in found if "loss" in name or "usage" in name}


@pytest.mark.slow
def test_the_history_is_that_of_mmengine(tmp_path: Path, tiny_config: Any) -> None:
    """Same scalars, same values, same order; stages with other losses and a last odd step too."""
    late = history(tmp_path / "late", tiny_config, "LateScalarsHook")
    plain = history(tmp_path / "plain", tiny_config, "RuntimeInfoHook")
    assert set(late) == set(plain) and len(late["train/loss"]) == 15
    for name, values in plain.items():
        np.testing.assert_array_equal(late[name], values)


class Parts(torch.nn.Module):
    """Two named parts."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.backbone, self.neck = torch.nn.Linear(5, 4), torch.nn.Linear(4, 3)


@pytest.mark.parametrize("fused", ["auto", False])
def test_auto_takes_the_fused_step(fused: Any) -> None:
    """On a CPU too; the weights after three steps are those of torch's plain step."""
    ours, plain = Parts(), Parts()
    build = ModuleLRConstructor(
        dict(optimizer=dict(type="Adam", fused=fused)), dict(lr=dict(backbone=1e-2, neck=1e-3))
    )
    wrapper = build(ours)
    assert wrapper.optimizer.defaults["fused"] is (fused == "auto")
    groups = [
        dict(params=part.parameters(), lr=lr)
        for part, lr in zip(plain.children(), (1e-2, 1e-3), strict=True)
    ]
    other = torch.optim.Adam(groups, fused=False)
    x = torch.randn(6, 5, generator=torch.Generator().manual_seed(1))
    for _ in range(3):
        wrapper.update_params(ours.neck(ours.backbone(x)).square().mean())
        other.zero_grad()
        plain.neck(plain.backbone(x)).square().mean().backward()
        other.step()
    torch.testing.assert_close(dict(ours.state_dict()), dict(plain.state_dict()))
