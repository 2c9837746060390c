"""Label-free scores, stopping by them, and the collapse guard, in real runs of seconds."""

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.logging import HistoryBuffer

from sgseg.engine import CollapseGuardHook, LabelFreeHook, LabelFreeStoppingHook
from sgseg.engine.checkpoints.loading import load_checkpoint
from sgseg.engine.hooks import label_free
from sgseg.engine.hooks.guard import verdicts
from sgseg.registry import HOOKS
from sgseg.training import train

ConfigMaker = Callable[..., Config]
LIMITS = dict(one_cluster=0.95, no_information=0.01, dead_superpixels=0.5)


def quiet(config: Config) -> Config:
    """Without pictures, which take longer than the training."""
    config.default_hooks.pop("pictures")
    return config


@pytest.mark.slow
def test_scores_are_written_and_change_nothing(tmp_path: Path, tiny_config: ConfigMaker) -> None:
    """A file with every epoch in which the head trained; the weights are those without the hook."""
    watched = quiet(tiny_config(tmp_path / "a"))
    train(watched)
    unwatched = quiet(tiny_config(tmp_path / "b"))
    for name in ("label_free", "guard"):
        unwatched.default_hooks.pop(name)
    train(unwatched)
    first, second = (load_checkpoint(tmp_path / d / "epoch_3.pth")["state_dict"] for d in "ab")
    assert all(torch.equal(first[key], second[key]) for key in first)
    found = json.loads((tmp_path / "a/label_free.json").read_text())
    assert [record["epoch"] for record in found["epochs"]] == [3]  # two are superpixels alone
    assert found["images"] == 6
    record = found["epochs"][0]
    for name in label_free.NAMES:
        assert 0 <= record[name] <= 1
    scalars = next((tmp_path / "a").glob("*/vis_data/scalars.json")).read_text()
    assert "label_free/order_agreement" in scalars
    assert not (tmp_path / "b/label_free.json").exists()


class Scripted:
    """Scores that were planned, one epoch after the other."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *values: float) -> None:
        self.values = list(values)
        monkeypatch.setattr(label_free, "score_images", self)

    def __call__(self, *args: Any) -> dict[str, float]:
        return dict.fromkeys(label_free.NAMES, self.values.pop(0))


def stopping(config: Config, **arguments: Any) -> Config:
    quiet(config).custom_hooks.append(dict(type="LabelFreeStoppingHook", **arguments))
    return config


@pytest.mark.slow
def test_stops_behind_the_best_and_keeps_it(
    tmp_path: Path, tiny_config: ConfigMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two epochs after its best the run stops, is evaluated, and has the best epoch's weights."""
    Scripted(monkeypatch, 0.1, 0.3, 0.2, 0.2, 0.9, 0.9)
    options = {"train_cfg.max_epochs": 9, "train_cfg.val_interval": 9, "train_cfg.val_begin": 9}
    config = stopping(tiny_config(tmp_path, **options), patience=2)
    train(config)
    assert load_checkpoint(tmp_path / "best_label_free.pth")["meta"]["epoch"] == 4
    assert (tmp_path / "epoch_6.pth").is_file() and not (tmp_path / "epoch_7.pth").exists()
    assert json.loads((tmp_path / "eval.json").read_text())["epoch"] == 6
    # A restart of the stopped run does not go on.
    train(stopping(tiny_config(tmp_path, **options), patience=2), resume=True)
    assert not (tmp_path / "epoch_7.pth").exists()


