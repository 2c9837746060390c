"""Training, resuming, evaluating and predicting as a user does, at a size of seconds."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config

from sgseg.engine.checkpoints.loading import load_checkpoint
from sgseg.inference import Segmenter, segment_folder
from sgseg.training import build_config, train
from sgseg.training import test as evaluate

ConfigMaker = Callable[..., Config]


def weights(path: Path) -> dict[str, torch.Tensor]:
    """Weights of a checkpoint."""
    return load_checkpoint(path)["state_dict"]


def equal(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> bool:
    """Bit equality of two sets of weights."""
    return first.keys() == second.keys() and all(
        torch.equal(first[key], second[key]) for key in first
    )


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A finished tiny run: (work dir, runner)."""
    from tests.conftest import tiny_config

    torch.set_num_threads(1)
    work_dir = tmp_path_factory.mktemp("run")
    return work_dir, train(tiny_config(work_dir))


def test_everything_is_written(trained: Any) -> None:
    """A run leaves checkpoints, the score with its protocol, and pictures."""
    work_dir, runner = trained
    record = json.loads((work_dir / "eval.json").read_text())
    for key in (
        "accuracy",
        "miou",
        "per_class",
        "mapping",
        "confusion",
        "pixels",
        "images",
        "protocol",
        "selected",
    ):
        assert key in record, key
    assert record["pixels"] == 6 * 32 * 32 == int(np.sum(record["confusion"]))
    assert record["selected"] == "last"
    assert record["protocol"]["dataset"] == "TextureMosaic"
    assert (work_dir / "epoch_3.pth").is_file()
    assert not list(work_dir.glob("*.part"))
    for name in ("epoch_003.png", "epoch_003_confusion.png", "curves.png"):
        assert cv2.imread(str(work_dir / "pictures" / name)) is not None, name


def test_checkpoints_are_plain(trained: Any) -> None:
    """A checkpoint opens with weights_only and no allow list, and knows its class table."""
    saved = torch.load(trained[0] / "epoch_3.pth", weights_only=True)
    record = json.loads((trained[0] / "eval.json").read_text())
    assert saved["meta"]["evaluation"]["mapping"] == record["mapping"]
    assert saved["meta"]["epoch"] == 3


def test_same_seed_same_weights(trained: Any, tmp_path: Path, tiny_config: ConfigMaker) -> None:
    """The same seed gives bit-equal weights; another seed does not."""
    train(tiny_config(tmp_path / "again"))
    assert equal(weights(trained[0] / "epoch_3.pth"), weights(tmp_path / "again/epoch_3.pth"))
    train(tiny_config(tmp_path / "other", seed=1, **{"train_cfg.max_epochs": 1}))
    other = weights(tmp_path / "other/epoch_1.pth")
    assert not equal(weights(trained[0] / "epoch_2.pth"), other)


def test_resume_refuses_another_model(trained: Any, tmp_path: Path, tiny_config: Any) -> None:
    """A checkpoint of another shape is refused by name, not half loaded."""
    shutil.copytree(trained[0], tmp_path / "run")
    config = tiny_config(tmp_path / "run", **{"model.decode_head.num_classes": 5})
    with pytest.raises(ValueError, match="does not fit the model"):
        train(config, resume=True)


def test_evaluate_repeats_the_score(trained: Any, tmp_path: Path, tiny_config: Any) -> None:
    """tools/test.py finds the accuracy that training reported, and draws though that did not."""
    during = json.loads((trained[0] / "eval.json").read_text())
    config = tiny_config(tmp_path)
    config.default_hooks.pictures.interval = 0  # as in the runs of a table
    after = evaluate(config, trained[0] / "epoch_3.pth")
    assert after["confusion"] == during["confusion"]
    assert cv2.imread(str(tmp_path / "pictures" / "test.png")) is not None


