"""What a training says to a person when it begins and when it is over."""

from __future__ import annotations

from pathlib import Path

from mmengine.runner import Runner

from ..engine.hooks.evaluation_record import EvaluationRecordHook
from ..engine.hooks.label_free import LabelFreeHook
from ..engine.hooks.pictures import PictureHook
from ..engine.hooks.progress import clock
from ..engine.run_card import device_name
from .batch import Steps


def beginning(runner: Runner, steps: Steps) -> list[str]:
    """What is trained, on what, and where everything goes."""
    config, folder = runner.cfg, from_here(runner.work_dir)
    clusters = config.model.decode_head.num_classes
    length = f"{runner.max_epochs} epochs of {steps.steps_per_epoch} steps of {steps.total} images"
    images = f"{steps.images} images"
    if steps.drawn < steps.images:
        images += f" ({steps.drawn} an epoch, others each time)"
    elif steps.drawn > steps.images:
        images += f" (each about {steps.drawn / steps.images:.2g} times an epoch)"
    said = [
        f"{Path(config.filename or 'a config').stem}: {images}, {clusters} clusters, "
        f"{length}, on {device_name()}",
        f"Checkpoints, log and config: {folder}",
    ]
    if any(isinstance(hook, PictureHook) and hook.interval for hook in runner.hooks):
        said.append(f"Pictures: {folder / 'pictures'}")
    return said


def from_here(folder: str | Path) -> Path:
    """A path as a person would type it: relative to the current folder, if it lies below that."""
    path, here = Path(folder).absolute(), Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path


def ending(runner: Runner, seconds: float) -> list[str]:
    """How long it took and what came of it."""
    results = []
    for hook in runner.hooks:
        record = hook.record if isinstance(hook, EvaluationRecordHook) else None
        if record and record["accuracy"] is not None:
            results.append(f"accuracy {record['accuracy']:.1f} %, mIoU {record['miou']:.1f} %")
        if isinstance(hook, LabelFreeHook) and hook.history:
            scores = hook.history[-1]
            if "order_agreement" in scores:  # not of a method that reads an image once
                agree = f"{scores['order_agreement']:.0%}"
                results.append(f"readings in all raster orders agree on {agree} of the pixels")
            else:
                agree = f"{scores['flip_consistency']:.0%}"
                results.append(f"an image and its mirror image agree on {agree} of the pixels")
    return [f"Trained {runner.epoch} epochs in {clock(seconds)}: {'; '.join(results) or 'done'}"]
