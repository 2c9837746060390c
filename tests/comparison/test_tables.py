"""A table from nothing by real runs at a size of seconds, killed and started again."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest

from sgseg.comparison import tables
from sgseg.comparison.compose import Data
from sgseg.comparison.jobs import Cluster, Jobs, run_all
from sgseg.comparison.report import line_of
from sgseg.comparison.rows import Row, Table
from sgseg.comparison.runs import Run
from sgseg.comparison.tables import Request, entries, plan, reproduce
from sgseg.comparison.work import work
from tests.comparison import slurm
from tests.conftest import ROOT

TINY = {
    "train_dataloader.batch_size": 4,
    "train_dataloader.dataset.length": 8,
    "train_dataloader.dataset.size": 32,
    "val_dataloader.dataset.length": 6,
    "val_dataloader.dataset.size": 32,
    "test_dataloader.dataset.length": 6,
    "test_dataloader.dataset.size": 32,
    "default_hooks.label_free.images": 4,
    "model.losses.mutual_information.half_window": 2,
    "train_cfg.val_interval": 1,
}
ROWS = (
    Row(
        "none",
        overrides={"model.neck": None, "model.losses.total_variation": None},
        paper=dict(coco15=35.7),
    ),
    Row("DiffGCN", paper=dict(coco15=39.4)),
    Row("IIC", config="absent", paper=dict(coco15=27.7)),
    Row("K-Means", baseline="kmeans", paper=dict(coco15=14.1)),
    Row("Random CNN", baseline="untrained", paper=dict(coco15=19.4)),
)
# What a run takes differs from run to run.
_TIMES = tuple(
    f"{kind}{end}" for kind in ("minutes", "epoch_seconds") for end in ("", "_sd", "_seeds")
)
_SCRIPT = """
import sys
from pathlib import Path
from sgseg.comparison import Jobs, reproduce
from tests.comparison.test_tables import request
try:
    asked = request(Path({root!r}), rows={rows}, epochs={epochs})
    sys.exit(reproduce(asked, Jobs({cluster!r}, {jobs})))
except KeyboardInterrupt:
    sys.exit(130)
"""


def request(root: Path, rows: int = 1, epochs: int = 3, **more: Any) -> Request:
    return Request(
        table=Table("tablex", "Table X", "row", ROWS[:rows]),
        data=Data("mosaic"),
        configs=ROOT / "configs",
        recipes=("practical",),
        seeds=more.pop("seeds", (0,)),
        epochs=epochs,
        options=TINY,
        root=root,
        **more,
    )


def test_rows_by_label(tmp_path: Path) -> None:
    """The others keep the published number and are said not to have been run."""
    some = entries(request(tmp_path, rows=3, only=("DiffGCN",)))
    assert [len(line.runs) for line in some] == [0, 1, 0]
    assert [line_of(line)["notes"] for line in some][::2] == ["not run here", "not run here"]
    with pytest.raises(ValueError, match="--rows GCN: tablex has"):
        request(tmp_path, only=("GCN",))


def test_clusters_to_be_named(tmp_path: Path) -> None:
    """Twice the clusters are runs of their own, whose column holds the accuracy after naming."""
    asked = request(tmp_path, rows=4, only=("K-Means",), clusters_per_class=(2,))
    (line,) = [line for line in entries(asked) if line.runs]
    assert len(line.runs) == len(line.named[2]) == 1 and tables.unfinished([line]) == [
        *line.runs,
        *line.named[2],
    ]
    for run in line.all_runs():
        work(run)
    assert reproduce(asked, say=lambda text: None) == 0
    text = next(tmp_path.glob("tablex-*.md")).read_text()
    assert "| after naming, K clusters | 2 K clusters |" in text
    found = line_of(line)
    assert found["named_2k"] == [line.named[2][0].result()["named_accuracy"]]
    assert line.named[2][0].result()["protocol"]["clusters"] == 6 and len(found["named"]) == 1
    assert "K-Means, none, 2 K clusters, seed 0: finished" in plan([line])
    with pytest.raises(ValueError, match="--clusters-per-class 1"):
        request(tmp_path, clusters_per_class=(1,))


def table_of(root: Path) -> str:
    """The CSV without its times."""
    import csv

    (path,) = root.glob("tablex-*.csv")
    with path.open() as file:
        rows = list(csv.DictReader(file))
    return json.dumps([{k: v for k, v in row.items() if k not in _TIMES} for row in rows])


def start(
    root: Path, rows: int = 1, epochs: int = 3, jobs: int = 1, cluster: Cluster = "local"
) -> subprocess.Popen[bytes]:
    env = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    script = _SCRIPT.format(root=str(root), rows=rows, epochs=epochs, jobs=jobs, cluster=cluster)
    # A shell's background job, as this test may be one, hands an ignored Ctrl-C on.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        return subprocess.Popen(
            [sys.executable, "-c", script], env=env, cwd=ROOT, start_new_session=True
        )
    finally:
        signal.signal(signal.SIGINT, before)


def until(condition: Any, seconds: float = 300) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it took too long"
        time.sleep(0.05)


def busy(root: Path, rows: int = 1) -> bool:
    """Whether a process is at one of the runs."""
    return any(run.is_busy() for line in entries(request(root, rows)) for run in line.runs)


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished table, its runs done one after another in this process."""
    root = tmp_path_factory.mktemp("unbroken")
    asked = request(root, rows=5)
    for line in entries(asked):
        for run in line.runs:
            work(run)
    assert reproduce(asked, say=lambda text: None) == 0
    return root


