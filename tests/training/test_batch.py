"""The batch that a config states, and what each process has of it."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from mmengine.config import Config
from torch.utils.data import DataLoader

from sgseg.datasets import DrawSampler
from sgseg.training import build_config
from sgseg.training.batch import fit_batch, share_batch
from sgseg.training.loaders import settle_workers
from tests.conftest import ROOT

CONFIGS = sorted((ROOT / "configs").glob("[!_t]*/*.py"))
COCO = ROOT / "configs/sgseg/sgseg_diffgcn_coco15.py"
WORLD = dict(pytorch="WORLD_SIZE", slurm="SLURM_NTASKS", mpi="OMPI_COMM_WORLD_SIZE")


def shared(monkeypatch: pytest.MonkeyPatch, processes: int, **options: Any) -> Config:
    """The main config as one of several processes reads it."""
    monkeypatch.setenv("WORLD_SIZE", str(processes))
    named = {key.replace("__", "."): value for key, value in options.items()}
    return build_config(COCO, launcher="pytorch", options=named)


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_every_config_states_its_total(path: Path) -> None:
    """One process has all of it, and a file states it once."""
    stated = Config.fromfile(str(path))
    assert "batch_size" not in stated.train_dataloader
    assert build_config(path).train_dataloader.batch_size == stated.total_batch_size


@pytest.mark.parametrize("launcher", list(WORLD))
def test_the_total_is_shared(monkeypatch: pytest.MonkeyPatch, launcher: str) -> None:
    """Table 12's 64 on 8 processes of any launcher is 8 each; accumulation divides as well."""
    monkeypatch.setenv(WORLD[launcher], "8")
    options = {"optim_wrapper.accumulative_counts": 2}
    for given, share in (({}, 8), (options, 4)):
        config = build_config(COCO, launcher=launcher, options=given)
        assert (config.train_dataloader.batch_size, config.total_batch_size) == (share, 64)


def test_either_may_be_set(monkeypatch: pytest.MonkeyPatch) -> None:
    """A total is shared, a process's part multiplies; both only where they agree."""
    part = "train_dataloader.batch_size"
    config = shared(monkeypatch, 4, total_batch_size=20)
    assert config.train_dataloader.batch_size == 5
    config = shared(monkeypatch, 4, train_dataloader__batch_size=5)
    assert fit_batch(config, 100)[0].total == 20
    both = dict(total_batch_size=20, train_dataloader__batch_size=5)
    assert shared(monkeypatch, 4, **both).train_dataloader.batch_size == 5
    with pytest.raises(ValueError, match=f"total_batch_size = 20 and {part} = 5 contradict"):
        shared(monkeypatch, 2, **both)


def test_what_does_not_divide_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error names the totals beside it that do, and how many processes would."""
    with pytest.raises(ValueError, match=r"63 or 66, or start 1, 2, 4, 8, 16, 32, 64 processes"):
        shared(monkeypatch, 3)
    with pytest.raises(ValueError, match=r"Set total_batch_size to 128,"):
        shared(monkeypatch, 128)
    monkeypatch.setenv("WORLD_SIZE", "3")  # an evaluation takes no steps
    build_config(COCO, launcher="pytorch", training=False)


def test_a_dumped_config_is_shared_anew(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What a run on 8 processes dumped states 64 still, on any number of processes."""
    shared(monkeypatch, 8).dump(tmp_path / "dumped.py")
    assert build_config(tmp_path / "dumped.py").train_dataloader.batch_size == 64
    (tmp_path / "own.py").write_text(
        (tmp_path / "dumped.py").read_text() + "\ntrain_dataloader['batch_size'] = 32\n"
    )
    own = build_config(tmp_path / "own.py")  # somebody set it, so it is what each process gets
    assert own.train_dataloader.batch_size == 32 and "total_batch_size" not in own


def little(processes: int, drop_last: bool = True, **stated: int) -> Config:
    """A config with a loader alone, launched on some processes."""
    config = Config(
        dict(
            launcher="pytorch",
            train_dataloader=dict(drop_last=drop_last, sampler=dict(shuffle=True)),
            optim_wrapper=dict(accumulative_counts=stated.pop("accumulative_counts", 1)),
            **stated,
        )
    )
    share_batch(config)
    return config


