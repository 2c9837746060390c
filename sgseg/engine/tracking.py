"""Trackers of experiments beside the run's own files: TensorBoard, Weights & Biases, MLflow."""

from __future__ import annotations

import os
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.config import Config
from mmengine.visualization import MLflowVisBackend, WandbVisBackend
from mmengine.visualization.vis_backend import force_init_env

from ..registry import VISBACKENDS
from .checkpoints.portable import config_as_data

_EXTRAS = dict(tensorboard="track", wandb="wandb", mlflow="mlflow")
"""Tracker, which is the name of its module, -> the extra that installs it."""


@VISBACKENDS.register_module()
class WandbBackend(WandbVisBackend):
    """mmengine's, without the upload of every Python file below the current folder.

    It ends a run by a call that wandb still has. ``WANDB_MODE=offline`` sends nothing.
    """

    @force_init_env
    def add_config(self, config: Config, **kwargs: Any) -> None:
        """Record the config as plain values."""
        self._wandb.config.update(config_as_data(config), allow_val_change=True)

    def close(self) -> None:
        """End wandb's run."""
        if hasattr(self, "_wandb"):
            self._wandb.finish()


@VISBACKENDS.register_module()
class MLflowBackend(MLflowVisBackend):
    """mmengine's, with pictures as files that MLflow can show, one a step.

    It writes where ``MLFLOW_TRACKING_URI`` says, by default into ``vis_data/`` of the run.
    """

    _tracking_uri: str | None

    def _init_env(self) -> None:
        self._tracking_uri = self._tracking_uri or os.environ.get("MLFLOW_TRACKING_URI")
        os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")  # MLflow 3 wants to be told
        super()._init_env()

    @force_init_env
    def add_image(self, name: str, image: np.ndarray, step: int = 0, **kwargs: Any) -> None:
        """Record an RGB picture (H, W, 3)."""
        self._mlflow.log_image(image, f"{name}/{step:08d}.png")


_BACKENDS = dict(tensorboard="TensorboardVisBackend", wandb="WandbBackend", mlflow="MLflowBackend")
"""By name: a config holds text, not classes, once it was read from a file."""


def add_trackers(config: Config, trackers: Sequence[str]) -> None:
    """Let a run report to trackers too.

    Args:
        config: changed in place.
        trackers: of tensorboard, wandb, mlflow.

    Raises:
        ValueError: for an unknown one.
        ModuleNotFoundError: for one that is not installed, with the command that adds it.
    """
    for name in trackers:
        if name not in _EXTRAS:
            raise ValueError(f"--track {name}: choose among {', '.join(_EXTRAS)}")
        if find_spec(name) is None:
            raise ModuleNotFoundError(
                f'--track {name}: it is not installed: pip install "sgseg[{_EXTRAS[name]}]"'
            )
        settings: dict[str, Any] = dict(type=_BACKENDS[name])
        if name == "wandb":
            settings["init_kwargs"] = dict(project=Path(config.filename or "sgseg").stem)
        if name == "mlflow":
            settings["exp_name"] = Path(config.filename or "sgseg").stem
        config.visualizer.vis_backends.append(settings)
