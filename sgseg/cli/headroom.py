"""What a graph could add on labelled data: superpixels classified with labels, with and without.

Example:
    sgseg headroom my_photos --size 64
    sgseg headroom mosaic --out work_dirs/headroom_mosaic
"""

import argparse

from .arguments import add_shared

MOSAIC = "mosaic"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of ``sgseg headroom``."""
    add = parser.add_argument
    add("data", help="root folder of labelled data, or mosaic, which needs none")
    add("--config", help="whose scored images are taken; default sgseg_diffgcn_folder")
    add_shared(parser, "--label-map", "--bands", "--value-range", "--size", "--cfg-options")
    add("--model", metavar="PTH", help="a trained model: its class probabilities are features too")
    add("--num-superpixels", type=int, default=64, help="of SLIC, an image")
    add("--blocks", nargs="+", default=["DGCNNBlock", "DiffGCNBlock"], help="registered blocks")
    add("--knn", type=int, default=8, help="neighbours of a node, by place")
    add("--seeds", type=int, default=3, help="how many, from 0")
    add("--limit", type=int, help="images, evenly over the set; default all")
    add("--out", default="work_dirs/headroom", help="folder of headroom.json")


def run(args: argparse.Namespace) -> None:
    """Measure, write headroom.json, and print the table."""
    from ..comparison import headroom
    from ..comparison.headroom_report import headroom_table
    from ..io.jsonfile import write_json
    from ..io.progress import progress_bar
    from ..training import build_config

    given = dict(label_map=args.label_map, bands=args.bands, value_range=args.value_range)
    given["size"] = args.size
    if args.data != MOSAIC:
        given["data"] = args.data
    name = args.config or f"sgseg_diffgcn_{MOSAIC if args.data == MOSAIC else 'folder'}"
    config = build_config(name, options=args.cfg_options, training=False, **given)
    dataset = headroom.scored_set(config)
    probe = headroom.Probe(args.num_superpixels, args.blocks, args.knn, range(args.seeds))
    features = None if args.model is None else headroom.class_codes(args.model)
    with progress_bar("Superpixels") as tell:
        images = headroom.read_nodes(dataset, probe, args.limit, features, tell)
    with progress_bar("Learning") as tell:
        record = headroom.measure_headroom(images, probe, tell)
    record |= dict(model=args.model, protocol=dataset.protocol())
    write_json(f"{args.out}/headroom.json", record)
    print(f"{headroom_table(record)}\n\nWritten to {args.out}/headroom.json")