@pytest.mark.parametrize("limit", [None, 33])
@pytest.mark.parametrize("drop_last", [True, False])
@pytest.mark.parametrize(("processes", "images"), [(1, 22), (1, 16), (2, 45), (4, 16), (4, 310)])
def test_steps_are_those_of_the_loader(
    monkeypatch: pytest.MonkeyPatch,
    processes: int,
    images: int,
    drop_last: bool,
    limit: int | None,
) -> None:
    """Steps and images left out, counted in the loader of every rank; whole steps on any number."""
    monkeypatch.setenv("WORLD_SIZE", str(processes))
    config = little(processes, drop_last, total_batch_size=16)
    config.train_dataloader.sampler.images = limit
    steps, changed = fit_batch(config, images)
    drawn = limit or images
    seen, passes, count = set(), set(), 0
    for rank in range(processes):
        monkeypatch.setattr("mmengine.dataset.sampler.get_dist_info", lambda r=rank: (r, processes))
        sampler: Any = DrawSampler(range(images), seed=0, images=limit)  # type: ignore[arg-type]
        loader: Any = DataLoader(
            range(images),  # type: ignore[arg-type]
            16 // processes,
            sampler=[draw.index for draw in sampler],
            drop_last=drop_last,
        )
        batches = list(loader)
        passes.add(len(batches))
        seen |= {int(index) for batch in batches for index in batch}
        count += sum(len(batch) for batch in batches)
    assert passes == {steps.steps_per_epoch} and not changed
    assert drawn - count == steps.left_out and steps.drawn == drawn
    assert drawn < images or len(seen) >= images - (0 if limit else steps.left_out)
    assert not drop_last or steps.steps_per_epoch == drawn // 16
    assert bool(steps.left_out) == ("left out" in steps.lines()[1])
    assert (drawn != images) == (f"draws {drawn} of them" in steps.lines()[1])


def test_an_epoch_of_a_large_set_draws_others_each_time() -> None:
    """30 of 100 an epoch, never one twice, and all before long."""
    sampler: Any = DrawSampler(range(100), seed=0, images=30)  # type: ignore[arg-type]
    epochs = []
    for epoch in range(30):
        sampler.set_epoch(epoch)
        epochs.append([draw.index for draw in sampler])
        assert len(set(epochs[-1])) == len(sampler) == 30
    assert epochs[0] != epochs[1] and len(set().union(*epochs)) == 100
    with pytest.raises(ValueError, match="1 image or more"):
        DrawSampler(range(3), images=0)  # type: ignore[arg-type]


@pytest.mark.parametrize("processes", [1, 2])
def test_an_epoch_of_a_small_set_draws_each_several_times(
    monkeypatch: pytest.MonkeyPatch, processes: int
) -> None:
    """Three images, eight draws: all come up evenly, and no draw is another one's double."""
    draws = []
    for rank in range(processes):
        monkeypatch.setattr("mmengine.dataset.sampler.get_dist_info", lambda r=rank: (r, processes))
        sampler: Any = DrawSampler(range(3), seed=0, images=8)  # type: ignore[arg-type]
        each = list(sampler)
        sampler.skip(2)
        assert list(sampler) == each[2:] and len(each) == 8 // processes
        draws += each
    assert len(set(draws)) == 8  # (index, epoch, seed, pass): what a crop is drawn by
    assert sorted(Counter(draw.index for draw in draws).values()) == [2, 3, 3]


def test_a_set_smaller_than_the_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    """The batch is lowered with a sentence; what no batch can be made of is refused."""
    monkeypatch.setenv("WORLD_SIZE", "1")
    config = little(1, total_batch_size=16)
    steps, (said,) = fit_batch(config, 2)
    assert (steps.total, steps.steps_per_epoch, steps.left_out) == (2, 1, 0)
    assert "has 2 images" in said and "lowered to 2" in said
    assert config.train_dataloader.batch_size == config.total_batch_size == 2
    monkeypatch.setenv("WORLD_SIZE", "4")
    steps, _ = fit_batch(little(4, total_batch_size=16), 7)
    assert (steps.total, steps.steps_per_epoch, steps.left_out) == (4, 1, 3)
    with pytest.raises(ValueError, match="has 3 images, fewer than 4 processes"):
        fit_batch(little(4, total_batch_size=16), 3)
    monkeypatch.setenv("WORLD_SIZE", "1")
    with pytest.raises(ValueError, match="accumulative_counts"):
        fit_batch(little(1, total_batch_size=16, accumulative_counts=4), 3)


def test_what_is_left_out_and_accumulated_is_warned_of(monkeypatch: pytest.MonkeyPatch) -> None:
    """22 images at batch 16 leave 6 out and 11 would not; accumulation is another loss."""
    monkeypatch.setenv("WORLD_SIZE", "1")
    (said,) = fit_batch(little(1, total_batch_size=16), 22)[0].warnings()
    assert "6 of 22 images" in said and "total_batch_size=11 leaves out 0" in said
    accumulated = little(1, total_batch_size=16, accumulative_counts=4)
    (said,) = fit_batch(accumulated, 160)[0].warnings()
    assert "see 4 images at a time, not 16" in said and "another loss" in said


@pytest.mark.parametrize("name", ["train_dataloader", "val_dataloader", "test_dataloader"])
def test_no_workers(name: str) -> None:
    """Every loader of every kind of setting builds and reads without worker processes."""
    of_workers = dict(
        persistent_workers=True, prefetch_factor=4, timeout=9, multiprocessing_context="fork"
    )
    config = Config({name: dict(num_workers=0, pin_memory=True, batch_size=2, **of_workers)})
    settle_workers(config)
    assert [batch.tolist() for batch in DataLoader(range(3), **config[name])] == [[0, 1], [2]]  # type: ignore[arg-type]
    kept = Config({name: dict(num_workers=2, **of_workers)})
    settle_workers(kept)
    assert kept[name].to_dict() == dict(num_workers=2, **of_workers)
