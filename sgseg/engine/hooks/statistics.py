"""The mean and deviation of each band over the training set, measured before the first step."""

from __future__ import annotations

import numpy as np
import torch
from mmengine.hooks import Hook
from mmengine.runner import Runner

from ...registry import HOOKS
from ..distributed import unwrapped


@HOOKS.register_module()
class SetStatisticsHook(Hook):
    """Measure what ``ImagePreprocessor(standardise="set")`` divides by.

    Every rank reads the same images through the training pipeline and finds the same numbers;
    they are saved with the weights. A resumed run keeps those it has. A model with another
    ``standardise`` is left alone. Pixels that are no data are not counted.

    Args:
        images: how many training images are read, evenly spread over the set.

    Raises:
        ValueError: if ``images`` is below 1, or no image holds any data.
    """

    def __init__(self, images: int = 256) -> None:
        if images < 1:
            raise ValueError(f"SetStatisticsHook: images = {images} must be >= 1")
        self.images = images

    def before_train(self, runner: Runner) -> None:
        """Measure and hand the numbers to the preprocessor."""
        model = unwrapped(runner.model)
        preprocessor = model.data_preprocessor
        if runner.iter > 0 or preprocessor.standardise != "set":
            return
        dataset = runner.train_dataloader.dataset
        count = min(self.images, len(dataset))
        moments = []
        for index in np.linspace(0, len(dataset) - 1, count).astype(int):
            item = dataset[int(index)]
            image = preprocessor.to_unit(item["inputs"]).double().flatten(1)  # (C, H W)
            if "valid" in item:
                image = image[:, item["valid"].flatten()]
            if image.shape[1]:
                moments.append(torch.stack([image.mean(1), image.square().mean(1)]))
        if not moments:
            raise ValueError(f"SetStatisticsHook: none of {count} training images holds any data")
        mean, square = torch.stack(moments).mean(0)  # (C,) each
        deviation = (square - mean.square()).clamp_min(0).sqrt()
        preprocessor.set_statistics(mean, deviation)
        runner.logger.info(
            f"Bands over {count} training images, scale 0 to 1: mean "
            f"{[round(value, 4) for value in mean.tolist()]}, deviation "
            f"{[round(value, 4) for value in deviation.tolist()]}"
        )
