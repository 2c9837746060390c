"""`sgseg COMMAND` and `tools/<name>.py` are one command line, quick to help."""

from __future__ import annotations

import argparse
import importlib
import os
import re
import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import sgseg
from sgseg.cli import COMMANDS, arguments, main
from sgseg.cli.options import OptionsAction
from tests.conftest import ROOT

TOOLS = {
    "train": "train",
    "test": "test",
    "predict": "predict",
    "name": "name",
    "export": "export",
    "verify_data": "verify",
    "browse_data": "browse",
    "plan": "plan",
    "reproduce_table": "tables",
    "superpixel_report": "superpixels",
    "prepare_data": "prepare",
    "print_config": "config",
    "baselines": "baselines",
    "headroom": "headroom",
    "demo": "demo",
    "doctor": "doctor",
}


def parse(command: str, *given: str) -> argparse.Namespace:
    """The arguments of a command as its ``run`` gets them."""
    parser = argparse.ArgumentParser(command)
    importlib.import_module(f"sgseg.cli.{command}").add_arguments(parser)
    return parser.parse_intermixed_args(given)


def ran(capsys: pytest.CaptureFixture[str], *given: str) -> tuple[int, str]:
    """Exit status and output, both streams, of ``sgseg ...`` that ends by itself."""
    with pytest.raises(SystemExit) as left:
        main(given)
    return int(left.value.code or 0), "".join(capsys.readouterr())


