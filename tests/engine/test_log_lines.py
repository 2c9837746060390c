"""A number in the log was computed since the line before it, and stands at its own step."""

import json
import re
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.logging import MessageHub
from mmengine.optim import OptimWrapper, OptimWrapperDict
from mmengine.runner import Runner

from sgseg.engine import WindowLogProcessor, log_lines
from sgseg.engine.checkpoints.loading import load_checkpoint
from sgseg.engine.rates import ActingRates
from sgseg.registry import HOOKS
from sgseg.training import train
from sgseg.visualization import read_curves

ConfigMaker = Callable[..., Config]
STEPS, INTERVAL = 5, 2
PARTS = ("backbone", "neck", "decode_head", "fusion")


@HOOKS.register_module()
class Witness(Hook):
    """Every step's outputs, and the rate of the parts whose weights it changed; by itself."""

    priority = "HIGHEST"
    seen: dict[int, dict[str, float]]

    def before_train(self, runner: Runner) -> None:
        Witness.seen = {}

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None) -> None:
        self.before = {n: p.detach().clone() for n, p in runner.model.named_parameters()}

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None
    ) -> None:
        found = {name: float(value.detach()) for name, value in outputs.items()}
        groups = runner.optim_wrapper.optimizer.param_groups
        rates = {group["name"]: group["lr"] for group in groups}
        for part in PARTS:
            moved = any(
                not torch.equal(p, self.before[n])
                for n, p in runner.model.named_parameters()
                if n.startswith(part)
            )
            found[f"lr/{part}"] = rates[part] if moved else 0.0
        Witness.seen[runner.iter + 1] = found


def two_stages(tiny_config: ConfigMaker, work_dir: Path, epochs: int, **options: Any) -> Config:
    """Five steps an epoch, lines behind the second, fourth and last; superpixels, then the head."""
    options = {"default_hooks.logger.interval": INTERVAL, "val_evaluator.num_clusters": 3} | options
    config = tiny_config(work_dir, **options)
    config.train_dataloader.dataset.length = 4 * STEPS
    config.train_cfg.max_epochs = epochs
    for name in ("pictures", "buffers"):
        config.default_hooks.pop(name)
    config.default_hooks.stage.stages = [(0, "superpixel"), (1, "segmentation")]
    config.custom_hooks.append(dict(type="Witness"))
    config.default_hooks.label_free.images = 2
    return config


def entries(work_dir: Path) -> list[dict[str, Any]]:
    """All lines of a work dir's scalars, in the order of their writing."""
    files = sorted(work_dir.glob("*/vis_data/scalars.json"))
    return [json.loads(line) for file in files for line in file.read_text().splitlines()]


def expected(first: int, last: int) -> dict[str, float]:
    """What a line over these steps must say: means, and the last step's rates."""
    steps = [Witness.seen[step] for step in range(first, last + 1)]
    return {
        name: steps[-1][name] if name.startswith("lr/") else np.mean([s[name] for s in steps])
        for name in steps[-1]
    }


def test_lines_hold_their_own_steps(tmp_path: Path, tiny_config: ConfigMaker) -> None:
    """Over a change of stage: each step in one line, its stage's losses alone, rates by name."""
    train(two_stages(tiny_config, tmp_path, 2))
    lines = [entry for entry in entries(tmp_path) if "loss" in entry]
    assert [line["iter"] for line in lines] == [2, 4, 5, 7, 9, 10]
    first = 1
    for line in lines:
        assert line["step"] == line["iter"] and line["epoch"] == (line["iter"] - 1) // STEPS + 1
        own = expected(first, line["iter"])
        timing = {"time", "data_time", "peak_memory_mib", "memory", "iter", "step", "epoch"}
        assert set(line) - timing == set(own)
        for name, value in own.items():
            assert line[name] == pytest.approx(value, rel=1e-6, abs=1e-9), name
        first = line["iter"] + 1
    before, after = lines[2], lines[3]
    assert "loss_clustering" in before and "loss_mutual_information" not in before
    assert "loss_clustering" not in after and "loss_mutual_information" in after
    assert before["lr/backbone"] > 0 == before["lr/neck"] and after["lr/neck"] > 0
    assert after["lr/backbone"] == 0  # frozen from its stage on
    text = "".join(path.read_text() for path in tmp_path.glob("*/*.log"))
    printed = re.findall(r"Epoch\(train\) .*", text)
    assert len(printed) == len(lines) and "base_lr" not in "".join(printed)
    for line, told in zip(lines, printed, strict=True):
        step = (line["iter"] - 1) % STEPS + 1
        assert told.startswith(f"Epoch(train) [{line['epoch']}][{step}/{STEPS}]")
        assert f"lr/neck: {line['lr/neck']:.4e}" in told
        assert ("loss_clustering" in told) == ("loss_clustering" in line)


