"""What a training shows: a bar or a line an epoch, warnings, and the whole log in its file."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from mmengine.config import Config
from mmengine.logging import HistoryBuffer, print_log

from sgseg.engine.console import RunConsole
from sgseg.engine.hooks.progress import ProgressHook, clock
from sgseg.training import train

ConfigMaker = Callable[..., Config]


def test_a_line_an_epoch_where_nobody_watches(
    tmp_path: Path, tiny_config: ConfigMaker, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where it writes, an epoch a line with its numbers, the result; nothing else."""
    config = tiny_config(tmp_path / "run")
    config.default_hooks.pop("pictures")
    with RunConsole() as console:
        print_log("said before there was a run", logger="current")
        print_log("and this is a warning", logger="current", level=30)
        train(config, console=console)
    shown = capsys.readouterr()
    lines = shown.out.splitlines()
    assert lines[0] == "Warning: and this is a warning" and not shown.err
    assert "8 images, 3 clusters, 3 epochs of 2 steps of 4 images" in lines[1]
    assert lines[2] == f"Checkpoints, log and config: {tmp_path}/run"
    told = [line for line in lines if line.startswith("Epoch")]
    assert re.fullmatch(r"Epoch 1/3 superpixels  \d of 8 superpixels in use, acc.* %.*", told[0])
    assert re.fullmatch(r"Epoch 3/3 head.*  information \d+%, largest cluster \d+%.*", told[2])
    assert re.fullmatch(r"Trained 3 epochs in 0:\d\d: .*accuracy \d+\.\d %, .*", lines[-1])
    # A collapse of so tiny a net is a warning that is wanted.
    rest = [line for line in lines[3:-1] if line not in told]
    assert all(line.startswith("Warning: COLLAPSE") for line in rest)
    (log,) = (tmp_path / "run").glob("*/*.log")
    text = log.read_text()
    for said in ("said before there was a run", "accuracy: ", "System environment", "Config:\n"):
        assert said in text
    assert "will be deprecated" not in text


def test_all_of_the_log_if_asked(
    tmp_path: Path, tiny_config: ConfigMaker, capsys: pytest.CaptureFixture[str]
) -> None:
    """--verbose: mmengine's lines on the console, and no line of ours."""
    config = tiny_config(tmp_path, **{"train_cfg.max_epochs": 1, "param_scheduler.0.end": 18})
    config.default_hooks.pop("pictures")
    with RunConsole(verbose=True) as console:
        train(config, console=console)
    shown = capsys.readouterr().out
    assert "Epoch(train) [1][2/2]" in shown and "\nEpoch 1/1" not in shown


def test_a_bar_for_who_watches() -> None:
    """Epoch, stage, numbers and the time left; warnings above it; gone at the end."""
    said = io.StringIO()
    console = RunConsole()
    console.console = type(console.console)(file=said, force_terminal=True, width=160)
    loss = HistoryBuffer()
    runner: Any = SimpleNamespace(
        model=SimpleNamespace(stage="head"),
        epoch=4,
        iter=40,
        max_epochs=10,
        max_iters=100,
        message_hub=SimpleNamespace(log_scalars={"train/largest_class": loss}),
    )
    with ProgressHook(console) as hook:
        hook.before_train(runner)
        hook.before_train_epoch(runner)
        loss.update(0.25)
        hook.after_train_iter(runner, 0)
        runner.iter = 41
        hook.after_val_epoch(runner, dict(accuracy=61.23))
        console.say("a warning")
    shown = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", said.getvalue())
    assert "Epoch 5/10 head" in shown and "41%" in shown and "0:00 left" in shown
    assert "largest cluster 25% of the pixels, accuracy 61.2 %" in shown
    assert "a warning\n" in shown


def test_clock() -> None:
    """Minutes and seconds; hours where there are any."""
    assert [clock(s) for s in (0.4, 61, 3723)] == ["0:00", "1:01", "1:02:03"]
