"""Show what the network is given: images as the pipeline leaves them, and labels beside them.

Example:
    python tools/browse_data.py configs/sgseg/sgseg_diffgcn_mosaic.py --out mosaic.png
"""

import argparse
from pathlib import Path

from sgseg.io.images import write_png
from sgseg.training import build_config
from sgseg.training.browse import data_picture


def main() -> None:
    """Parse the command line and draw."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("config", help="config file")
    parser.add_argument("--data", help="root folder of the data")
    parser.add_argument("--label-map", help="FILE.json#KEY: raw labels to classes")
    parser.add_argument("--bands", type=int, help="of the images of a folder; default 3")
    parser.add_argument("--split", default="train", choices=["train", "val", "test"])
    parser.add_argument("--count", type=int, default=12, help="images, evenly over the set")
    parser.add_argument("--out", default="data.png", help="picture to write")
    args = parser.parse_args()
    config = build_config(args.config, data=args.data, label_map=args.label_map, bands=args.bands)
    picture, summary = data_picture(config, args.split, args.count)
    write_png(Path(args.out), picture)
    print(summary)
    print(f"Written to {args.out}")


if __name__ == "__main__":
    main()
