"""Turn COCO-Stuff or Potsdam, as downloaded, into a compact cache for training. Resumes.

Example:
    sgseg prepare coco_stuff /data/coco_stuff data/coco_stuff --lists curated
    sgseg prepare potsdam /data/potsdam data/potsdam
"""

import argparse

from .arguments import add_shared, usable_workers


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of ``sgseg prepare``, by data set."""
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("source", help="folder with the data as they come")
    common.add_argument("out", help="folder of the cache; the same call goes on after a stop")
    add_shared(common, "--workers")
    kinds = parser.add_subparsers(dest="dataset", required=True)
    coco = kinds.add_parser(
        "coco_stuff",
        parents=[common],
        help="COCO 2017 images and stuffthingmaps; one cache serves 15, 3 and 3 + other classes",
        description="SOURCE: images/SPLIT or SPLIT, annotations/SPLIT or stuffthingmaps/SPLIT.",
    )
    listed = "curated lists or their folder; default SOURCE/curated. Known by sha256"
    coco.add_argument("--lists", nargs="+", default=[], help=listed)
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


def run(args: argparse.Namespace) -> None:
    """Prepare, and print what the cache holds."""
    from ..datasets.cache import described
    from ..datasets.prepare import prepare_coco_stuff, prepare_potsdam
    from ..io.progress import progress_bar

    workers = usable_workers(args.workers)
    with progress_bar(f"Preparing {args.dataset}") as tell:
        if args.dataset == "potsdam":
            cache = prepare_potsdam(args.source, args.out, workers, tell, not args.full_size)
        else:
            options = (args.lists, args.splits, args.resize_whole, args.all_images)
            cache = prepare_coco_stuff(args.source, args.out, *options, workers, tell)
    print(described(cache))