def test_a_resumed_log_goes_on(tmp_path: Path, tiny_config: ConfigMaker) -> None:
    """No line holds losses that the checkpoint carries, of another stage; scores stand at theirs.

    A score's step counts the training behind it, as a loss's does, and its epoch is named.
    """
    train(two_stages(tiny_config, tmp_path, 1))
    train(two_stages(tiny_config, tmp_path, 2), resume=True)
    line = next(e for e in entries(tmp_path) if "loss" in e and e["epoch"] == 2)
    for name, value in expected(6, 7).items():
        assert line[name] == pytest.approx(value, rel=1e-6, abs=1e-9), name
    assert "loss_clustering" not in line and line["iter"] == 7
    history = map(json.loads, (tmp_path / "eval_history.jsonl").read_text().splitlines())
    accuracy = {record["epoch"]: record["accuracy"] for record in history}
    scored = [entry for entry in entries(tmp_path) if "accuracy" in entry]
    assert {entry["epoch"]: entry["accuracy"] for entry in scored} == accuracy
    assert [entry["step"] for entry in scored] == [STEPS, 2 * STEPS]
    unlabelled = [entry for entry in entries(tmp_path) if "label_free/cluster_usage" in entry]
    assert [(entry["epoch"], entry["step"]) for entry in unlabelled] == [(2, 2 * STEPS)]
    curves = read_curves(sorted(tmp_path.glob("*/vis_data/scalars.json")))
    assert curves["loss"][0] == curves["time"][0] == [2, 4, 5, 7, 9, 10]
    assert curves["accuracy"][0] == curves["val/time"][0] == [5, 10]


@HOOKS.register_module()
class Stop(Hook):
    """End a run in the middle of an epoch, of steps that take a while."""

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None) -> None:
        time.sleep(0.05)
        if runner.iter == 3:
            raise RuntimeError("stopped")


def test_resumed_in_the_middle_of_an_epoch(tmp_path: Path, tiny_config: ConfigMaker) -> None:
    """A line names the step of the epoch; scores and times of training thrown away are dropped.

    The time of the steps before the checkpoint counts, of an epoch that was not whole too.
    """
    options = {"default_hooks.checkpoint.every_iters": 3}
    config = two_stages(tiny_config, tmp_path, 1, **options)
    config.custom_hooks.append(dict(type="Stop"))
    with pytest.raises(RuntimeError, match="stopped"):
        train(config)
    shutil.copy(tmp_path / "epoch_0_iter_3.pth", tmp_path / "between.pth")
    history = tmp_path / "eval_history.jsonl"
    history.write_text('{"epoch": 7, "accuracy": 99.0}\n{"epoch": 8, "acc')
    train(two_stages(tiny_config, tmp_path, 1, **options), resume=True)
    text = sorted(tmp_path.glob("*/*.log"))[-1].read_text()
    assert re.findall(r"Epoch\(train\) (\S+)", text) == ["[1][5/5]"]
    line = [entry for entry in entries(tmp_path) if "loss" in entry][-1]
    assert line["loss"] == pytest.approx(expected(4, 5)["loss"], rel=1e-6)
    assert [json.loads(told)["epoch"] for told in history.read_text().splitlines()] == [1]
    between = load_checkpoint(tmp_path / "between.pth")["meta"]
    whole = load_checkpoint(tmp_path / "epoch_1.pth")["meta"]
    assert whole["training_seconds"] > between["training_seconds"] > 3 * 0.05


