"""No wrong number: broken losses, half precision, labels, determinism, memory."""

from __future__ import annotations

import resource
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from sgseg.engine.checkpoints.loading import load_checkpoint
from sgseg.models.layers.dilated_depthwise import DilatedDepthwise
from sgseg.models.losses import SmoothnessLoss
from sgseg.registry import MODELS
from sgseg.training import test as evaluate
from sgseg.training import train
from tests.reliability.runs import NoiseHook, difference, noisy_config, quick_config


@pytest.mark.parametrize(("value", "interval"), [(float("nan"), None), (float("inf"), 5)], ids=str)
def test_broken_loss_stops_naming_step_and_term(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: float, interval: int | None
) -> None:
    """Planted at step 7: named even where only every fifth is looked at, and never saved."""
    calls = []
    honest = SmoothnessLoss.term

    def planted(self: SmoothnessLoss, state: Any) -> Tensor:
        calls.append(1)
        return honest(self, state) * (value if len(calls) == 7 else 1.0)

    monkeypatch.setattr(SmoothnessLoss, "term", planted)
    options = {"default_hooks.checkpoint.every_iters": 3, "default_hooks.finite.interval": interval}
    with pytest.raises(FloatingPointError, match=r"Step 7 \(epoch 2\): .*loss_smoothness") as error:
        train(noisy_config(tmp_path, **options))
    assert "loss_clustering = " in str(error.value)
    saved = load_checkpoint(tmp_path / "epoch_1_iter_6.pth")
    assert all(weight.isfinite().all() for weight in saved["state_dict"].values())
    assert not (tmp_path / "epoch_2.pth").exists()
    assert not (tmp_path / "epoch_2_iter_9.pth").exists()


def test_broken_weights_are_not_saved(tmp_path: Path) -> None:
    """A weight that broke without breaking a loss stops the run at the checkpoint, by name."""

    def spoil(runner: Any) -> None:
        runner.model.decode_head.to_image.weight.data.fill_(float("nan"))

    # In the first stage nothing reads the head.
    NoiseHook.act, NoiseHook.at = spoil, ("step", 5)
    with pytest.raises(FloatingPointError, match=r"decode_head\.to_image\.weight"):
        train(noisy_config(tmp_path))
    assert not (tmp_path / "epoch_2.pth").exists()
    assert (tmp_path / "epoch_1.pth").is_file()


def gradients(config: Any, images: Tensor, half: bool) -> dict[str, Tensor]:
    """Gradient of every weight of the config's model by its losses."""
    torch.manual_seed(0)
    model = MODELS.build(config.model)
    model.stage = "joint"
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=half):
        losses = model(model.data_preprocessor(dict(inputs=images))["inputs"], mode="loss")
    sum(value for key, value in losses.items() if "loss" in key).backward()
    return {n: p.grad for n, p in model.named_parameters() if p.grad is not None}


def test_half_precision_goes_the_same_way(tmp_path: Path) -> None:
    """Under bfloat16 the gradient of every part points where float32's does, and is finite."""
    config = quick_config(tmp_path)
    images = torch.randint(0, 255, (4, 3, 64, 64), dtype=torch.uint8)
    full, half = (gradients(config, images, half) for half in (False, True))
    assert full.keys() == half.keys()
    for part in ("backbone", "neck", "decode_head"):
        one, other = (
            torch.cat([g.flatten() for n, g in grads.items() if n.startswith(part)])
            for grads in (full, half)
        )
        # Nodes at nearly equal distances swap as neighbours: 0.86 for the neck, 0.99 else.
        assert torch.cosine_similarity(one, other, dim=0) > 0.7, part
        assert 0.5 < float(other.norm() / one.norm()) < 2, part


def test_dilated_depthwise_in_half_precision() -> None:
    """torch 2.13's own kernel gives weights' gradients of 1e17 and more here."""
    torch.manual_seed(0)
    layer = DilatedDepthwise(16, (1, 2, 4)).to(memory_format=torch.channels_last)
    x = torch.randn(2, 16, 32, 32).to(memory_format=torch.channels_last)
    target = torch.randn(2, 48, 32, 32)
    found = []
    for half in (False, True):
        layer.zero_grad()
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=half):
            out = layer(x.bfloat16() if half else x)
        (out.float() * target).sum().backward()
        found.append(torch.cat([weight.grad.flatten() for weight in layer.parameters()]))
    assert float((found[0] - found[1]).norm() / found[0].norm()) < 0.02


def test_labels_cannot_reach_the_loss(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Training without labels, with them, and with random ones: bit-equal weights."""
    from sgseg.datasets import TextureMosaic

    saved = []
    load = TextureMosaic.load
    for way in ("none", "true", "random"):
        config = quick_config(tmp_path / way, **{"val_cfg": None, "val_dataloader": None})
        config.val_evaluator = None
        config.default_hooks.checkpoint.pop("save_best")
        config.train_dataloader.dataset.transforms[-1].with_labels = way != "none"
        if way == "random":

            def shuffled(self: TextureMosaic, index: int) -> dict[str, Any]:
                item = load(self, index)
                noise = torch.randint(0, 3, item["gt_seg_map"].shape).numpy()
                return item | dict(gt_seg_map=noise.astype(item["gt_seg_map"].dtype))

            monkeypatch.setattr(TextureMosaic, "load", shuffled)
        train(config)
        saved.append(load_checkpoint(tmp_path / way / "epoch_3.pth")["state_dict"])
    assert difference(saved[0], saved[1]) == difference(saved[0], saved[2]) == 0.0


@pytest.mark.slow
def test_deterministic_runs(tmp_path: Path) -> None:
    """SGSeg uses no operation that torch refuses under --deterministic, and repeats."""
    from sgseg.training import build_config
    from tests.conftest import ROOT, TINY

    try:
        saved = []
        for name in ("one", "other"):
            config = build_config(
                ROOT / "configs/sgseg/sgseg_diffgcn_mosaic.py",
                work_dir=tmp_path / name,
                deterministic=True,
                options=TINY,
            )
            assert config.env_cfg.cudnn_benchmark is False
            config.default_hooks.pop("pictures")
            train(config)
            assert torch.are_deterministic_algorithms_enabled()
            saved.append(load_checkpoint(tmp_path / name / "epoch_3.pth")["state_dict"])
    finally:
        torch.use_deterministic_algorithms(False)
    assert difference(*saved) == 0.0


@pytest.mark.slow
def test_memory_of_an_evaluation_is_flat(tmp_path: Path) -> None:
    """2,000 images: the process grows by less than 50 MiB over the first 100."""
    options = {"test_dataloader.batch_size": 4}
    small = quick_config(tmp_path / "a", **options, **{"test_dataloader.dataset.length": 100})
    train(quick_config(tmp_path, **{"train_cfg.max_epochs": 1}))
    evaluate(small, tmp_path / "epoch_1.pth")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    large = quick_config(tmp_path / "b", **options, **{"test_dataloader.dataset.length": 2000})
    record = evaluate(large, tmp_path / "epoch_1.pth")
    growth = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    print(f"grown by {growth:.1f} MiB over 2,000 images")
    assert record["images"] == 2000
    assert growth < 50
