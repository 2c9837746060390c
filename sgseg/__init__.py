"""sgseg: unsupervised semantic segmentation with superpixels and graph neural networks."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .inference import Segmenter
    from .inference.trained import TrainedRun

__version__ = "0.1.0"


def load(model: str | Path, **options: Any) -> Segmenter:
    """A trained model, ready to segment: ``sgseg.load("epoch_12.pth")("a.jpg").save("maps")``.

    Args:
        model: a checkpoint, the work dir of a training, or the ``.onnx`` file of an export.
        **options: of :class:`sgseg.inference.Segmenter`, or of its ``from_onnx``.
    """
    from .inference import Segmenter  # here, so that importing sgseg pulls in nothing heavy

    if Path(model).suffix.lower() == ".onnx":
        return Segmenter.from_onnx(model, **options)
    return Segmenter(model, **options)


def train(images: str | Path, classes: int, **options: Any) -> TrainedRun:
    """Train on a folder of images: ``sgseg.train("my_photos", classes=5).segmenter("a.jpg")``.

    Args:
        images: the folder.
        classes: number of clusters.
        **options: of :func:`sgseg.inference.trained.train_folder`: ``epochs``, ``size``, ``bands``,
            ``seed``, ``work_dir`` ...; ``options={"model.neck.knn": 5}`` is ``--cfg-options``.
    """
    from .inference.trained import train_folder

    return train_folder(images, classes, **options)
