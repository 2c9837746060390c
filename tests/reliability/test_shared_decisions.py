"""What ends a training on one of two processes ends it on both, at the same step."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest
from mmengine.hooks import EarlyStoppingHook, Hook
from torch import Tensor

from sgseg.engine.checkpoints.loading import load_checkpoint
from sgseg.models.losses import SmoothnessLoss
from tests.reliability.ranks import EPOCH, Left, config_for, on_ranks, run
from tests.reliability.runs import NoiseHook


def by_a_hook(rank: int, folder: str, where: str) -> Left:
    """A hook of somebody's stops the run on rank 1 alone."""

    def stop(self: Hook, runner: Any, *args: Any, **kwargs: Any) -> None:
        runner.train_loop.stop_training |= rank == 1

    config = config_for(folder)
    return run(config, type("Stopper", (Hook,), {where: stop}))


def by_the_guard(rank: int, folder: str) -> Left:
    """In epoch 2 rank 1 alone logs that no superpixel owns a pixel."""

    class Dead(Hook):
        priority = "VERY_LOW"

        def after_train_iter(self, runner: Any, batch_idx: int, *args: Any, **more: Any) -> None:
            for _ in range(EPOCH if runner.epoch == 1 else 0):
                live = 0.0 if rank == 1 else 8.0
                runner.message_hub.update_scalar("train/live_superpixels", live)

    limits = {"default_hooks.guard.stop": True, "default_hooks.guard.live": 0.9}
    config = config_for(folder, **limits)
    return run(config, Dead)


def by_early_stopping(rank: int, folder: str) -> Left:
    """mmengine's hook; the score rises on every rank but one."""

    class Apart(EarlyStoppingHook):
        def after_val_epoch(self, runner: Any, metrics: dict[str, float]) -> None:
            score = 1.0 if rank == 1 else float(runner.epoch)
            super().after_val_epoch(runner, dict(accuracy=score))

    config = config_for(folder)
    return run(config, Apart, monitor="accuracy", patience=1, min_delta=0.1)


def by_label_free_stopping(rank: int, folder: str) -> Left:
    """The scores fall where the checkpoints are written, and rise elsewhere."""

    class Apart(Hook):
        priority = 55  # behind the scores, in front of the decision

        def after_train_epoch(self, runner: Any) -> None:
            (scores,) = [h for h in runner.hooks if type(h).__name__ == "LabelFreeHook"]
            for place, record in enumerate(scores.history):
                record["mutual_information"] = 0.5 + place * (-0.1 if rank == 0 else 0.1)

    config = config_for(folder)
    config.custom_hooks.append(dict(type="LabelFreeStoppingHook", patience=1))
    config.train_cfg.max_epochs = 5
    return run(config, Apart)


def by_a_signal(rank: int, folder: str, number: int) -> Left:
    """Rank 1 alone is told to leave, in its sixth step."""

    def send(runner: Any) -> None:
        os.kill(os.getpid(), number)

    if rank == 1:
        NoiseHook.act, NoiseHook.at = send, ("step", 5)
    return run(config_for(folder))


def by_a_broken_loss(rank: int, folder: str, interval: int) -> Left:
    """The third step of rank 1 has a loss that is no number."""
    calls = []
    honest = SmoothnessLoss.term

    def planted(self: SmoothnessLoss, state: Any) -> Tensor:
        calls.append(1)
        return honest(self, state) * (float("nan") if rank == 1 and len(calls) == 3 else 1.0)

    looks = {"default_hooks.finite.interval": interval, "default_hooks.checkpoint.every_iters": 2}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SmoothnessLoss, "term", planted)
        return run(config_for(folder, **looks))


def by_a_full_disk(rank: int, folder: str) -> Left:
    """Rank 0, which writes, cannot."""

    class Full(Hook):
        def before_save_checkpoint(self, runner: Any, checkpoint: Any) -> None:
            raise OSError(28, "No space left on device")

    config = config_for(folder)
    return run(config, Full)


@pytest.fixture(params=[2, pytest.param(4, marks=pytest.mark.slow)], ids="{} ranks".format)
def ends(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    """``ends(function, *args)``: the one way in which all processes ended."""

    def ends(function: Any, *args: Any) -> Left:
        folder = tmp_path / "ranks"
        first, *others = on_ranks(request.param, folder, function, str(tmp_path), *args)
        assert others == [first] * (request.param - 1)
        return first

    return ends


@pytest.mark.parametrize("where", ["after_train_epoch", "after_val_epoch"])
def test_any_hook_that_stops(ends: Any, where: str) -> None:
    """One process is told to stop in the first epoch of three: all are behind it."""
    assert ends(by_a_hook, where) == dict(error="", epoch=1, iter=EPOCH)


def test_the_guard(ends: Any, tmp_path: Path) -> None:
    """All ranks judge by the mean over ranks: the collapse of one is seen, and said once."""
    assert ends(by_the_guard) == dict(error="", epoch=2, iter=2 * EPOCH)
    (said,) = json.loads((tmp_path / "guard.json").read_text())
    assert said["kind"] == "dead_superpixels" and said["epoch"] == 2


def test_early_stopping_by_a_score(ends: Any) -> None:
    """Where one rank has waited long enough, all have."""
    assert ends(by_early_stopping) == dict(error="", epoch=2, iter=2 * EPOCH)


def test_early_stopping_without_labels(ends: Any, tmp_path: Path) -> None:
    """Rank 0 decides, as it writes the best weights; epochs 3 and 4 have a score."""
    assert ends(by_label_free_stopping) == dict(error="", epoch=4, iter=4 * EPOCH)
    assert load_checkpoint(tmp_path / "best_label_free.pth")["meta"]["epoch"] == 3


@pytest.mark.parametrize(
    ("number", "code"),
    [(signal.SIGTERM, "143"), pytest.param(signal.SIGINT, "130", marks=pytest.mark.slow)],
    ids=["SIGTERM", "Ctrl-C"],
)
def test_a_signal_to_one_process(ends: Any, tmp_path: Path, number: int, code: str) -> None:
    """All leave at the next step that they agree at, with one checkpoint of it."""
    assert ends(by_a_signal, number) == dict(error="SystemExit", text=code)
    assert [path.name for path in tmp_path.glob("*_iter_*")] == ["epoch_1_iter_8.pth"]
    assert load_checkpoint(tmp_path / "epoch_1_iter_8.pth")["meta"]["iter"] == 8


@pytest.mark.parametrize("interval", [1, 5], ids="looked at every {}".format)
def test_a_loss_that_is_not_finite(ends: Any, tmp_path: Path, interval: int) -> None:
    """One error on all, naming rank, step and term, though the step broke every rank's weights."""
    found = ends(by_a_broken_loss, interval)
    assert found["error"] == "FloatingPointError"
    (ranks,) = found["text"].split(": Step 3 (epoch 1): loss_smoothness not finite")[:1]
    assert ranks.startswith("Rank 1 of ")
    assert [path.name for path in tmp_path.glob("*.pth")] == ["epoch_0_iter_2.pth"]


def test_a_checkpoint_that_cannot_be_written(ends: Any) -> None:
    """The error of the process that writes is everyone's."""
    found = ends(by_a_full_disk)
    assert found["error"] == "OSError"
    assert found["text"].startswith("Rank 0 of ") and "No space left" in found["text"]
