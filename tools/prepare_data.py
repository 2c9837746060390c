"""Turn COCO-Stuff or Potsdam, as downloaded, into a compact cache for training. Resumes.

Example:
    python tools/prepare_data.py coco_stuff /data/coco_stuff data/coco_stuff --lists curated
    python tools/prepare_data.py potsdam /data/potsdam data/potsdam
"""

import argparse

from sgseg.datasets.cache import described
from sgseg.datasets.prepare import prepare_coco_stuff, prepare_potsdam
from sgseg.io.progress import progress_bar, usable_cores


def main() -> None:
    """Parse the command line and prepare."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("source", help="folder with the data as they come")
    common.add_argument("out", help="folder of the cache; the same call goes on after a stop")
    common.add_argument("--workers", type=int, default=usable_cores(), help="default: all cores")
    kinds = parser.add_subparsers(dest="dataset", required=True)
    coco = kinds.add_parser(
        "coco_stuff",
        parents=[common],
        help="COCO 2017 images and stuffthingmaps; one cache serves 15, 3 and 3 + other classes",
        description="SOURCE: images/SPLIT or SPLIT, annotations/SPLIT or stuffthingmaps/SPLIT.",
    )
    coco.add_argument(
        "--lists",
        nargs="+",
        default=[],
        help="curated lists or their folder; default SOURCE/curated. Known by sha256",
    )
    coco.add_argument("--all-images", action="store_true", help="every image, without lists")
    coco.add_argument("--splits", nargs="+", default=["train2017", "val2017"])
    coco.add_argument("--resize-whole", action="store_true", help="squeezed to 128 x 128")
    potsdam = kinds.add_parser(
        "potsdam",
        parents=[common],
        help="ISPRS tiles, or the archive of IIC; one cache serves 6 and 3 classes",
        description="SOURCE holds top_potsdam_*_RGBIR.tif and top_potsdam_*_label.tif at any "
        "depth (a worker needs about 1 GB), or imgs/*.mat, gt/*.mat and IIC's three lists.",
    )
    potsdam.add_argument("--full-size", action="store_true", help="do not halve the tiles first")
    args = parser.parse_args()
    with progress_bar(f"Preparing {args.dataset}") as tell:
        if args.dataset == "potsdam":
            how = (args.workers, tell, not args.full_size)
            cache = prepare_potsdam(args.source, args.out, *how)
        else:
            options = (args.lists, args.splits, args.resize_whole, args.all_images)
            cache = prepare_coco_stuff(args.source, args.out, *options, args.workers, tell)
    print(described(cache))


if __name__ == "__main__":
    main()