@pytest.mark.slow
def test_a_resumed_run_stops_where_the_unbroken_one_does(
    tmp_path: Path, tiny_config: ConfigMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The scores of the epochs before the restart count."""
    Scripted(monkeypatch, 0.3, 0.2, 0.9)
    short = {"train_cfg.max_epochs": 4, "param_scheduler.0.end": 18}
    train(stopping(tiny_config(tmp_path, **short), patience=2))
    Scripted(monkeypatch, 0.1, 0.9)
    longer = {"train_cfg.max_epochs": 9, "param_scheduler.0.end": 18}
    train(stopping(tiny_config(tmp_path, **longer), patience=2), resume=True)
    assert (tmp_path / "epoch_5.pth").is_file() and not (tmp_path / "epoch_6.pth").exists()
    epochs = json.loads((tmp_path / "label_free.json").read_text())["epochs"]
    assert [(e["epoch"], e["cluster_usage"]) for e in epochs] == [(3, 0.3), (4, 0.2), (5, 0.1)]


def test_bad_arguments_are_refused(tmp_path: Path, tiny_config: ConfigMaker) -> None:
    """An unknown score, nothing to score, and stopping without the scores."""
    with pytest.raises(ValueError, match="must be one of"):
        LabelFreeStoppingHook(monitor="accuracy")
    with pytest.raises(ValueError, match="must be >= 1"):
        LabelFreeHook(images=0)
    with pytest.raises(ValueError, match=r"in \[0, 1\]"):
        CollapseGuardHook(largest=95)
    config = stopping(tiny_config(tmp_path))
    config.default_hooks.pop("label_free")
    with pytest.raises(ValueError, match="needs the scores"):
        train(config)


@pytest.mark.parametrize(
    ("means", "expected"),
    [
        (dict(largest_class=0.97, mutual_information=0.2, live_superpixels=30), {"one_cluster"}),
        (
            dict(largest_class=0.5, mutual_information=0.004, live_superpixels=30),
            {"no_information"},
        ),
        (
            dict(largest_class=0.5, mutual_information=0.2, live_superpixels=15),
            {"dead_superpixels"},
        ),
        # The demo's third and sixth epoch; its first, in which the head does not train.
        (dict(largest_class=0.45, mutual_information=0.0357, live_superpixels=31.9), set()),
        (dict(largest_class=0.4, mutual_information=0.0538, live_superpixels=31.875), set()),
        (dict(live_superpixels=32.0), set()),
    ],
)
def test_verdicts(means: dict[str, float], expected: set[str]) -> None:
    """Each kind of collapse is known by its own sign; a healthy run has none."""
    assert set(verdicts(means, LIMITS, 32)) == expected


@HOOKS.register_module(force=True)
class PlantCollapse(Hook):
    """One cluster, and one superpixel, whatever the image."""

    def before_train(self, runner: Any) -> None:
        model = runner.model
        for layer, channel in (
            (model.decode_head.classifier[-1], 1),
            (model.backbone.classifier, 0),
        ):
            torch.nn.init.zeros_(layer.weight)
            torch.nn.init.zeros_(layer.bias)
            layer.bias.data[channel] = 50.0


def test_a_planted_collapse_is_said_within_an_epoch(
    tmp_path: Path, tiny_config: ConfigMaker
) -> None:
    """All three kinds, in the log with what to change and in guard.json; ``stop`` ends the run."""
    config = quiet(tiny_config(tmp_path, **{"default_hooks.guard.stop": True}))
    config.model.backbone.logit_norm = False
    config.custom_hooks.append(dict(type="PlantCollapse"))
    config.default_hooks.stage.stages = [(0, "joint")]
    config.optim_wrapper.paramwise_cfg.lr = dict.fromkeys(
        ("backbone", "neck", "decode_head", "fusion"), 0.0
    )
    runner = train(config)
    warnings = json.loads((tmp_path / "guard.json").read_text())
    assert {w["kind"] for w in warnings} == set(LIMITS)
    assert {w["epoch"] for w in warnings} == {1} and runner.epoch == 1
    assert {w["step"] for w in warnings} == {2}  # the last of the epoch
    log = next(tmp_path.glob("*/*.log")).read_text()
    for said in ("COLLAPSE in epoch 1", "one cluster takes 100.0%", "balance", "logit_norm=True"):
        assert said in log


class Said:
    """A logger that keeps what is said."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def warning(self, text: str) -> None:
        self.lines.append(text)


def test_the_guard_speaks_once_until_it_is_over(tmp_path: Path) -> None:
    """Every ``interval`` steps of a long epoch; a recovery is said, and then it may speak again."""
    buffer = HistoryBuffer()
    runner: Any = SimpleNamespace(
        model=SimpleNamespace(stage="joint"),
        epoch=0,
        iter=0,
        work_dir=str(tmp_path),
        logger=Said(),
        message_hub=SimpleNamespace(log_scalars={"train/largest_class": buffer}),
    )
    guard = CollapseGuardHook(interval=2)
    guard.before_train(runner)
    said = []
    for share in ([0.5] * 4, [0.99] * 6, [0.5] * 4, [0.99] * 4):
        guard.before_train_epoch(runner)
        for value in share:
            buffer.update(value)
            guard.after_train_iter(runner, 0)
        guard.after_train_epoch(runner)
        runner.epoch += 1
        said.append(len(runner.logger.lines))
    assert said == [0, 1, 2, 3] and "is over in epoch 3" in runner.logger.lines[1]
    assert [w["over"] for w in json.loads((tmp_path / "guard.json").read_text())] == [3, None]
    runner.model.stage = "superpixel"  # which does not show the clusters: nothing is taken back
    guard.before_train_epoch(runner)
    guard.after_train_epoch(runner)
    assert len(runner.logger.lines) == 3


def test_the_guard_forgets_what_is_trained_anew(tmp_path: Path) -> None:
    """Warnings from behind the checkpoint that a run goes on from leave the file with it."""
    path = tmp_path / "guard.json"
    path.write_text(json.dumps([dict(kind=k, epoch=2, step=n) for k, n in (("a", 7), ("b", 9))]))
    runner: Any = SimpleNamespace(epoch=1, iter=7, work_dir=str(tmp_path))
    CollapseGuardHook().before_train(runner)
    assert [warning["kind"] for warning in json.loads(path.read_text())] == ["a"]


@pytest.mark.slow
def test_the_guard_is_silent_on_the_demo(tmp_path: Path) -> None:
    """Six epochs of the practical recipe on mosaics bring no warning of a collapse."""
    from sgseg.comparison.compose import Data, compose
    from sgseg.comparison.rows import Row
    from sgseg.training import build_config
    from tests.conftest import ROOT

    composed = compose(Row("main"), "practical", Data("mosaic"), "tiny", ROOT / "configs", epochs=6)
    composed.dump(tmp_path / "config.py")
    train(build_config(tmp_path / "config.py", work_dir=tmp_path))
    assert not (tmp_path / "guard.json").exists()