def test_a_table_from_nothing(unbroken: Path) -> None:
    """Every row that can be run has its number, beside the published one and the baselines."""
    text = next(unbroken.glob("tablex-*.md")).read_text()
    for said in ("| none |", "(39.4 on COCO-Stuff)", "not in this toolkit yet", "K-Means", "(1)"):
        assert said in text
    lines = json.loads(table_of(unbroken))
    byname = {line["label"]: line for line in lines}
    assert byname["IIC"]["last"] == ""
    assert byname["DiffGCN"]["untrained_seeds"] == byname["Random CNN"]["last_seeds"]
    for line in (byname["none"], byname["DiffGCN"], byname["K-Means"]):
        assert 0 < float(line["last"]) <= 100 and float(line["majority"]) > 33
    result = json.loads(
        next(unbroken.glob("mosaic-tiny-practical-*/seed_0/result.json")).read_text()
    )
    assert {e["epoch"] for e in result["epochs"] if "accuracy" in e} == {2, 3}
    assert result["training_seconds"] > 0 and result["epoch"] == 3


def test_finished_runs_are_not_repeated(unbroken: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Called again, nothing trains; a request of one more seed has only that to do."""
    monkeypatch.setattr(tables, "run_all", lambda runs, *rest: pytest.fail(f"ran {runs}"))
    before = table_of(unbroken)
    assert reproduce(request(unbroken, rows=5), say=lambda text: None) == 0
    assert table_of(unbroken) == before
    more = entries(request(unbroken, rows=5, seeds=(0, 1)))
    assert [run.seed for run in tables.unfinished(more)] == [1, 1, 1, 1]
    said = plan(more)
    assert "DiffGCN, practical, seed 0: finished" in said
    assert any(line.startswith("DiffGCN, practical, seed 1: missing, about") for line in said)
    assert "published number only" in said[4] and said[-1].startswith("4 runs to do")


@pytest.mark.slow
def test_killed_and_started_again_gives_the_same_table(unbroken: Path, tmp_path: Path) -> None:
    """SIGKILL of the command: the next call waits for the run under way and does the others."""
    process = start(tmp_path, rows=2)
    until(lambda: list(tmp_path.glob("*/seed_0/epoch_1.pth")))
    process.kill()
    process.wait()
    assert start(tmp_path, rows=2).wait(300) == 0
    assert json.loads(table_of(tmp_path)) == json.loads(table_of(unbroken))[:2]
    assert len(list(tmp_path.glob("*/seed_0/jobs/*_submitted.pkl"))) == 2  # each was begun once


@pytest.mark.slow
def test_a_killed_run_is_tried_again(unbroken: Path, tmp_path: Path) -> None:
    """SIGKILL of a run in its second epoch, as by the system without memory: it goes on."""
    process = start(tmp_path)
    until(lambda: list(tmp_path.glob("*/seed_0/epoch_1.pth")))
    (log,) = tmp_path.glob("*/seed_0/jobs/*_0_log.out")
    (controller,) = psutil.Process(process.pid).children()
    assert log.name == f"{controller.pid}_0_log.out"
    for task in controller.children():
        task.kill()
    assert process.wait(300) == 0
    assert json.loads(table_of(tmp_path)) == json.loads(table_of(unbroken))[:1]
    assert len(list(tmp_path.glob("*/seed_0/jobs/*_0_log.out"))) == 2


@pytest.mark.slow
@pytest.mark.parametrize("terminal", [False, True])
def test_ctrl_c_ends_the_jobs(tmp_path: Path, terminal: bool) -> None:
    """By kill or by the terminal, to all processes: runs save and end, the table is written."""
    process = start(tmp_path, epochs=500)
    until(lambda: list(tmp_path.glob("*/seed_0/epoch_1.pth")))
    (os.killpg if terminal else os.kill)(process.pid, signal.SIGINT)
    assert process.wait(60) == 130
    until(lambda: not busy(tmp_path))  # the command waits for its jobs, but not for ever
    assert list(tmp_path.glob("tablex-*.md"))
    assert list(tmp_path.glob("*/seed_0/epoch_*_iter_*.pth"))


@pytest.mark.slow
def test_ctrl_c_and_going_on_over_slurm(unbroken: Path, cluster: Path) -> None:
    """The queue is empty after it, the run was saved in its middle; the same call ends as any."""
    root = cluster / "tables"
    process = start(root, cluster="slurm")
    until(lambda: list(root.glob("*/seed_0/epoch_1.pth")))
    os.kill(process.pid, signal.SIGINT)
    assert process.wait(60) == 130
    assert slurm.state(cluster / "job_1") == "CANCELLED" and not busy(root)
    assert list(root.glob("*/seed_0/epoch_*_iter_*.pth")) and list(root.glob("tablex-*.md"))
    assert start(root, cluster="slurm").wait(300) == 0
    assert json.loads(table_of(root)) == json.loads(table_of(unbroken))[:1]


def test_two_commands_share_the_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that another process is at is left to it, and the next one done; then it is taken."""
    asked = request(tmp_path, rows=2)
    first, second = (line.runs[0] for line in entries(asked))
    begun: list[Run] = []

    def finish(jobs: Jobs, run: Run, gpu: str | None) -> Any:
        begun.append(run)
        finished(run)
        if run == second:
            finished(first)
            lock.release()  # the other process is through
        return SimpleNamespace(done=lambda: True)

    monkeypatch.setattr(Jobs, "submit", finish)
    said: list[str] = []
    lock = first.lock()
    with lock:
        assert run_all([first, second], Jobs(), said.append) == []
    assert begun == [second]
    assert f"{first}: done elsewhere" in said


def finished(run: Run) -> None:
    """A result as a baseline leaves it."""
    run.folder.mkdir(parents=True, exist_ok=True)
    (run.folder / "result.json").write_text("{}")


@pytest.mark.slow
def test_a_failed_run_is_named(tmp_path: Path) -> None:
    """A row that cannot train is tried twice and fails alone, with the last line of its log."""
    asked = request(tmp_path)
    (line,) = entries(asked)
    config = line.runs[0].row_folder / "config.py"
    config.write_text(config.read_text().replace("num_superpixels=32", "num_superpixels=1"))
    said: list[str] = []
    assert reproduce(asked, say=said.append) == 1
    assert [("died, tried again" in text) for text in said[1:3]] == [True, False]
    assert "FAILED" in said[2] and "num_superpixels = 1" in said[2]
    assert "1 of 1 seeds unfinished" in next(tmp_path.glob("tablex-*.md")).read_text()


@pytest.mark.parametrize(
    ("more", "match"),
    [
        (dict(minutes=1.0), "not both"),
        (dict(seeds=()), "one seed and one recipe"),
        (dict(epochs=None, minutes=-1.0), "must be > 0"),
    ],
)
def test_bad_requests_are_refused(tmp_path: Path, more: dict[str, Any], match: str) -> None:
    """Two lengths, no seed, or no time."""
    with pytest.raises(ValueError, match=match):
        request(tmp_path, **more)


@pytest.mark.slow
def test_minutes_are_kept(tmp_path: Path) -> None:
    """With --minutes the row's folder holds the epochs chosen, and the run trains that many."""
    asked = request(tmp_path, epochs=None, minutes=0.02)  # type: ignore[arg-type]
    (line,) = entries(asked)
    work(line.runs[0])
    stored = json.loads((line.runs[0].row_folder / "length.json").read_text())
    result = line.runs[0].result()
    assert result is not None
    assert result["epoch"] == stored["epochs"] >= 2 and result["minutes"] == 0.02


@pytest.mark.slow
def test_ten_kills_at_random_give_the_same_table(tmp_path: Path) -> None:
    """The command and its runs, two at a time, killed ten times: the table is the unbroken one."""
    reference = start(tmp_path / "a", rows=5, epochs=8, jobs=2)
    assert reference.wait(600) == 0
    draw = random.Random(0)
    for _ in range(10):
        process = start(tmp_path / "b", rows=5, epochs=8, jobs=2)
        time.sleep(draw.uniform(1, 12))
        for each in (process, *psutil.Process(process.pid).children(recursive=True)):
            each.kill()
        process.wait()
    assert start(tmp_path / "b", rows=5, epochs=8, jobs=2).wait(600) == 0
    assert table_of(tmp_path / "b") == table_of(tmp_path / "a")
    assert not list((tmp_path / "b").rglob("*.part"))
