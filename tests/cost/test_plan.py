"""What a run needs, before it is run; and the run times of Table 11."""

import argparse
from pathlib import Path

import pytest
import torch

from benchmarks.step import memory
from sgseg.comparison.rows import load_table
from sgseg.cost import measure, runtimes
from sgseg.cost.plan import GIBI, Plan, accumulation, make_plan, step_peak
from sgseg.cost.workload import countable, forward_backward, image_size, noise
from sgseg.training import build_config
from sgseg.training.length import stage_lengths
from tests.conftest import ROOT, tiny_config

CONFIGS = ROOT / "configs" / "sgseg"


@pytest.mark.slow
def test_the_counted_peak_is_that_of_a_real_step(tmp_path: Path) -> None:
    """Two and three images are counted without memory; seven take what follows from them."""
    config = tiny_config(tmp_path)
    first, each = step_peak(config.model, config, "joint", (32, 32))
    real = countable(config.model)
    images = noise(config, 7, (32, 32))
    counted = measure.peak_bytes(lambda: forward_backward(real, images, "joint"))
    assert counted == pytest.approx(first + 7 * each, rel=0.02)


@pytest.mark.slow
@pytest.mark.parametrize("amp", [False, True])
def test_plan_and_benchmark_agree(tmp_path: Path, amp: bool) -> None:
    """Two commands that count the same step give the same bytes."""
    config = tiny_config(tmp_path)
    if amp:
        config.optim_wrapper.type = "CPUAmpOptimWrapper"
    total = memory(config, 7, 32)["total"] * measure.GIGA
    plan = make_plan(config, (32, 32), timed=False)
    first, each = step_peak(config.model, config, "joint", (32, 32))
    assert total == pytest.approx(plan.fixed + first + 7 * each, rel=1e-6)


@pytest.mark.slow
def test_plan_of_a_config(tmp_path: Path) -> None:
    """The stage that needs most, Adam's memory, times and images; no step where none is wanted."""
    config = tiny_config(tmp_path)
    plan = make_plan(config)
    assert plan.size == (32, 32) and plan.wanted == 4 and plan.images == 8
    assert plan.epochs == dict(superpixel=2, segmentation=1) == stage_lengths(config)
    weights = sum(4 * p.numel() for p in countable(config.model).parameters())
    assert plan.fixed == 3 * weights
    assert set(plan.seconds) == set(plan.epochs) and plan.hours()
    text = plan.text(24 * GIBI)
    assert "<- configured" in text and "of training on" in text and "does not fit" not in text
    assert make_plan(config, batch=9, timed=False).hours() is None


@pytest.mark.parametrize(
    "name",
    [
        *(f"{m}/{m}_mosaic" for m in ("iic", "doersch", "isola", "ac", "infoseg", "inmars")),
        "sgseg/sgseg_diffgcn_grid_mosaic",
    ],
)
def test_plan_of_every_method(name: str) -> None:
    """Two heads in turn, steps that fakes cannot take, regions, superpixels by NumPy."""
    config = build_config(ROOT / "configs" / f"{name}.py")
    plan = make_plan(config, (48, 48))
    assert plan.each > 3 * 48 * 48 * 4 and plan.largest_batch(24 * GIBI) > 8
    assert set(plan.seconds) == set(plan.epochs) and min(plan.seconds.values()) > 0
    assert sum(plan.epochs.values()) == config.train_cfg.max_epochs
    assert (set(plan.epochs) == {"auxiliary_head", "decode_head"}) == ("iic" in name)


def test_plan_of_a_method_without_steps() -> None:
    """Random CNN and K-Means have nothing to plan, and say so."""
    config = build_config(ROOT / "configs" / "kmeans" / "kmeans_mosaic.py")
    with pytest.raises(ValueError, match="takes no training steps"):
        make_plan(config)


def plan_of(wanted: int, checkpointed: float | None = None) -> Plan:
    """A GiB fixed, one for a step, two for each image."""
    return Plan("joint", GIBI, GIBI, 2 * GIBI, wanted, (8, 8), checkpointed=checkpointed)


