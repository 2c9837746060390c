"""A resumed run follows the length and the rates that its config asks for now."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from mmengine.hooks import Hook

from sgseg.registry import HOOKS
from sgseg.training import train
from tests.reliability.runs import quick_config


@HOOKS.register_module(force=True)
class RatesHook(Hook):
    """Notes the rate of every group at every step."""

    seen: dict[int, list[float]] = {}

    def before_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None) -> None:
        """Note them."""
        groups = runner.optim_wrapper.optimizer.param_groups
        RatesHook.seen[runner.iter] = [group["lr"] for group in groups]


def rates(work_dir: Path, epochs: int, resume: bool = False, **options: Any) -> dict[int, Any]:
    """Rates by step of a run of so many epochs."""
    RatesHook.seen = {}
    unscored = {"train_cfg.val_interval": 99, "default_hooks.label_free": None}
    config = quick_config(work_dir, **{"train_cfg.max_epochs": epochs} | unscored | options)
    config.custom_hooks.append(dict(type="RatesHook"))
    train(config, resume=resume)
    return dict(RatesHook.seen)


@pytest.fixture(scope="module", name="first")
def first_run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[int, Any]]:
    """A run of three epochs (six steps), and its rates."""
    work_dir = tmp_path_factory.mktemp("first")
    return work_dir, rates(work_dir, 3)


@pytest.fixture(scope="module", name="whole")
def whole_run(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Any]:
    """Rates of a run that has six epochs from the start."""
    return rates(tmp_path_factory.mktemp("whole"), 6)


@pytest.mark.parametrize("factor", [1, 2])
def test_a_resumed_run_follows_its_config(
    first: tuple[Path, dict[int, Any]],
    whole: dict[int, Any],
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    factor: int,
) -> None:
    """Three epochs and then three more have the rates of six from the start, doubled if asked."""
    shutil.copytree(first[0], tmp_path, dirs_exist_ok=True)
    base = quick_config(tmp_path).optim_wrapper.paramwise_cfg.lr
    place = "optim_wrapper.paramwise_cfg.lr"
    options = {f"{place}.{part}": factor * rate for part, rate in base.items()}
    resumed = rates(tmp_path, 6, resume=True, **options)
    assert "resumed with another schedule" in "".join(capfd.readouterr())
    assert sorted(resumed) == list(range(6, 12))
    for step, found in resumed.items():
        assert found == pytest.approx([factor * rate for rate in whole[step]], rel=1e-9), step
    # Where the old schedule had ended, the rates would be those of its last step for good.
    assert len({tuple(each) for each in resumed.values()}) > 1
    assert first[1][5] != pytest.approx(whole[5])


def test_nothing_left_to_train_is_said(
    first: tuple[Path, dict[int, Any]], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """A finished run resumed at its own length says that it has nothing to do."""
    shutil.copytree(first[0], tmp_path, dirs_exist_ok=True)
    assert rates(tmp_path, 3, resume=True) == {}
    assert "nothing is left to train" in "".join(capfd.readouterr())
