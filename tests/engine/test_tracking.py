"""`--track`: the same scalars and pictures in TensorBoard, wandb and MLflow, without a network."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.visualization import Visualizer

from sgseg.engine import tracking
from sgseg.engine.checkpoints.loading import load_checkpoint
from sgseg.engine.tracking import add_trackers
from sgseg.registry import MODELS
from sgseg.training import train
from sgseg.training.saved import saved_config

ConfigMaker = Callable[..., Config]


def has(name: str) -> pytest.MarkDecorator:
    """Skipped, with how to get it, where a tracker is not installed."""
    extra = tracking._EXTRAS[name]
    return pytest.mark.skipif(find_spec(name) is None, reason=f'pip install "sgseg[{extra}]"')


@pytest.mark.slow
@has("tensorboard")
def test_tensorboard(tmp_path: Path, tiny_config: ConfigMaker) -> None:
    """Losses, scores and pictures of a run, as TensorBoard's own reader finds them."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    config = tiny_config(tmp_path)
    add_trackers(config, ["tensorboard"])
    train(config)
    (events,) = tmp_path.glob("*/vis_data/events.out.tfevents*")
    found = EventAccumulator(str(events))
    found.Reload()
    assert {"loss", "accuracy", "label_free/order_agreement"} <= set(found.Tags()["scalars"])
    assert "predictions" in found.Tags()["images"]
    accuracy = [event.step for event in found.Scalars("accuracy")]
    assert accuracy == [2, 4, 6]
    # The checkpoint is used where the tracker is not: its config names classes that are known.
    MODELS.build(saved_config(load_checkpoint(tmp_path / "epoch_3.pth"), "epoch_3.pth").model)


def reported(config: Config, folder: Path) -> None:
    """What a run sends: its config, scalars, a picture."""
    init_default_scope("sgseg")  # as a run does
    visualizer = Visualizer(vis_backends=config.visualizer.vis_backends, save_dir=str(folder))
    config.work_dir = str(folder)
    visualizer.add_config(config)
    for step in (1, 2):
        visualizer.add_scalars(dict(loss=1.0 / step, epoch=step), step=step)
        visualizer.add_image("predictions", np.zeros((8, 9, 3), np.uint8), step=step)
    visualizer.close()


@has("wandb")
def test_wandb(tmp_path: Path, tiny_config: ConfigMaker, monkeypatch: pytest.MonkeyPatch) -> None:
    """Offline, a run's file is written below the run's folder, and no code is collected."""
    monkeypatch.setenv("WANDB_MODE", "offline")
    config = tiny_config(tmp_path)
    add_trackers(config, ["wandb"])
    reported(config, tmp_path)
    (run,) = tmp_path.glob("**/offline-run-*")
    assert list(run.glob("*.wandb")) and list(run.glob("files/media/images/predictions*.png"))
    assert not list(run.glob("files/code/**/*.py"))


@has("mlflow")
def test_mlflow(tmp_path: Path, tiny_config: ConfigMaker, monkeypatch: pytest.MonkeyPatch) -> None:
    """In files below the run's folder, a picture a step; read by MLflow's client."""
    from mlflow.tracking import MlflowClient

    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    config = tiny_config(tmp_path)
    add_trackers(config, ["mlflow"])
    reported(config, tmp_path)
    client = MlflowClient()
    experiment = client.get_experiment_by_name("sgseg_diffgcn_practical_mosaic")
    (run,) = client.search_runs([experiment.experiment_id])
    assert [m.value for m in client.get_metric_history(run.info.run_id, "loss")] == [1.0, 0.5]
    pictures = client.list_artifacts(run.info.run_id, "predictions")
    assert [each.path[-12:] for each in pictures] == ["00000001.png", "00000002.png"]


def test_what_is_unknown_or_missing(
    tiny_config: ConfigMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Refused before anything begins, with the command that adds it."""
    config = tiny_config(Path("x"))
    with pytest.raises(ValueError, match="choose among tensorboard, wandb, mlflow"):
        add_trackers(config, ["neptune"])
    monkeypatch.setattr(tracking, "find_spec", lambda name: None)
    with pytest.raises(ModuleNotFoundError, match=r"pip install \"sgseg\[track\]\""):
        add_trackers(config, ["tensorboard"])