def test_guard_reads_what_was_just_computed(tmp_path: Path, tiny_config: ConfigMaker) -> None:
    """However seldom the log asks: at the guard's steps the values are there."""
    options = {"default_hooks.logger.interval": 50, "default_hooks.guard.interval": 3}
    config = two_stages(tiny_config, tmp_path, 1, **options)
    config.val_dataloader = config.val_evaluator = config.val_cfg = None
    config.default_hooks.checkpoint.pop("save_best")
    seen = []

    @HOOKS.register_module(force=True)
    class Reader(Hook):
        def after_train_iter(self, runner: Runner, batch_idx: int, **others: Any) -> None:
            found = runner.message_hub.log_scalars.get("train/loss")
            seen.append(0 if found is None else len(found.data[0]))

    config.custom_hooks.append(dict(type="Reader"))
    train(config)
    assert seen == [0, 0, 3, 3, 5]


def test_the_newer_run_wins(tmp_path: Path) -> None:
    """Where a resumed run begins, the older one's later steps are of training thrown away."""
    logs = [
        [dict(loss=1.0, step=2), dict(loss=2.0, step=4), dict(accuracy=10.0, step=4)],
        [dict(loss=7.0, step=4), dict(loss=8.0, step=6)],
        [],
    ]
    files = []
    for number, log in enumerate(logs):
        files.append(tmp_path / f"{number}.json")
        files[-1].write_text("".join(json.dumps(entry) + "\n" for entry in log))
    with files[1].open("a") as file:
        file.write('{"loss": 9')  # killed while it wrote
    assert read_curves(files) == {"loss": ([2, 4, 6], [1.0, 7.0, 8.0])}


def test_a_long_history_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    """Checkpoints do not grow with every step; a line is of its own steps all the same."""
    monkeypatch.setattr(log_lines, "_KEPT", 3)
    hub, processor = MessageHub("long"), WindowLogProcessor()
    runner = SimpleNamespace(message_hub=hub)
    for line in range(1, 6):
        for value in (line, 3 * line):
            hub.update_scalar("train/loss", value)
        assert processor._collect_scalars([], runner, "train") == {"loss": 2 * line}
        processor.begin(hub, "train")
        assert processor._collect_scalars([], runner, "train") == {}
    assert hub.get_scalar("train/loss").data[0].tolist() == [12, 5, 15]


def wrapper(*groups: dict[str, Any]) -> OptimWrapper:
    return OptimWrapper(torch.optim.SGD(list(groups), lr=9.0))


def test_rates_of_other_optimisers() -> None:
    """Names where there are any; a group without a gradient stands still; nothing before a step."""
    a, b, c = (torch.nn.Parameter(torch.ones(1)) for _ in range(3))
    parts = wrapper(dict(params=[a], lr=0.5, name="a"), dict(params=[b], lr=0.25, name="b"))
    rates = ActingRates(parts)
    assert rates.read() == {}
    parts.update_params((2 * a).sum())
    assert rates.read() == {"lr/a": 0.5, "lr/b": 0.0}
    rates.forget()
    assert rates.read() == {}
    nameless = wrapper(dict(params=[b], lr=0.5), dict(params=[c], lr=0.25))
    several = ActingRates(OptimWrapperDict(parts=parts, rest=nameless))
    parts.update_params((a + b).sum())
    nameless.update_params((b + c).sum())
    assert several.read() == {
        "lr/parts/a": 0.5,
        "lr/parts/b": 0.25,
        "lr/rest/lowest": 0.25,
        "lr/rest/highest": 0.5,
    }
