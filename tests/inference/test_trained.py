"""`sgseg.train(folder, classes=K)`: a run that segments, shows its pictures, says what it is."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

import sgseg
from sgseg.inference.trained import TrainedRun


def test_one_line_trains_and_segments(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Photographs in, a label map out; the folder is that of the run, from which it opens again."""
    rng = np.random.default_rng(0)
    photos = tmp_path / "photos"
    photos.mkdir()
    for number in range(4):
        cv2.imwrite(str(photos / f"{number}.png"), rng.integers(0, 255, (40, 48, 3), np.uint8))
    monkeypatch.chdir(tmp_path)
    small = {
        "train_dataloader.num_workers": 0,
        "train_dataloader.sampler.images": None,
        "train_dataloader.dataset.transforms.0.size": 32,
        "train_dataloader.dataset.transforms.1.size": 32,
        "predict_side": 32,
        "default_hooks.pictures.count": 2,
    }
    run = sgseg.train("photos", classes=3, preset="tiny", epochs=1, options=small)
    assert run.folder == Path("work_dirs/sgseg_diffgcn_folder/run_1") and run.scores == {}
    labels = run.segmenter(photos / "0.png").labels
    assert labels.shape == (40, 48) and labels.max() < 3
    assert [path.name for path in run.pictures] == ["clusters.png", "curves.png", "epoch_001.png"]
    assert repr(run) == f"TrainedRun({run.folder}: 1 epochs, 3 pictures)"
    assert "Trained 1 epochs" in capsys.readouterr().out
    assert TrainedRun(run.folder).checkpoint == run.folder / "epoch_1.pth"
    with pytest.raises(FileNotFoundError, match="no epoch_N.pth"):
        TrainedRun(photos)
