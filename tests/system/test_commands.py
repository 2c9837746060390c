"""The command line, several processes included."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT, TINY

MOSAIC = "configs/sgseg/sgseg_diffgcn_mosaic.py"
OPTIONS = [f"{key}={value}" for key, value in TINY.items()]


def run(*command: str, code: int = 0) -> str:
    """Run a command of the project; its output, both streams."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    env = os.environ | {"PATH": path, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        command,
        cwd=ROOT,
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=300,
    )
    assert done.returncode == code, done.stdout[-3000:]
    return done.stdout


@pytest.mark.slow
def test_train_test_on_two_processes(tmp_path: Path) -> None:
    """tools/dist_train.sh trains and scores on two gloo processes; each image counts once."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        os.environ["MASTER_PORT"] = str(free.getsockname()[1])
    options = [*OPTIONS, "val_dataloader.batch_size=1", "val_dataloader.dataset.length=5"]
    run(
        "bash",
        "tools/dist_train.sh",
        MOSAIC,
        "2",
        "--work-dir",
        str(tmp_path),
        "--cfg-options",
        *options,
    )
    record = json.loads((tmp_path / "eval.json").read_text())
    assert record["images"] == 5  # an odd number: nothing is padded
    out = run(
        sys.executable,
        "tools/test.py",
        MOSAIC,
        str(tmp_path / "epoch_3.pth"),
        "--work-dir",
        str(tmp_path / "test"),
        "--cfg-options",
        *options,
        "test_dataloader.dataset.length=5",
    )
    assert f"accuracy {record['accuracy']:.2f} %" in out


@pytest.mark.slow
def test_bad_arguments_say_what_to_do(tmp_path: Path) -> None:
    """Missing config, data or checkpoint end with a sentence that names them."""
    out = run(sys.executable, "tools/train.py", "configs/none.py", code=1)
    assert "configs/none.py: no such config" in out
    out = run(sys.executable, "tools/train.py", MOSAIC, "--data", str(tmp_path / "x"), code=1)
    assert "no such folder" in out
    broken = tmp_path / "broken.pth"
    broken.write_bytes(b"not a checkpoint")
    out = run(sys.executable, "tools/test.py", MOSAIC, str(broken), code=1)
    assert "not a readable checkpoint" in out


@pytest.mark.slow
def test_a_block_from_outside_trains(tmp_path: Path) -> None:
    """A graph block in a file outside the package trains by config alone."""
    (tmp_path / "my_block.py").write_text(
        "import torch\n"
        "from sgseg.ops.graph import gather_neighbours\n"
        "from sgseg.registry import MODELS\n"
        "@MODELS.register_module()\n"
        "class MeanBlock(torch.nn.Module):\n"
        "    def __init__(self, channels):\n"
        "        super().__init__()\n"
        "        self.linear = torch.nn.Linear(channels, channels)\n"
        "    def forward(self, x, pos, neighbours):\n"
        "        return torch.relu(self.linear(gather_neighbours(x, neighbours).mean(2)))\n"
    )
    # The option names the block by text; the import makes it known.
    os.environ["PYTHONPATH"] = f"{ROOT}{os.pathsep}{tmp_path}"
    done = subprocess.run(
        [
            sys.executable,
            "tools/train.py",
            MOSAIC,
            "--work-dir",
            str(tmp_path / "run"),
            "--cfg-options",
            *OPTIONS,
            "train_cfg.max_epochs=2",
            "param_scheduler.0.end=18",
            "model.neck.block.type=MeanBlock",
            "custom_imports.imports=my_block",
        ],
        cwd=ROOT,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    from sgseg.engine.checkpoints.loading import load_checkpoint

    saved = load_checkpoint(tmp_path / "run/epoch_2.pth")["state_dict"]
    assert "neck.blocks.0.linear.bias" in saved


@pytest.mark.slow
def test_table_commands(tmp_path: Path) -> None:
    """A dry run says what is to do, a report of nothing is written, a plan names a batch."""
    table = [sys.executable, "tools/reproduce_table.py"]
    out = run(*table, "table5", "--dry-run", "--seeds", "1", "--work-dir", str(tmp_path))
    assert "PointNet, practical, seed 0: missing" in out and "8 runs to do" in out
    run(*table, "table1", "--report-only", "--seeds", "1", "--work-dir", str(tmp_path))
    text = (tmp_path / "table1-mosaic-tiny.md").read_text()
    assert "Nothing has been scored yet" in text
    plan = [sys.executable, "tools/plan.py", "configs/sgseg/sgseg_diffgcn_coco15.py"]
    assert "accumulative_counts=2" in run(*plan, "--no-time", "--gpu-memory", "24")
