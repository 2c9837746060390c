"""What an evaluation adds to inference: counting pixels and matching, against plain ways.

The metric counts the predictions of the model on the same batch; ``np.add.at`` and scikit-learn's
``confusion_matrix`` count the same labels.
"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from functools import partial
from typing import Any

import numpy as np
import torch
from mmengine.device import get_device
from torch import Tensor

from sgseg.cost.measure import seconds
from sgseg.cost.result import OF_TIMES, Goal, Result, Row
from sgseg.evaluation import HungarianMetric
from sgseg.ops.matching import IGNORE, hungarian, majority, scores
from sgseg.registry import MODELS
from sgseg.training import build_config


def add_arguments(parser: ArgumentParser) -> None:
    """Arguments of ``tools/benchmark.py metric``."""
    parser.add_argument(
        "--config", default="configs/sgseg/sgseg_diffgcn_folder.py", help="the model that infers"
    )
    parser.add_argument("--classes", type=int, default=15, help="K, clusters and classes")
    parser.add_argument("--batch", type=int, default=4, help="images")
    parser.add_argument("--sides", type=int, nargs="+", default=[128, 320], help="in pixels")
    parser.add_argument("--repeats", type=int, default=5, help="timed turns; the median counts")


def run(args: Namespace) -> Result:
    """Time inference, the metric and the plain ways on one batch a size."""
    torch.manual_seed(0)
    config = build_config(args.config, options={"model.decode_head.num_classes": args.classes})
    device = get_device()
    model: Any = MODELS.build(config.model).to(device).eval()
    rows, counts = [], np.zeros((args.classes, args.classes), np.int64)
    for side in args.sides:
        image = torch.randn(args.batch, model.data_preprocessor.bands, side, side, device=device)
        truth = torch.randint(args.classes, (args.batch, side, side))
        truth[:, :4] = IGNORE
        index = torch.arange(args.batch)
        samples = model.predict(image, truth, index)
        metric = HungarianMetric(args.classes, args.classes)
        ways = {
            "inference": partial(model.predict, image, truth, index),
            "HungarianMetric.process": partial(metric.process, None, samples),
            "np.add.at": partial(_add_at, samples, args.classes),
            "sklearn confusion_matrix": partial(_sklearn, samples, args.classes),
        }
        taken = seconds(ways, args.repeats)
        counts = counts + _add_at(samples, args.classes)
        for name, found in taken.items():
            share = 100 * found / taken["inference"]
            rows.append(Row(f"{side}^2, {name}", {"ms": 1e3 * found, "% of inference": share}))
    once = seconds({"match": partial(_match, counts)}, args.repeats)["match"]
    title = f"Evaluation, {args.config}, batch {args.batch}, K = {args.classes}"
    shares = [r.values["% of inference"] for r in rows if r.name.endswith("process")]
    goals = [
        Goal(f"evaluation, % of inference at {side} x {side}", share, "<=", 5.0, OF_TIMES)
        for side, share in zip(args.sides, shares, strict=True)
    ]
    return Result(title, rows, {"matching and scores, once a set, ms": 1e3 * once}, goals)


def _add_at(samples: list[dict[str, Tensor]], classes: int) -> np.ndarray:
    counts = np.zeros((classes, classes), np.int64)
    for sample in samples:
        predicted, truth = sample["pred"].cpu().numpy(), sample["gt"].numpy()
        scored = truth != IGNORE
        np.add.at(counts, (predicted[scored], truth[scored]), 1)
    return counts


def _sklearn(samples: list[dict[str, Tensor]], classes: int) -> np.ndarray:
    from sklearn.metrics import confusion_matrix

    total = np.zeros((classes, classes), np.int64)
    for sample in samples:
        truth, predicted = sample["gt"].numpy().ravel(), sample["pred"].cpu().numpy().ravel()
        # Labels it is not told of, as 255, it leaves out.
        total += confusion_matrix(truth, predicted, labels=range(classes)).T
    return total


def _match(counts: np.ndarray) -> None:
    scores(counts, hungarian(counts))
    scores(counts, majority(counts))
