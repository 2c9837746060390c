"""Pictures during training: what the model makes of some images, its clusters, the curves."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.dist import master_only
from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch.utils.data import default_collate

from ...io.images import write_png
from ...ops.matching import IGNORE
from ...ops.superpixel import labels as superpixel_labels
from ...registry import HOOKS
from ...visualization import (
    ClusterSheet,
    captioned,
    class_colours,
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
from .stage import TrainingStageHook

_NO_CLASS = 254
"""Drawn black: clusters without a class; 255 are pixels without a label."""

_UNLABELLED = 6
"""Times that a run without an evaluation is drawn: it takes as long as some training steps."""


@HOOKS.register_module()
class PictureHook(Hook):
    """Write ``pictures/epoch_N.png`` after an evaluation, and curves and confusion beside it.

    Without labels there is no evaluation: images of the training set are drawn six times in a run,
    in epochs in which the head trained, and ``clusters.png`` shows each cluster with the crops that
    belong to it most surely.

    Args:
        count: images in a strip, taken evenly over the set.
        interval: epochs between strips; 0: none while training, so ``sgseg test`` alone draws.
        surveyed: images that crops of the clusters are taken from.
    """

    # After the record (LOW), whose class table colours the clusters.
    priority = 75

    def __init__(self, count: int = 6, interval: int = 1, surveyed: int = 24) -> None:
        self.count = count
        self.interval = interval
        self.surveyed = surveyed

    def after_train_epoch(self, runner: Runner) -> None:
        """Draw an epoch of a run that has no evaluation, for want of labels."""
        epoch, seldom = runner.epoch + 1, -(-runner.max_epochs // _UNLABELLED)
        headless = getattr(unwrapped(runner.model), "stage", None) == "superpixel"
        if runner.val_loop is None and not headless and self._due(runner, epoch, seldom):
            self._draw_unlabelled(runner, epoch)

    def after_val_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        """Draw the epoch that was just evaluated."""
        if self._due(runner, runner.epoch):
            self._draw(runner, runner.val_dataloader, runner.val_evaluator, runner.epoch)

    def after_test_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        """Draw the checkpoint that was just evaluated."""
        self._draw(runner, runner.test_dataloader, runner.test_evaluator, None)

    def _due(self, runner: Runner, epoch: int, at_least: int = 1) -> bool:
        """Whether an epoch is drawn; the last one always is, unless none is."""
        if not self.interval:
            return False
        return epoch % max(self.interval, at_least) == 0 or epoch == runner.max_epochs

    @master_only
    def _draw_unlabelled(self, runner: Runner, epoch: int) -> None:
        dataset, model = runner.train_dataloader.dataset, unwrapped(runner.model)
        batch = default_collate([dataset[i] for i in evenly(len(dataset), self.count)])
        batch.pop("gt", None)  # of a training set that has labels for a loss mask alone
        folder = self._folder(runner)
        clusters = runner.cfg.model.decode_head.num_classes
        legend = [(f"cluster {n}", palette(clusters)[n]) for n in range(clusters)]
        strip = captioned(strip_of(model, batch), legend, [])
        write_png(folder / f"epoch_{epoch:03d}.png", strip)
        runner.visualizer.add_image("predictions", strip, step=runner.iter)
        items = (dataset[i] for i in evenly(len(dataset), self.surveyed))
        sheet = cluster_sheet(model, items)
        write_png(folder / "clusters.png", sheet)
        runner.visualizer.add_image("clusters", sheet, step=runner.iter)
        self._draw_curves(runner, folder)

    @master_only
    def _draw(self, runner: Runner, loader: Any, evaluator: Any, epoch: int | None) -> None:
        records = [metric.record for metric in evaluator.metrics if hasattr(metric, "record")]
        mapping = np.asarray(records[0]["mapping"]) if records else None
        model, dataset = unwrapped(runner.model), loader.dataset
        batch = default_collate([dataset[i] for i in evenly(len(dataset), self.count)])
        classes = dataset.metainfo["classes"] if records else ()
        strip = strip_of(model, batch, mapping, classes)
        if records:
            legend = list(zip(classes, class_colours(classes), strict=False))
            strip = captioned(strip, legend, [])
        folder = self._folder(runner)
        name = "test" if epoch is None else f"epoch_{epoch:03d}"
        write_png(folder / f"{name}.png", strip)
        runner.visualizer.add_image("predictions", strip, step=runner.iter if epoch else 0)
        if records:
            confusion = records[0]["confusion"]
            plot_confusion(confusion, mapping.tolist(), classes, folder / f"{name}_confusion.png")
        if epoch is not None:
            self._draw_curves(runner, folder)

    @staticmethod
    def _folder(runner: Runner) -> Path:
        folder = Path(runner.work_dir) / "pictures"
        folder.mkdir(exist_ok=True)
        return folder

    @staticmethod
    def _draw_curves(runner: Runner, folder: Path) -> None:
        # Of this run and of those that it resumed: their folders are named by the time.
        logged = sorted(Path(runner.work_dir).glob("*/vis_data/scalars.json"))
        stages = [hook.stages for hook in runner.hooks if isinstance(hook, TrainingStageHook)]
        steps = len(runner.train_dataloader) if runner.iter else 1
        plot_curves(logged, folder / "curves.png", steps, stages[0] if stages else ())


def evenly(length: int, count: int) -> list[int]:
    """So many numbers, or all there are, evenly spread over 0 ... length - 1."""
    return np.linspace(0, length - 1, min(count, length)).astype(int).tolist()


@torch.no_grad()
def cluster_sheet(model: torch.nn.Module, items: Iterable[dict[str, Any]]) -> np.ndarray:
    """What :class:`.ClusterSheet` shows of a segmentor.

    Args:
        model: a segmentor.
        items: ``inputs`` (C, H, W) and maybe ``valid`` (H, W) each, as the data set gives them.

    Returns:
        RGB picture, uint8.
    """
    training, sheet = model.training, None
    model.eval()
    for item in items:
        image, known = item["inputs"], {k: item[k][None] for k in ("inputs", "valid") if k in item}
        seen = model.data_preprocessor(known, False)["inputs"]
        probability = model.probability(seen)[0].float().cpu().numpy()  # (K, H, W)
        sheet = sheet or ClusterSheet(len(probability))
        valid = item["valid"].numpy() if "valid" in item else None
        sheet.add(to_display(image.numpy().transpose(1, 2, 0)), probability, valid)
    model.train(training)
    if sheet is None:
        raise ValueError("no image to look for clusters in: give a data set that has some")
    return sheet.picture()


def strip_of(
    model: torch.nn.Module,
    batch: dict[str, Any],
    mapping: np.ndarray | None = None,
    classes: Sequence[str] = (),
) -> np.ndarray:
    """One row an image of what the model makes of a batch.

    Superpixels and node features are shown where the prediction rests on them.

    Args:
        model: a segmentor.
        batch: collated items, with or without ``gt``.
        mapping: class of each cluster; clusters keep their own colours without it.
        classes: names by whose colours the classes are drawn, those of ``sgseg predict``.

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
    colours = class_colours(classes) if classes else palette(_NO_CLASS)
    if mapping is not None:
        clusters = np.where(mapping < 0, _NO_CLASS, mapping)[clusters]
    if "valid" in batch:
        clusters = np.where(batch["valid"].cpu().numpy(), clusters, IGNORE)
    used = state.superpixels is not None and getattr(model, "reads_nodes", True)
    if used:
        owners = superpixel_labels(state.superpixels.assignment).cpu().numpy()  # (B, H, W)
    rows, titles = [], []
    for number, raw in enumerate(batch["inputs"].cpu().numpy().transpose(0, 2, 3, 1)):
        image = to_display(raw)
        row, titles = [image], ["input"]
        if used:
            row += [draw_borders(image, owners[number])]
            row += [features_as_rgb(state.projected[number].float().cpu().numpy())]
            titles += ["superpixels", "node features"]
        row += [overlay(image, clusters[number], colours, 0.8 if "gt" in batch else 0.5)]
        titles += ["prediction"]
        if "gt" in batch:
            row += [colours[batch["gt"][number].cpu().numpy() & 0xFF]]
            titles += ["truth"]
        rows.append(row)
    return picture_strip(rows, titles)
