"""Strips of pictures during training: input, superpixels, node features, prediction, truth."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.dist import master_only
from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch.utils.data import default_collate

from ...io.images import write_png
from ...ops.superpixel import labels as superpixel_labels
from ...registry import HOOKS
from ...visualization import (
    captioned,
    draw_borders,
    features_as_rgb,
    overlay,
    palette,
    picture_strip,
    plot_confusion,
    plot_curves,
    to_display,
)
from ..distributed import unwrapped

_NO_CLASS = 254
"""Drawn black: clusters without a class; 255 are pixels without a label."""


@HOOKS.register_module()
class PictureHook(Hook):
    """Write ``pictures/epoch_N.png`` after an evaluation, and curves and confusion beside it.

    Args:
        count: images in a strip, taken evenly over the evaluated set.
        interval: epochs between strips; 0: none while training, so ``sgseg test`` alone draws.
    """

    # After the record (LOW), whose class table colours the clusters.
    priority = 75

    def __init__(self, count: int = 6, interval: int = 1) -> None:
        self.count = count
        self.interval = interval

    def after_val_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        """Draw the epoch that was just evaluated."""
        last = runner.epoch == runner.max_epochs
        if self.interval and (last or runner.epoch % self.interval == 0):
            self._draw(runner, runner.val_dataloader, runner.val_evaluator, runner.epoch)

    def after_test_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        """Draw the checkpoint that was just evaluated."""
        self._draw(runner, runner.test_dataloader, runner.test_evaluator, None)

    @master_only
    def _draw(self, runner: Runner, loader: Any, evaluator: Any, epoch: int | None) -> None:
        records = [metric.record for metric in evaluator.metrics if hasattr(metric, "record")]
        mapping = np.asarray(records[0]["mapping"]) if records else None
        model = unwrapped(runner.model)
        count = min(self.count, len(loader.dataset))
        chosen = np.linspace(0, len(loader.dataset) - 1, count).astype(int)
        batch = default_collate([loader.dataset[int(index)] for index in chosen])
        strip = strip_of(model, batch, mapping)
        if records:
            classes = loader.dataset.metainfo["classes"]
            strip = captioned(strip, list(zip(classes, palette(len(classes)), strict=False)), [])
        folder = Path(runner.work_dir) / "pictures"
        folder.mkdir(exist_ok=True)
        name = "test" if epoch is None else f"epoch_{epoch:03d}"
        write_png(folder / f"{name}.png", strip)
        runner.visualizer.add_image("predictions", strip, step=runner.iter if epoch else 0)
        if records:
            confusion = records[0]["confusion"]
            plot_confusion(confusion, mapping.tolist(), classes, folder / f"{name}_confusion.png")
        # Of this run and of those that it resumed: their folders are named by the time.
        logged = sorted(Path(runner.work_dir).glob("*/vis_data/scalars.json"))
        if epoch is not None and logged:
            plot_curves(logged, folder / "curves.png")


def strip_of(
    model: torch.nn.Module, batch: dict[str, Any], mapping: np.ndarray | None = None
) -> np.ndarray:
    """One row an image of what the model makes of a batch.

    Args:
        model: a segmentor.
        batch: collated items, with or without ``gt``.
        mapping: class of each cluster; clusters keep their own colours without it.

    Returns:
        RGB picture, uint8.
    """
    training = model.training
    model.eval()
    with torch.no_grad():
        data = model.data_preprocessor(batch, False)
        state = model(data["inputs"], mode="tensor")
    model.train(training)
    clusters = state.probability.argmax(1).cpu().numpy()  # (B, H, W)
    colours = palette(_NO_CLASS)  # of all classes, those that no cluster has too
    if mapping is not None:
        clusters = np.where(mapping < 0, _NO_CLASS, mapping)[clusters]
    if state.superpixels is not None:
        owners = superpixel_labels(state.superpixels.assignment).cpu().numpy()  # (B, H, W)
    rows, titles = [], []
    for number, raw in enumerate(batch["inputs"].cpu().numpy().transpose(0, 2, 3, 1)):
        image = to_display(raw)
        row, titles = [image], ["input"]
        if state.superpixels is not None:
            row += [draw_borders(image, owners[number])]
            row += [features_as_rgb(state.projected[number].float().cpu().numpy())]
            titles += ["superpixels", "node features"]
        row += [overlay(image, clusters[number], colours, 0.8)]
        titles += ["prediction"]
        if "gt" in batch:
            row += [colours[batch["gt"][number].cpu().numpy() & 0xFF]]
            titles += ["truth"]
        rows.append(row)
    return picture_strip(rows, titles)
