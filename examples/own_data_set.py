"""A data set of one's own: images and labels that lie in one NumPy file.

    python examples/own_data_set.py images.npz work_dirs/arrays

The file holds ``images`` (M, H, W, C) uint8 and ``labels`` (M, H, W) uint8, 255 where unknown.
"""

import sys
from collections.abc import Sequence
from typing import Any

import numpy as np

from sgseg.datasets import SegDataset
from sgseg.registry import DATASETS
from sgseg.training import build_config, train


@DATASETS.register_module()
class ArrayFile(SegDataset):
    """Images of a NumPy file; labels are read for the score alone.

    Args:
        file: path of the ``.npz``.
        classes: names of the labels 0, 1, ...
        **rest: of :class:`SegDataset`, for example the transforms.
    """

    def __init__(self, file: str, classes: Sequence[str] = (), **rest: Any) -> None:
        with np.load(file) as arrays:
            self.images, self.labels = arrays["images"], arrays["labels"]
        super().__init__(classes, **rest)

    def __len__(self) -> int:
        return len(self.images)

    def load(self, index: int) -> dict[str, Any]:
        """Image and label map ``index``; the transforms of the config follow."""
        return dict(img=self.images[index], gt_seg_map=self.labels[index], name=str(index))


def main(
    file: str,
    work_dir: str,
    classes: Sequence[str] = ("a", "b"),
    epochs: int = 34,
    options: dict[str, Any] | None = None,
) -> float:
    """Train on a file and score the same images; returns the accuracy in percent."""
    config = build_config(
        "sgseg_diffgcn_mosaic",
        num_classes=len(classes),
        work_dir=work_dir,
        epochs=epochs,
        options=options,
    )
    data = dict(type="ArrayFile", file=file, classes=list(classes))
    config.train_dataloader.dataset = data | dict(transforms=[dict(type="PackInputs")])
    for loader in (config.val_dataloader, config.test_dataloader):
        loader.dataset = data | dict(transforms=[dict(type="PackInputs", with_labels=True)])
    runner = train(config)
    return float(runner.val_evaluator.metrics[0].record["accuracy"])


if __name__ == "__main__":
    print(f"accuracy {main(*sys.argv[1:]):.1f} %")