def test_amp_accumulation_ema_and_early_stopping(tmp_path: Path, tiny_config: Any) -> None:
    """mmengine's options work through ours: bfloat16, accumulated steps, averaged weights."""

    config = tiny_config(tmp_path, **{"optim_wrapper.accumulative_counts": 2})
    config.optim_wrapper.type = "CPUAmpOptimWrapper"
    config.custom_hooks += [
        dict(type="EMAHook"),
        dict(type="EarlyStoppingHook", monitor="accuracy", patience=1, min_delta=100),
    ]
    train(config)
    saved = load_checkpoint(tmp_path / "epoch_2.pth")
    assert all(w.isfinite().all() for w in saved["state_dict"].values())
    assert "ema_state_dict" in saved
    assert not (tmp_path / "epoch_3.pth").exists()  # stopped early


@pytest.fixture
def photographs(tmp_path: Path) -> Path:
    """A folder without labels: two sizes, a blank in a name, one below another folder."""
    rng = np.random.default_rng(0)
    folder = tmp_path / "photos"
    (folder / "more").mkdir(parents=True)
    for name, size in (("a b.jpg", (40, 50)), ("more/c.png", (64, 33)), ("d.png", (48, 48))):
        cv2.imwrite(str(folder / name), rng.integers(0, 255, (*size, 3), dtype=np.uint8))
    return folder


def test_predict_on_a_folder(trained: Any, photographs: Path, tmp_path: Path) -> None:
    """Every image gets a label map of its own size and a picture; nothing is overwritten."""
    from tests.conftest import tiny_config

    segmenter = Segmenter(trained[0] / "epoch_3.pth", tiny_config(tmp_path), side=32)
    found = dict(segment_folder(segmenter, photographs, tmp_path / "out"))
    assert len(found) == 3
    assert all(abs(sum(shares.values()) - 1) < 1e-9 for shares in found.values())
    assert set().union(*found.values()) <= {"brick", "grass", "gravel"}
    for name, size in (("a b", (40, 50)), ("more/c", (64, 33)), ("d", (48, 48))):
        for folder in ("labels", "overlays"):
            picture = cv2.imread(str(tmp_path / f"out/{folder}/{name}.png"))
            assert picture.shape == (*size, 3)
        assert (tmp_path / f"out/pictures/{name}.png").is_file()


def test_folder_without_labels_trains(photographs: Path, tmp_path: Path) -> None:
    """The folder recipe needs no labels: it trains, saves, and evaluates nothing."""
    from tests.conftest import ROOT, TINY

    options = {k: v for k, v in TINY.items() if "dataset" not in k and "val" not in k}
    options |= {
        "train_dataloader.num_workers": 0,
        "train_dataloader.sampler.images": None,
        "train_dataloader.persistent_workers": False,
        "train_dataloader.batch_size": 2,
    }
    config = build_config(
        ROOT / "configs/sgseg/sgseg_diffgcn_folder.py",
        data=photographs,
        num_classes=2,
        work_dir=tmp_path / "run",
        options=options,
    )
    train(config)
    assert (tmp_path / "run/epoch_3.pth").is_file()
    assert not (tmp_path / "run/eval.json").exists()
    with pytest.raises(ValueError, match="no test set with labels"):
        evaluate(config, tmp_path / "run/epoch_3.pth")


@pytest.mark.slow
def test_runs_of_one_second_are_apart(
    trained: Any, tmp_path: Path, tiny_config: ConfigMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """mmengine names a run by the second; two in one would share a log and a best score."""
    import time

    monkeypatch.setattr(time, "strftime", lambda *args: "20260101_000000")
    for name in ("one", "other"):
        options = {"train_cfg.max_epochs": 1, "default_hooks.pictures.interval": 99}
        runner = train(tiny_config(tmp_path / name, **options))
        assert "best_score" in runner.message_hub.runtime_info
        assert list((tmp_path / name).glob("best_*.pth"))
        assert list((tmp_path / name).glob("*/*.log"))
