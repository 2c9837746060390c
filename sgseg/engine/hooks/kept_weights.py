"""Weights of an epoch that are kept beside the checkpoints, and put back."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from mmengine.dist import broadcast, is_main_process
from mmengine.runner import Runner
from torch import Tensor

from ..checkpoints.loading import load_checkpoint
from ..distributed import saving_together


def keep_weights(runner: Runner, file: str) -> None:
    """Write the model's weights into the run's folder, whole or not at all."""
    with saving_together(runner):
        runner.save_checkpoint(
            runner.work_dir,
            file,
            save_optimizer=False,
            save_param_scheduler=False,
            backend_args=dict(backend="sgseg_atomic"),
        )


@torch.no_grad()
def put_back(model: Any, path: Path) -> None:
    """Give all ranks the weights that rank 0, which alone has the file for sure, finds in it.

    Args:
        model: changed in place.
        path: as :func:`keep_weights` wrote it.
    """
    kept: Mapping[str, Tensor] = load_checkpoint(path)["state_dict"] if is_main_process() else {}
    for name, tensor in model.state_dict().items():
        if kept:
            tensor.copy_(kept[name])
        broadcast(tensor)
