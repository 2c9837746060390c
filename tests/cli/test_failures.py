"""A command that fails says one sentence; a fault of the code says where its traceback lies."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pytest
import torch

from sgseg.cli import main
from sgseg.cli.failures import fail, sentence
from sgseg.io.images import read_pixels
from sgseg.registry import MODELS
from sgseg.visualization import palette
from tests.conftest import ROOT


def caught(call: Any, *given: Any) -> BaseException:
    """The error of a call."""
    try:
        call(*given)
    except BaseException as error:
        return error
    raise AssertionError("nothing was raised")


class Images(torch.utils.data.Dataset):
    """One file, which cannot be read."""

    def __len__(self) -> int:
        return 1

    def __getitem__(self, index: int) -> Any:
        return read_pixels(Path("no_such_image.png"), 3)


def test_what_sgseg_raises_is_for_its_user(tmp_path: Path) -> None:
    """By a statement of its own, here, in a loader's worker and in a pool's; not a slip of ours."""
    said = str(caught(read_pixels, tmp_path / "none.png", 3))
    assert sentence(caught(read_pixels, tmp_path / "none.png", 3)) == said
    loader = torch.utils.data.DataLoader(Images(), num_workers=1)
    found = sentence(caught(next, iter(loader)))
    assert found and found.startswith("no_such_image.png") and "Traceback" not in found
    with ProcessPoolExecutor(1, get_context("fork")) as pool:
        error = caught(pool.submit(read_pixels, Path("no_such_image.png"), 3).result)
    assert sentence(error) == found
    # A conversion inside sgseg that fails has no words for a user, whatever its type is.
    assert sentence(caught(palette, "x")) is None and sentence(caught(int, "x")) is None


def test_what_the_system_and_mmengine_say() -> None:
    """Files that are refused, a name that no registry has, a full memory, a broken config."""
    assert sentence(caught(open, "/no/such")) == "/no/such: No such file or directory"
    full = OSError(28, "No space left on device", "a.pth")
    assert "free some space" in str(sentence(full))
    assert "Nope is not in the" in str(sentence(caught(MODELS.build, dict(type="Nope"))))
    told = sentence(caught(torch.empty, 2**46))
    assert told and "The memory is full" in told and "total_batch_size" in told


def test_a_fault_says_where_its_traceback_is(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """In one line; a file of the user's is named with the line; --debug shows all."""
    own = tmp_path / "mine.py"
    own.write_text("def forward():\n    return {}['weight']\n")
    place: dict[str, Any] = {}
    exec(compile(own.read_text(), str(own), "exec"), place)  # noqa: S102
    assert fail(caught(place["forward"])) == 1
    out = capsys.readouterr().err
    assert f"Error: {own}, line 2, in forward: KeyError: weight. The whole traceback: " in out
    written = Path(re.findall(r"traceback: (\S+)", out)[0])
    assert "return {}['weight']" in written.read_text() and out.count("\n") == 1
    written.unlink()
    fail(caught(place["forward"]), debug=True)
    assert "Traceback (most recent call last)" in capsys.readouterr().err


def test_a_command_fails_in_one_sentence(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Status 1; with --debug, anywhere, or SGSEG_DEBUG the traceback."""
    (tmp_path / "broken.py").write_text("a = (\n")
    for given, said in (
        (["config", "nope"], "Error: nope: no such config"),
        (["config", str(tmp_path / "broken.py")], "broken.py, line 1"),
        (["prepare", "potsdam", "nowhere", str(tmp_path / "x")], "Error: nowhere"),
    ):
        assert main(given) == 1
        out = capsys.readouterr().err
        assert said in out and "Traceback" not in out
        assert main([*given, "--debug"]) == 1
        assert "Traceback" in capsys.readouterr().err
    monkeypatch.setenv("SGSEG_DEBUG", "1")
    assert main(["config", "nope"]) == 1
    assert "Traceback" in capsys.readouterr().err


def test_what_all_ranks_agreed_on_is_said_once(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the first process; another's own error is said by itself."""
    common, own = FileNotFoundError(2, "x", "Rank 0 of 2: a"), FileNotFoundError(2, "x", "a")
    for rank, said in (("0", 2), ("1", 1)):
        monkeypatch.setenv("RANK", rank)
        assert [fail(common), fail(own)] == [1, 1]
        assert capsys.readouterr().err.count("Error: ") == said


SLOW = """
import signal, sys, time
signal.signal(signal.SIGINT, signal.{})  # whatever the tests were started with
import sgseg.cli, sgseg.cli.browse as browse
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

def run(args):
    with ProcessPoolExecutor(2, get_context("fork")) as pool:
        jobs = [pool.submit(time.sleep, {}) for _ in range(2)]
        print("ready", flush=True)
        jobs[0].result()

browse.run = run
sys.exit(sgseg.cli.main(["browse", "x"]))
"""


@pytest.mark.parametrize(
    ("handler", "seconds", "said", "status"),
    [("default_int_handler", 60, "Interrupted\n", 130), ("SIG_IGN", 1, "", 0)],
)
def test_ctrl_c_leaves_no_traceback(handler: str, seconds: int, said: str, status: int) -> None:
    """The terminal's signal reaches every process of a command; one word, status 130.

    Where the command was told to ignore it, its processes do too.
    """
    process = subprocess.Popen(
        [sys.executable, "-c", SLOW.format(handler, seconds)],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdout and process.stdout.readline() == "ready\n"
    time.sleep(0.2)
    os.killpg(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=30)
    assert errors == said and process.returncode == status


def test_a_closed_pipe_is_no_error() -> None:
    """``sgseg config --list | head`` ends without a word."""
    command = [sys.executable, "-m", "sgseg", "config", "--list"]
    env = os.environ | {"PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
    process = subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout and process.stderr
    process.stdout.close()
    assert process.stderr.read() == b""
