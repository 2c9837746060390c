"""Pictures of superpixels during training, of images of the training set."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.dist import master_only
from mmengine.hooks import Hook
from mmengine.runner import Runner

from ...io.images import write_png
from ...ops.superpixel import labels
from ...registry import HOOKS
from ...visualization import draw_borders, features_as_rgb, picture_strip, to_display
from ..distributed import unwrapped


@HOOKS.register_module()
class SuperpixelPictureHook(Hook):
    """Write ``pictures/epoch_N.png`` after an epoch: image, superpixels, learned features.

    For models of which only the backbone trains, so that nothing is evaluated. Random parts of
    the pipeline are drawn as in training, once: the same crops every time.

    Args:
        count: images in a strip, taken evenly over the training set.
        interval: epochs between strips; the last epoch is always drawn.

    Raises:
        ValueError: if an argument is below 1.
    """

    priority = "LOW"

    def __init__(self, count: int = 6, interval: int = 1) -> None:
        if min(count, interval) < 1:
            raise ValueError(
                f"SuperpixelPictureHook: count = {count} and interval = {interval} must be >= 1"
            )
        self.count = count
        self.interval = interval
        self.images: torch.Tensor | None = None

    @master_only
    def after_train_epoch(self, runner: Runner) -> None:
        """Draw the epoch that ends."""
        epoch = runner.epoch + 1
        if epoch % self.interval and epoch != runner.max_epochs:
            return
        if self.images is None:
            dataset = runner.train_dataloader.dataset
            chosen = np.linspace(0, len(dataset) - 1, min(self.count, len(dataset))).astype(int)
            self.images = torch.stack([dataset[int(index)]["inputs"] for index in chosen])
        strip = superpixel_strip(unwrapped(runner.model), self.images)
        folder = Path(runner.work_dir) / "pictures"
        folder.mkdir(exist_ok=True)
        write_png(folder / f"epoch_{epoch:03d}.png", strip)
        runner.visualizer.add_image("superpixels", strip, step=runner.iter)


@torch.no_grad()
def superpixel_strip(model: Any, images: torch.Tensor) -> np.ndarray:
    """One row an image: image, borders of its superpixels, the backbone's features.

    Args:
        model: a segmentor with a backbone that gives :class:`.Superpixels`.
        images: (B, C, H, W) as the data set gives them.

    Returns:
        RGB picture, uint8.
    """
    training = model.training
    model.eval()
    seen = model.data_preprocessor(dict(inputs=images), False)["inputs"]
    superpixels = model.backbone(seen)
    model.train(training)
    rows = []
    owners = labels(superpixels.assignment).cpu().numpy()  # (B, H, W)
    features = superpixels.feature.float().cpu().numpy()  # (B, F, H, W)
    for raw, owner, feature in zip(images.numpy(), owners, features, strict=True):
        image = to_display(raw.transpose(1, 2, 0))
        rows.append([image, draw_borders(image, owner), features_as_rgb(feature)])
    return picture_strip(rows, ["input", "superpixels", "features"])
