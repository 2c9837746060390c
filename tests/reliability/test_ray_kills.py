"""An engine whose processes are killed at random: nothing is lost, and nothing done twice."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import psutil
import pytest

from sgseg.cli import main
from tests.conftest import ROOT
from tests.inference.models import save, small_config, small_model
from tests.inference.test_outputs import NAMES, contents
from tests.inference.test_tiling import scene

pytest.importorskip("ray")
pytestmark = pytest.mark.slow
IMAGES = int(os.environ.get("SGSEG_KILL_IMAGES", "20000"))
KILLS = 10
SIDE = 24
BAD = "images/001/01000.png"


def draw_many(folder: Path) -> None:
    """Small images that differ, and one that is none."""
    whole, draw = scene(256, 256), np.random.default_rng(0)
    for number in range(IMAGES):
        y, x = draw.integers(0, 256 - SIDE, 2)
        path = folder / f"images/{number // 1000:03}/{number:05}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), whole[y : y + SIDE, x : x + SIDE])
    (folder / BAD).write_bytes(b"no image")


def processes_of(command: subprocess.Popen[bytes]) -> dict[str, list[psutil.Process]]:
    """What may die: the command, workers with a model, and the processes of a node of Ray."""
    found: dict[str, list[psutil.Process]] = {"command": [psutil.Process(command.pid)]}
    for process in psutil.Process(command.pid).children(recursive=True):
        try:
            line = " ".join(process.cmdline())
        except psutil.Error:
            continue
        if "ray::" in line:
            found.setdefault("worker", []).append(process)
        elif "raylet/raylet" in line or "gcs_server" in line:
            found.setdefault("node", []).append(process)
    return found


def test_ten_kills(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Killed ten times, the files are those of one process that nothing happened to."""
    chance = random.Random(0)
    draw_many(tmp_path / "in")
    checkpoint = save(small_model(small_config()), tmp_path / "a.pth", NAMES)
    small_config().dump(tmp_path / "a.py")
    call = ["predict", str(tmp_path / "a.py"), str(checkpoint), str(tmp_path / "in"), "--side", "0"]
    call += ["--no-pictures", "--out"]
    with pytest.raises(SystemExit, match=f"1 of {IMAGES} images were not segmented"):
        main([*call, str(tmp_path / "one")])

    many = tmp_path / "many"
    killed: list[str] = []
    status, said = None, b""
    for attempt in range(3 * KILLS):
        with (tmp_path / f"log{attempt}").open("wb") as log:
            command = subprocess.Popen(
                [sys.executable, "-m", "sgseg", *call, str(many), "--engine", "ray"]
                + ["--workers", "2"],
                stdout=log,
                stderr=log,
                env=os.environ | dict(PYTHONPATH=str(ROOT)),
            )
            kind, at = "", done_of(many) + chance.uniform(1, 1.2 * IMAGES / KILLS)
            while command.poll() is None:
                time.sleep(chance.uniform(0, 1))
                if len(killed) < KILLS and done_of(many) > at and command.poll() is None:
                    there = processes_of(command)
                    kind = chance.choice(sorted(there))
                    chance.choice(there[kind]).send_signal(signal.SIGKILL)
                    killed.append(f"{kind} at {done_of(many)}")
                    at = done_of(many) + chance.uniform(1, 1.2 * IMAGES / KILLS)
            status, said = command.returncode, (tmp_path / f"log{attempt}").read_bytes()
            assert kind != "node" or b"died (killed, or without memory). What is done is" in said
        if status == 1 and b"images were not segmented" in said:
            lines = said.decode().split("images were not segmented:")[1].strip().splitlines()
            if len(lines) == 1:
                break
    print(*killed, sep="\n")
    assert BAD.encode() in said and status == 1
    assert len(killed) == KILLS, killed
    one, other = (labels_and_areas(out) for out in (tmp_path / "one", many))
    assert other == one and len(one) == IMAGES + 1
    with (many / "manifest.jsonl").open() as file:
        images = Counter(record["image"] for record in map(json.loads, file) if "image" in record)
    assert len(images) == IMAGES - 1 and set(images.values()) == {1}
    assert not [path for path in many.rglob("*.part")]


def done_of(out: Path) -> int:
    """Images that stand in the record."""
    record = out / "manifest.jsonl"
    return record.read_bytes().count(b'"stamp"') if record.is_file() else 0


def labels_and_areas(out: Path) -> dict[str, bytes]:
    """Files that tell nothing of the order of things."""
    return {
        name: content
        for name, content in contents(out).items()
        if name[0] not in ".m" and ".parquet" not in name
    }