@pytest.mark.parametrize("command", COMMANDS)
def test_help_has_an_example(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Every command says what it does and shows one line that works: its arguments are known."""
    code, out = ran(capsys, command, "--help")
    examples = re.findall(rf"^    sgseg {command}\b(.*)$", out.replace("\\\n       ", ""), re.M)
    assert code == 0 and examples
    for example in examples if command != "prepare" else []:
        parse(command, *example.split())


@pytest.mark.parametrize("tool", TOOLS)
def test_a_tool_is_its_command(
    tool: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """tools/NAME.py takes what the command takes, and calls itself by its own name."""
    path = f"tools/{tool}.py"
    monkeypatch.setattr(sys, "argv", [path, "--help"])
    with pytest.raises(SystemExit):
        runpy.run_path(str(ROOT / path), run_name="__main__")
    shown = capsys.readouterr().out
    _, out = ran(capsys, TOOLS[tool], "--help")
    assert f"usage: python {path}" in shown and f"    python {path}" in shown
    options = [re.findall(r"--[a-z-]+", text.split("options:")[1]) for text in (shown, out)]
    assert options[0] == options[1]


def test_every_tool_is_listed() -> None:
    """The scripts of tools/ are the commands, and the benchmarks, which are not installed."""
    assert {path.stem for path in (ROOT / "tools").glob("*.py")} == {*TOOLS, "benchmark"}
    assert sorted(TOOLS.values()) == sorted(COMMANDS)


def test_benchmarks_are_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """tools/benchmark.py offers every benchmark, and the runtimes that Table 11 is made of."""
    monkeypatch.setattr(sys, "argv", ["benchmark.py", "--help"])
    with pytest.raises(SystemExit):
        runpy.run_path(str(ROOT / "tools/benchmark.py"), run_name="__main__")
    shown = capsys.readouterr().out
    assert "Example:" in shown
    for name in ("data", "graph", "inference", "loss", "metric", "model", "runtimes", "step"):
        assert re.search(rf"^    {name} ", shown, re.M), name


def test_help_imports_nothing_heavy() -> None:
    """Help of everything comes without torch or mmengine."""
    code = (
        "import sys; from sgseg.cli import main\n"
        f"for command in {[['--help'], *([name, '--help'] for name in COMMANDS)]}:\n"
        "    try: main(command)\n"
        "    except SystemExit: pass\n"
        "heavy = {'torch', 'mmengine', 'numpy', 'cv2', 'rich'} & set(sys.modules)\n"
        "sys.exit(str(heavy) if heavy else 0)"
    )
    env = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=env)
    assert done.returncode == 0, done.stderr


def test_the_overview(capsys: pytest.CaptureFixture[str]) -> None:
    """The version, each command with a line, and what is no command."""
    assert ran(capsys, "--version") == (0, f"sgseg {sgseg.__version__}\n")
    code, out = ran(capsys, "--help")
    assert code == 0 and all(re.search(rf"^  {name} +\w", out, re.M) for name in COMMANDS)
    code, out = ran(capsys, "trains")
    assert code == 2 and "'train'" in out


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("test a b c", "got 3 paths, wanted are [CONFIG] CHECKPOINT"),
        ("predict a.pth", "got 1 paths"),
        ("predict --onnx a.onnx b c", "got 2 paths, wanted are"),
        ("export a.pth", "got 1 paths"),
        ("export a.pth b.onnx --height 8", "--height and --width go together"),
        ("tables", "name a table, or give --correlate"),
        ("tables table1 --data folder x y", "--data takes a name and a folder"),
        ("config", "name a config, or give --list"),
        ("superpixels x --methods slik", "slik: choose among slic"),
        ("superpixels x --model a b c", "got 3 paths"),
    ],
)
def test_arguments_that_do_not_go_together(
    capsys: pytest.CaptureFixture[str], given: str, said: str
) -> None:
    """One sentence and the usage, status 2."""
    code, out = ran(capsys, *given.split())
    assert code == 2 and said in out and out.startswith("usage: sgseg")


def test_arguments_become_those_of_a_config() -> None:
    """Each shared argument reaches build_config under its name; others stay with the command."""
    from inspect import signature

    from sgseg.training import build_config

    line = "x.py --data d --num-classes 5 --preset tiny --epochs 2 --label-map a#b --bands 4"
    line += " --value-range 0 9 --work-dir w --resume --amp --seed 7 --deterministic"
    line += " --shares 0.7 0.3 --size 64 --track wandb mlflow"
    args = parse("train", *line.split(), "--launcher", "slurm", "--cfg-options", "a.b=3")
    taken = arguments.config_arguments(args)
    assert taken == dict(
        data="d", num_classes=5, preset="tiny", epochs=2, label_map="a#b", bands=4,
        value_range=[0, 9], work_dir="w", amp=True, seed=7, deterministic=True,
        launcher="slurm", options={"a.b": 3}, shares=[0.7, 0.3], size=64,
        track=["wandb", "mlflow"],
    )  # fmt: skip
    assert taken.keys() <= signature(build_config).parameters.keys()
    assert arguments.config_arguments(parse("browse", "x.py")).keys() == {
        *("data", "label_map", "bands"),
        "size",
    }


def test_paths_stand_where_one_likes() -> None:
    """Before, after and between options."""
    args = parse("predict", "c.py", "--side", "8", "e.pth", "--tile", "4", "photos")
    assert args.paths == ["c.py", "e.pth", "photos"] and (args.side, args.tile) == (8, 4)
    assert arguments.config_and(args.paths, 2, "") == ["c.py", "e.pth", "photos"]
    assert arguments.config_and(args.paths[1:], 2, "") == [None, "e.pth", "photos"]


def test_options_add_up() -> None:
    """Given twice, ``--cfg-options`` keeps both; the default of the command stays as it is."""
    default: dict[str, Any] = {}
    parser = argparse.ArgumentParser()
    parser.add_argument("--cfg-options", nargs="+", action=OptionsAction, default=default)
    args = parser.parse_args(["--cfg-options", "a=1", "--cfg-options", "b=(2,x)", "c=a=b"])
    assert args.cfg_options == {"a": 1, "b": (2, "x"), "c": "a=b"} and default == {}


def test_configs_are_listed(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """`sgseg config --list` names them all, and prints any by its name, from any folder."""
    assert main(["config", "--list"]) == 0
    listed = [line.split()[0] for line in capsys.readouterr().out.splitlines()]
    assert {path.stem for path in (ROOT / "configs/sgseg").glob("*.py")} <= set(listed)
    assert main(["config", "sgseg_diffgcn_folder", "--cfg-options", "model.neck.knn=5"]) == 0
    assert "knn=5" in capsys.readouterr().out
