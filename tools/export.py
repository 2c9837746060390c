"""Export a checkpoint to ONNX, compare with torch, and keep the file only if both agree.

Example:
    python tools/export.py work_dirs/run/epoch_12.pth model.onnx --check my_photos
"""

import argparse

import numpy as np

from sgseg.datasets.folder import scan
from sgseg.inference import Segmenter
from sgseg.inference.export import export_onnx, sample_images
from sgseg.io.rows import ArrayRows
from sgseg.training.command_line import OptionsAction


def main() -> None:
    """Parse the command line and export."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    what = "[CONFIG] CHECKPOINT OUT: epoch_N.pth, and the file to write, model.onnx"
    parser.add_argument("paths", nargs="+", metavar="PATH", help=what)
    parser.add_argument("--num-classes", type=int, help="number of clusters K, as in training")
    parser.add_argument("--bands", type=int, help="of the images, as in training; default 3")
    parser.add_argument("--names", metavar="FILE", help="classes.json with names of your own")
    parser.add_argument("--preset", help="sizes of the model, as in training")
    parser.add_argument("--evaluation", metavar="FILE", help="eval.json of tools/test.py: names")
    parser.add_argument("--cfg-options", nargs="+", action=OptionsAction, help="a.b.c=value ...")
    parser.add_argument("--height", type=int, help="fix the height of images; default any")
    parser.add_argument("--width", type=int, help="fix the width of images; default any")
    parser.add_argument("--opset", type=int, help="ONNX opset; default the exporter's own")
    parser.add_argument("--check", metavar="FOLDER", help="compare on its images; else textures")
    parser.add_argument("--images", type=int, default=20, help="images to compare on")
    args = parser.parse_intermixed_args()
    if len(args.paths) not in (2, 3):
        parser.error(f"got {len(args.paths)} paths, wanted are {what}")
    *given, checkpoint, out = args.paths
    if (args.height is None) != (args.width is None):
        parser.error("--height and --width go together")
    size = None if args.height is None else (args.height, args.width)
    sizes = dict(num_classes=args.num_classes, bands=args.bands, preset=args.preset)
    overrides = dict(sizes, options=args.cfg_options)
    names = dict(names=args.names, evaluation=args.evaluation)
    segmenter = Segmenter(checkpoint, *given, device="cpu", overrides=overrides, **names)
    if args.check:
        images = scan(args.check).paths[: args.images]
    else:
        samples = sample_images(segmenter.bands, args.images)
        images = [ArrayRows(image / np.float32(255)) for image in samples]  # of no model's units
    agreement = export_onnx(segmenter, out, images, size, args.opset)
    print(f"{out}: {agreement}")


if __name__ == "__main__":
    main()
