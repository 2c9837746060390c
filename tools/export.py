"""Export a checkpoint to ONNX, compare with torch, and keep the file only if both agree.

Example:
    python tools/export.py configs/sgseg/sgseg_diffgcn_folder.py work_dirs/run/epoch_12.pth \\
        model.onnx --num-classes 5 --check my_photos
"""

import argparse
from itertools import islice

from sgseg.apis import Segmenter, build_config
from sgseg.apis.export import export_onnx, sample_images
from sgseg.datasets.files import read_image
from sgseg.datasets.folder import scan


def main() -> None:
    """Parse the command line and export."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("config", help="config file the checkpoint was trained with")
    parser.add_argument("checkpoint", help="epoch_N.pth")
    parser.add_argument("out", help="file to write, model.onnx")
    parser.add_argument("--num-classes", type=int, help="number of clusters K, as in training")
    parser.add_argument("--bands", type=int, help="of the images, as in training; default 3")
    parser.add_argument("--names", metavar="FILE", help="classes.json with names of your own")
    parser.add_argument("--preset", help="sizes of the model, as in training")
    parser.add_argument("--height", type=int, help="fix the height of images; default any")
    parser.add_argument("--width", type=int, help="fix the width of images; default any")
    parser.add_argument("--opset", type=int, help="ONNX opset; default the exporter's own")
    parser.add_argument("--check", metavar="FOLDER", help="compare on its images; else textures")
    parser.add_argument("--images", type=int, default=20, help="images to compare on")
    args = parser.parse_args()
    if (args.height is None) != (args.width is None):
        parser.error("--height and --width go together")
    size = None if args.height is None else (args.height, args.width)
    sizes = dict(num_classes=args.num_classes, bands=args.bands, preset=args.preset)
    config = build_config(args.config, **sizes)
    segmenter = Segmenter(config, args.checkpoint, device="cpu", names=args.names)
    if args.check:
        paths = islice(scan(args.check).paths, args.images)
        images = (read_image(path, segmenter.bands) for path in paths)
    else:
        images = iter(sample_images(segmenter.bands, args.images))
    agreement = export_onnx(segmenter, args.out, images, size, args.opset)
    print(f"{args.out}: {agreement}")


if __name__ == "__main__":
    main()
