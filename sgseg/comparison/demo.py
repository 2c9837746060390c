"""The demo: train, compare, and say where to look."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from mmengine.config import Config

from ..engine.work_dir import new_place
from ..training import build_config, train
from .baselines import measure_baselines


def run_demo(
    config_path: str | Path, work_dir: str | Path | None, seed: int, say: Callable[[str], None]
) -> float:
    """Train a config from scratch and print its accuracy beside the baselines.

    Args:
        config_path: a config with a labelled test set.
        work_dir: where checkpoints and pictures go; default ``work_dirs/demo``, or
            ``work_dirs/demo_2`` ... where that is there.
        seed: of the run.
        say: where the text goes, for example ``print``.

    Returns:
        Accuracy in percent after the last epoch.
    """
    folder = work_dir or new_place(Path("work_dirs/demo")).folder
    config: Config = build_config(config_path, work_dir=folder, seed=seed)
    say("1/3  K-Means, majority class and the untrained network ...")
    baselines = measure_baselines(config)
    say(f"2/3  Training {Path(config_path).name}, seed {seed} ...")
    started = time.perf_counter()
    runner = train(config)
    seconds = time.perf_counter() - started
    record = runner.val_evaluator.metrics[0].record
    say("3/3  Done.\n")
    trained = f"{record['accuracy']:6.2f} %   mIoU {record['miou']:.2f} %, {seconds:.0f} s"
    say("pixel accuracy after Hungarian matching, last epoch")
    say(f"  {'majority class':<20}{baselines.majority:6.2f} %")
    say(f"  {'K-Means on colours':<20}{baselines.kmeans:6.2f} %")
    say(f"  {'SGSeg, untrained':<20}{baselines.untrained:6.2f} %")
    say(f"  {'SGSeg, trained':<20}{trained} of training")
    pictures = Path(folder) / "pictures"
    last = sorted(path.name for path in pictures.glob("epoch_???.png"))[-1]
    say(f"\nLook at {pictures / last} (input, superpixels, node features, prediction, truth),")
    say(f"{pictures / 'curves.png'} and {Path(folder) / 'eval.json'}.")
    return float(record["accuracy"])