def test_advice() -> None:
    """The largest batch that fits, exact accumulation, checkpointing where the backbone has it."""
    plan = plan_of(64)
    assert plan.largest_batch(24 * GIBI) == 9  # 0.9 * 24 - 2 = 19.6
    assert plan.advice(24 * GIBI)[0].startswith(
        "train_dataloader.batch_size=8 optim_wrapper.accumulative_counts=8"
    )
    assert plan_of(8).advice(24 * GIBI) == ["the configured batch of 8 fits; 9 would"]
    (_, second) = plan_of(64, checkpointed=GIBI / 2).advice(24 * GIBI)
    assert "backbone.checkpoint=True" in second and "batch_size=32" in second
    assert plan_of(64).advice(1 * GIBI)[0] == "not even one image fits"
    assert "batch_size=1 optim_wrapper.accumulative_counts=7 " in accumulation(7, 6)


@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("sgseg_diffgcn_coco15", (128, 128)),
        ("sgseg_diffgcn_coco15_whole", (128, 128)),
        ("sgseg_diffgcn_coco3_whole", (128, 128)),
        ("sgseg_diffgcn_potsdam", (200, 200)),
        ("sgseg_diffgcn_mosaic", (64, 64)),
        ("sgseg_diffgcn_folder", (96, 96)),
    ],
)
def test_image_size_is_in_the_config(name: str, size: tuple[int, int]) -> None:
    """Without the data, from the crop, the whole image's size, or the protocol."""
    assert image_size(build_config(CONFIGS / f"{name}.py")) == size


@pytest.mark.slow
def test_run_times(tmp_path: Path) -> None:
    """Head alone and full model in turn: times, arithmetic that no machine changes, their ratio."""
    parser = argparse.ArgumentParser()
    runtimes.add_arguments(parser)
    given = [str(ROOT / path) for path in runtimes.CONFIGS.values()]
    args = parser.parse_args(["--configs", *given, "--preset", "tiny", "--repeats", "1"])
    result = runtimes.run(args)
    head, full = (row.values for row in result.rows)
    assert 0 < head["inference GFLOP"] < full["inference GFLOP"] < full["training GFLOP"]
    assert min(*head.values(), *full.values()) > 0
    assert any(name.endswith("training") for name in result.figures)


def test_arithmetic_of_the_head_at_paper_size() -> None:
    """Table 10's convolutions by hand, two operations a multiply-add; no image is rebuilt."""
    config = build_config(CONFIGS / "sgseg_nospnn_coco15.py")
    pixels, half = 128 * 128, 64 * 64

    def block(a: int, b: int) -> int:
        return 9 * a * b + b * b + 4 * b * b

    widths = ((64, 128), (128, 128), (128, 256), (256, 512))
    at_half = sum(block(a, b) for a, b in widths) + 512 * 18 + 18 * 18
    expected = 2 * (pixels * 9 * 3 * 64 + half * at_half)
    found = runtimes.arithmetic(config)["inference GFLOP"]
    assert found == pytest.approx(expected / 1e9, rel=1e-9)
    assert torch.get_num_threads() == 1


@pytest.mark.slow
def test_no_advice_of_what_is_on() -> None:
    """Checkpointing and half precision are advised where they are off, and only there."""
    config = build_config(CONFIGS / "sgseg_diffgcn_mosaic.py", preset="tiny")
    assert config.model.backbone.get("checkpoint") is not True
    tight = make_plan(config, (32, 32), batch=4096, timed=False).advice(GIBI)
    assert sum("checkpoint=True" in line for line in tight) == 1
    assert sum("--amp" in line for line in tight) == 1
    config.model.backbone.checkpoint = True
    config.optim_wrapper.type = "AmpOptimWrapper"
    lines = make_plan(config, (32, 32), batch=4096, timed=False).advice(GIBI)
    assert not any("checkpoint=True" in line or "--amp" in line for line in lines)
    assert "another loss" in lines[0]


def test_table_11_times_the_head_alone() -> None:
    """The table's rows and `benchmark runtimes` are of the same two configs."""
    rows = load_table("table11", ROOT / "configs").rows
    assert [f"configs/sgseg/{row.config}_coco15.py" for row in rows] == list(
        runtimes.CONFIGS.values()
    )
    assert all(row.method is None for row in rows)
