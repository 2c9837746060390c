"""Every script of examples/ runs, at a size that takes seconds."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

import sgseg
from sgseg.testing import check_block
from sgseg.training import build_config, train
from tests.conftest import ROOT, TINY

EXAMPLES = ROOT / "examples"
TINY_MODEL = {key: value for key, value in TINY.items() if key.startswith("model.")}


@pytest.fixture(name="example")
def example_fixture(monkeypatch: pytest.MonkeyPatch) -> object:
    """`example(name)`: a script as a module, imported as with PYTHONPATH=examples."""
    monkeypatch.syspath_prepend(EXAMPLES)

    def example(name: str) -> ModuleType:
        monkeypatch.delitem(sys.modules, name, raising=False)
        return __import__(name)

    return example


def test_train_from_python(example, tmp_path: Path) -> None:
    """It trains, scores, and names what covers an image."""
    options = {key: value for key, value in TINY.items() if "epochs" not in key}
    options = {k: v for k, v in options.items() if not k.startswith(("train_cfg", "param_sch"))}
    shares = example("train_from_python").main(str(tmp_path / "run"), 1, options)
    assert shares.keys() == {"brick", "grass", "gravel"}
    assert sum(shares.values()) == pytest.approx(1)


def test_a_block_of_ones_own(example, tmp_path: Path) -> None:
    """It keeps the contract, its config trains, and the checkpoint is enough to segment."""
    block = example("mean_block").MeanBlock
    check_block(block)
    options = {k: v for k, v in TINY.items() if not k.startswith(("train_cfg", "param_sch"))}
    config = EXAMPLES / "mean_block_mosaic.py"
    train(build_config(config, work_dir=tmp_path, epochs=1, options=options))
    segmenter = sgseg.load(tmp_path / "epoch_1.pth")
    blocks = segmenter.network.model.neck.blocks
    assert all(type(each).__name__ == "MeanBlock" for each in blocks)
    labels, _ = segmenter(np.zeros((32, 40, 3), np.uint8))
    assert labels.shape == (32, 40)


def test_a_data_set_of_ones_own(example, tmp_path: Path) -> None:
    """Images and labels of a NumPy file are trained on and scored."""
    rng = np.random.default_rng(0)
    labels = np.zeros((8, 32, 32), np.uint8)
    labels[:, :, 16:] = 1
    images = rng.integers(0, 90, (8, 32, 32, 3)) + 150 * labels[..., None]
    file = tmp_path / "images.npz"
    np.savez(file, images=images.astype(np.uint8), labels=labels)
    main = example("own_data_set").main
    accuracy = main(str(file), str(tmp_path / "run"), ("dark", "bright"), 1, TINY_MODEL)
    assert 50 <= accuracy <= 100  # two balanced classes, matched
