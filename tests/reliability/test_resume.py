"""A run that was stopped goes on as if it never had been (R1)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sgseg.datasets import DrawSampler
from sgseg.engine.checkpoints.loading import load_checkpoint
from sgseg.training import train
from tests.reliability.runs import STEPS, NoiseHook, assert_same_run, noisy_config, unbroken


class Stop(Exception):
    """Ends a run where a test wants it."""


def stop(runner: Any) -> None:
    """Act of a NoiseHook."""
    raise Stop


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The last checkpoint of an unbroken run."""
    return unbroken(tmp_path_factory.mktemp("whole"))


def stopped(work_dir: Path, kind: str, number: int, **options: Any) -> None:
    """Run until a step (counted from 0) or an epoch's evaluation, and fail there."""
    NoiseHook.act, NoiseHook.at = stop, (kind, number)
    with pytest.raises(Stop):
        train(noisy_config(work_dir, **options))


@pytest.mark.parametrize(
    ("step", "workers"),
    [
        (8, 2),
        pytest.param(7, 2, marks=pytest.mark.slow),
        *(pytest.param(step, 0, marks=pytest.mark.slow) for step in (1, 2, 3, 4, 5, 6, 9, 10, 11)),
    ],
)
def test_resumed_equals_unbroken(
    whole: dict[str, Any], tmp_path: Path, step: int, workers: int
) -> None:
    """Stopped at any step, an epoch's first or not, either side of the stages' boundary (8)."""
    options: dict[str, Any] = {"default_hooks.checkpoint.every_iters": 3, "workers": workers}
    stopped(tmp_path, "step", step, **options)
    train(noisy_config(tmp_path, **options), resume=True)
    assert_same_run(load_checkpoint(tmp_path / "epoch_3.pth"), whole)
    assert not list(tmp_path.glob("*_iter_*"))  # the finished run needs them no more


@pytest.mark.slow
def test_saving_does_not_change_a_run(whole: dict[str, Any], tmp_path: Path) -> None:
    """Checkpoints in between, workers, and --resume with nothing there leave every number."""
    options: dict[str, Any] = {"default_hooks.checkpoint.every_iters": 1, "workers": 1}
    train(noisy_config(tmp_path, **options), resume=True)
    assert_same_run(load_checkpoint(tmp_path / "epoch_3.pth"), whole)


@pytest.mark.slow
def test_a_resumed_run_keeps_the_seed_it_began_with(tmp_path: Path) -> None:
    """Images, order and crops go on as they were, whatever seed the second command gives."""
    crops = {f"{part}_dataloader.dataset.size": 48 for part in ("train", "val", "test")}
    expected = unbroken(tmp_path / "whole", seed=3, **crops)
    stopped(tmp_path / "run", "step", 4, seed=3, **crops)
    train(noisy_config(tmp_path / "run", seed=0, **crops), resume=True)
    assert_same_run(load_checkpoint(tmp_path / "run/epoch_3.pth"), expected)


def test_other_images_are_not_gone_on_with(tmp_path: Path) -> None:
    """A checkpoint of other images is refused, by its name."""
    stopped(tmp_path, "step", 4)
    (checkpoint,) = tmp_path.glob("epoch_1.pth")
    config = noisy_config(tmp_path, **{"train_dataloader.dataset.length": 12})
    with pytest.raises(ValueError, match=rf"{checkpoint.name} was trained on other images.*items"):
        train(config, resume=True)


def test_another_optimiser_does_not_go_on(tmp_path: Path) -> None:
    """Neither crashes in the first step nor begins with an empty state: it is refused."""
    stopped(tmp_path, "step", 4)
    config = noisy_config(tmp_path)
    config.optim_wrapper.optimizer = dict(type="SGD", lr=0.1)
    with pytest.raises(ValueError, match="holds the state of Adam, this config has SGD"):
        train(config, resume=True)


def test_checkpoints_have_the_names_that_resume_looks_for(tmp_path: Path) -> None:
    """Under others --resume would begin anew, and write over them."""
    for key, value in dict(filename_tmpl="ep_{}.pth", by_epoch=False, out_dir="else").items():
        with pytest.raises(ValueError, match=f"{key} cannot be set"):
            train(noisy_config(tmp_path, **{f"default_hooks.checkpoint.{key}": value}))


@pytest.mark.slow
def test_accumulated_gradients_are_not_lost(tmp_path: Path) -> None:
    """With accumulation a checkpoint in between waits for the optimiser's step."""
    options = {
        "optim_wrapper.accumulative_counts": 2,
        "default_hooks.checkpoint.every_iters": 3,
    }
    expected = unbroken(tmp_path / "whole", **options)
    stopped(tmp_path / "run", "step", 5, **options)
    assert (tmp_path / "run/epoch_0_iter_4.pth").is_file()
    train(noisy_config(tmp_path / "run", **options), resume=True)
    assert_same_run(load_checkpoint(tmp_path / "run/epoch_3.pth"), expected)


@pytest.mark.slow
def test_what_does_not_fit_in_the_middle_of_an_epoch(tmp_path: Path) -> None:
    """Another batch size or sampler is refused with the way out; the newest two files stay."""
    stopped(tmp_path, "step", 7, **{"default_hooks.checkpoint.every_iters": 1})
    found = sorted(path.name for path in tmp_path.glob("*_iter_*"))
    assert found == ["epoch_1_iter_6.pth", "epoch_1_iter_7.pth"]
    config = noisy_config(tmp_path, **{"train_dataloader.batch_size": 4})
    with pytest.raises(ValueError, match="epoch of 4 steps, an epoch has 2 here"):
        train(config, resume=True)
    config = noisy_config(tmp_path)
    config.train_dataloader.sampler.type = "DefaultSampler"
    with pytest.raises(ValueError, match="DefaultSampler cannot begin in the middle"):
        train(config, resume=True)


def test_weights_alone_are_not_resumed(tmp_path: Path) -> None:
    """best_*.pth has no optimiser: a resume from it would silently be another run."""
    config = noisy_config(tmp_path)
    train(config)
    again = noisy_config(tmp_path)
    again.load_from = str(next(tmp_path.glob("best_*.pth")))
    with pytest.raises(ValueError, match="holds no optimizer"):
        train(again, resume=True)


@pytest.mark.parametrize("world", [1, 2, 3])
def test_sampler_begins_behind_what_was_seen(world: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every rank leaves out its own first items, once; the next pass is whole."""
    for rank in range(world):
        monkeypatch.setattr("mmengine.dataset.sampler.get_dist_info", lambda r=rank: (r, world))
        sampler = DrawSampler(list(range(11)), shuffle=True, seed=0)
        every = list(sampler)
        sampler.skip(STEPS - 2)
        assert list(sampler) == every[STEPS - 2 :]
        assert list(sampler) == every
