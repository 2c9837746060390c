"""Segment an image or a folder: label maps, pictures and the share of each class.

Example:
    python tools/predict.py configs/sgseg/sgseg_diffgcn_folder.py work_dirs/run/epoch_12.pth \\
        my_photos --out maps --num-classes 5
"""

import argparse

from rich.console import Console
from rich.progress import track

from sgseg.apis import Segmenter, build_config, segment_folder
from sgseg.datasets.files import find_images


def main() -> None:
    """Parse the command line and segment."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("config", help="config file the checkpoint was trained with")
    parser.add_argument("checkpoint", help="epoch_N.pth")
    parser.add_argument("source", help="an image, or a folder of images")
    parser.add_argument("--out", default="predictions", help="output folder")
    parser.add_argument("--num-classes", type=int, help="number of clusters K, as in training")
    parser.add_argument("--side", type=int, help="shorter side in pixels to segment at")
    parser.add_argument("--device", help="cpu or cuda; default a GPU if there is one")
    args = parser.parse_args()
    config = build_config(args.config, num_classes=args.num_classes)
    segmenter = Segmenter(config, args.checkpoint, args.device, args.side)
    try:
        total = len(find_images(args.source))
    except FileNotFoundError:
        total = 1
    console = Console(stderr=True)
    results = segment_folder(segmenter, args.source, args.out)
    for path, shares in track(results, "Segmenting", total, console=console):
        described = ", ".join(f"{name} {100 * share:.0f} %" for name, share in shares.items())
        print(f"{path}: {described}")
    print(f"Label maps in {args.out}/labels, pictures in {args.out}/pictures")


if __name__ == "__main__":
    main()
