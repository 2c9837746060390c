"""Many workers give what one process gives; what dies is done again, or listed."""

from __future__ import annotations

import errno
import os
import signal
import sys
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import pandas
import pytest

import sgseg.inference.folder as folders
from sgseg.cli import main
from sgseg.inference import BadImagesError, Prediction, Segmenter, strips
from sgseg.inference.batches import here
from sgseg.inference.ray_engine import RayEngine
from tests.inference.models import save, small_config, small_model
from tests.inference.test_outputs import LABELS_ONLY, NAMES, contents, draw, table
from tests.inference.test_tiling import scene

pytest.importorskip("ray")
MORTAL = "dies.png"


@pytest.fixture(scope="module", name="checkpoint")
def checkpoint_fixture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of a small model with named clusters."""
    return save(small_model(small_config()), tmp_path_factory.mktemp("model") / "a.pth", NAMES)


class Mortal(Segmenter):
    """Its process dies at an image of a certain name."""

    def together(self, images: Any, *args: Any) -> Any:
        """As the segmenter does, if it lives."""
        if any(rows.path.name == MORTAL for rows in images):
            os.kill(os.getpid(), signal.SIGKILL)
        return super().together(images, *args)


def opening(kind: Any, checkpoint: Path) -> Any:
    """What workers open."""
    return partial(kind, checkpoint, small_config(), side=0, tile=32, overlap=4)


def predict(checkpoint: Path, folder: Path, out: Path, engine: Any = here) -> Prediction:
    """Two images at once, label maps and tables alone."""
    segmenter = opening(Segmenter, checkpoint)()
    return Prediction(segmenter, folder, out, 2, LABELS_ONLY, engine=engine, parquet=True)


def test_two_workers_are_one(
    checkpoint: Path,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Byte-equal files, areas as Parquet, a raster in strips; what is done is not done again."""
    monkeypatch.setattr(strips, "WINDOWS", 2)
    monkeypatch.setattr(folders, "_LARGE", 5000)
    folder = draw(tmp_path / "in", *(f"a/{number}.png" for number in range(5)), "bad.png")
    cv2.imwrite(str(folder / "tall.png"), scene(200, 32))
    (folder / "bad.png").write_bytes(b"no image")
    engine = RayEngine(opening(Segmenter, checkpoint), workers=2)
    for out, where in (("many", engine), ("one", here)):
        with pytest.raises(BadImagesError) as faults:
            list(predict(checkpoint, folder, tmp_path / out, where))
        assert [path.name for path in faults.value.faults] == ["bad.png"]
    assert not list((tmp_path / "many/strips").iterdir())
    many, one = (written(tmp_path / out) for out in ("many", "one"))
    assert many == one
    rows = pandas.read_parquet(tmp_path / "many/areas.parquet")
    listed = [row for row in table(tmp_path / "many/areas.csv") if row["image"] != "all images"]
    assert rows["image"].tolist() == [row["image"] for row in listed]
    assert rows["pixels"].tolist() == [int(row["pixels"]) for row in listed]
    (folder / "bad.png").unlink()
    assert list(predict(checkpoint, folder, tmp_path / "many", engine)) == []
    assert "ray" not in capfd.readouterr().err.lower()


def written(out: Path) -> dict[str, bytes]:
    """All files but those that tell of the order of things."""
    return {name: content for name, content in contents(out).items() if name[0] not in ".m"}


@pytest.mark.slow
def test_an_image_that_kills_its_worker(checkpoint: Path, tmp_path: Path) -> None:
    """It and those beside it are listed after three tries; all others are as ever."""
    folder = draw(tmp_path / "in", *(f"{number}.png" for number in range(6)), MORTAL)
    engine = RayEngine(opening(Mortal, checkpoint), workers=2)
    with pytest.raises(BadImagesError) as faults:
        list(predict(checkpoint, folder, tmp_path / "many", engine))
    said = {path.name: fault for path, fault in faults.value.faults.items()}
    assert set(said) == {MORTAL} and "its worker died 3 times" in said[MORTAL]
    (folder / MORTAL).unlink()
    list(predict(checkpoint, folder, tmp_path / "one"))
    assert written(tmp_path / "many") == written(tmp_path / "one")


def test_what_cannot_work_is_said(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No worker, a cluster that does not answer, options without the engine, no Ray."""
    make = opening(Segmenter, checkpoint)
    with pytest.raises(ValueError, match="--workers 0: one or more"):
        RayEngine(make, workers=0)
    with pytest.raises(ValueError, match="--gpus-per-worker -1"):
        RayEngine(make, gpus_per_worker=-1)
    folder = draw(tmp_path / "in", "a.png")
    for address, why in (("127.0.0.1:9", "refused"), ("here", "no host:port")):
        engine = RayEngine(make, address=address)
        with pytest.raises(ConnectionError, match=f"--address {address}: no Ray .*{why}"):
            list(predict(checkpoint, folder, tmp_path / "out", engine))
    with pytest.raises(SystemExit, match="2"):
        main(["predict", str(checkpoint), str(folder), "--workers", "2"])
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'sgseg\[scale\]'"):
        RayEngine(make)


class Full(Segmenter):
    """Its disk is full."""

    def together(self, images: Any, *args: Any) -> Any:
        """As the system says it."""
        raise OSError(errno.ENOSPC, "No space left on device", "maps")


@pytest.mark.slow
def test_what_ends_the_whole(checkpoint: Path, tmp_path: Path) -> None:
    """A full disk, a checkpoint that workers do not see, another one there: the error is theirs."""
    folder = draw(tmp_path / "in", "a.png", "b.png")
    other = save(small_model(small_config(), 1), tmp_path / "other.pth", NAMES)
    for make, kind, said in (
        (opening(Full, checkpoint), OSError, "No space left on device"),
        (opening(Segmenter, tmp_path / "no.pth"), FileNotFoundError, "on a disk that all workers"),
        (opening(Segmenter, other), ValueError, "another model than this machine"),
    ):
        with pytest.raises(kind, match=said):
            list(predict(checkpoint, folder, tmp_path / "out", RayEngine(make, workers=1)))
    assert len(list(predict(checkpoint, folder, tmp_path / "out"))) == 2
