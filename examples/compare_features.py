"""Do frozen features beat colours on a labelled folder? K-Means on both, three seeds, one table.

python examples/compare_features.py my_photos dinov2.safetensors --num-classes 5 [--sgseg]
"""

import argparse
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from sgseg.training import build_config, train

ROWS = {
    "K-Means, colours": ("kmeans_folder", None),
    "K-Means, features": ("kmeans_features_folder", "backbone"),
    "K-Means, features of superpixels": ("kmeans_features_superpixels", "backbone"),
}
TRAINED = {
    "SGSeg on SLIC": ("sgseg_diffgcn_slic_folder", None),
    "SGSeg on SLIC, features in the nodes": ("sgseg_diffgcn_features_folder", "frozen"),
}


def main(
    data: str,
    features: Mapping[str, Any],
    rows: Mapping[str, tuple[str, str | None]],
    out: str = "work_dirs/compare_features",
    seeds: Sequence[int] = (0, 1, 2),
    options: Mapping[str, Any] | None = None,
    **arguments: Any,
) -> dict[str, list[float]]:
    """Accuracy in percent of each row and seed; ``features``: weights, model and the like."""
    found: dict[str, list[float]] = {}
    for label, (name, part) in rows.items():
        given = dict(options or {}) | ({f"model.{part}": dict(features)} if part else {})
        for seed in seeds:
            place = f"{out}/{name}_seed{seed}"
            config = build_config(name, data, work_dir=place, seed=seed, options=given, **arguments)
            record = train(config).val_evaluator.metrics[0].record
            found.setdefault(label, []).append(record["accuracy"])
    return found


def table(found: Mapping[str, Sequence[float]]) -> str:
    """Rows of mean, deviation and every seed."""
    lines = ["| | mean | deviation | seeds |", "|---|---|---|---|"]
    for label, values in found.items():
        spread = statistics.stdev(values) if len(values) > 1 else 0.0
        each = " ".join(f"{value:.1f}" for value in values)
        lines.append(f"| {label} | {statistics.mean(values):.1f} | {spread:.1f} | {each} |")
    return "\n".join(lines)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", help="images/, labels/ and classes.txt")
    parser.add_argument("weights", help="a file for the network of --model, or pretrained")
    parser.add_argument("--model", default="vit_small_patch14_dinov2.lvd142m")
    parser.add_argument("--num-classes", type=int, required=True)
    parser.add_argument("--label-map")
    parser.add_argument("--epochs", type=int, help="of the trained rows")
    parser.add_argument("--sgseg", action="store_true", help="SGSeg with and without them too")
    args = parser.parse_args()
    fetched = args.weights == "pretrained"
    source = dict(pretrained=True) if fetched else dict(weights=args.weights)
    shared = dict(num_classes=args.num_classes, label_map=args.label_map)
    shared["options"] = {"default_hooks.pictures": None}
    own = dict(source, model=args.model)
    accuracies = main(args.data, own, ROWS, **shared)
    if args.sgseg:
        accuracies |= main(args.data, own, TRAINED, epochs=args.epochs, **shared)
    print(table(accuracies))
