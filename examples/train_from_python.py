"""Train on mosaics of real textures, read the score, segment an image: all from Python.

python examples/train_from_python.py
"""

import json
from pathlib import Path
from typing import Any

import skimage.data

import sgseg
from sgseg.training import build_config, train


def main(
    work_dir: str = "work_dirs/from_python",
    epochs: int = 8,
    options: dict[str, Any] | None = None,
) -> dict[str, float]:
    """Train, and return the share of each class in an image that the model never saw.

    Args:
        work_dir: where checkpoints, scores and pictures go.
        epochs: length of the run; its schedule keeps its proportions.
        options: overrides of the config, for example ``{"model.neck.knn": 5}``.
    """
    config = build_config("sgseg_diffgcn_mosaic", work_dir=work_dir, epochs=epochs, options=options)
    train(config)
    score = json.loads(Path(work_dir, "eval.json").read_text())
    print(f"accuracy {score['accuracy']:.1f} %, mIoU {score['miou']:.1f} %")

    segmenter = sgseg.load(Path(work_dir, f"epoch_{epochs}.pth"), side=64)
    result = segmenter(skimage.data.astronaut())  # result.labels is (512, 512) uint8
    result.save(Path(work_dir, "astronaut"))  # label map, overlay, picture, areas
    return {area.name: area.share for area in result.areas()}


if __name__ == "__main__":
    for name, share in main().items():
        print(f"{name:<10}{100 * share:5.1f} %")
