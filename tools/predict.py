"""Segment an image or a folder: label maps, pictures, and what each class covers.

Example:
    python tools/predict.py work_dirs/run/epoch_12.pth my_photos --out maps
    python tools/predict.py --onnx model.onnx my_photos --out maps
"""

import argparse

from sgseg.inference import Segmenter
from sgseg.inference.folder import segment_aloud
from sgseg.training.command_line import OptionsAction


def main() -> None:
    """Parse the command line and segment."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    what = "[CONFIG] CHECKPOINT SOURCE, or SOURCE with --onnx; SOURCE is an image or a folder"
    parser.add_argument("paths", nargs="+", metavar="PATH", help=what)
    parser.add_argument("--onnx", metavar="FILE", help="model written by tools/export.py")
    parser.add_argument("--out", default="predictions", help="output folder")
    parser.add_argument("--overwrite", action="store_true", help="remove another prediction in OUT")
    parser.add_argument("--num-classes", type=int, help="number of clusters K, as in training")
    parser.add_argument("--bands", type=int, help="of the images, as in training; default 3")
    parser.add_argument("--names", metavar="FILE", help="classes.json with names of your own")
    parser.add_argument("--evaluation", metavar="FILE", help="eval.json of tools/test.py: classes")
    parser.add_argument("--value-range", nargs=2, type=float, metavar=("LOW", "HIGH"))
    parser.add_argument("--preset", help="sizes of the model, as in training, with CONFIG")
    parser.add_argument("--cfg-options", nargs="+", action=OptionsAction, help="a.b.c=value ...")
    parser.add_argument("--side", type=int, help="shorter side to segment at; 0: as the image is")
    parser.add_argument("--tile", type=int, help="segment in windows of this size; 0: never")
    parser.add_argument("--overlap", type=int, help="of the windows; default an eighth")
    parser.add_argument("--batch-size", type=int, default=1, help="with --no-pictures")
    parser.add_argument("--no-pictures", action="store_true", help="write label maps only")
    parser.add_argument("--compile", action="store_true", help="fuse operations, torch.compile")
    parser.add_argument("--precision", choices=("float32", "bfloat16"), default="float32")
    parser.add_argument("--device", help="cpu or cuda; default a GPU if there is one")
    args = parser.parse_intermixed_args()
    if len(args.paths) not in ((1,) if args.onnx else (2, 3)):
        parser.error(f"got {len(args.paths)} paths, wanted are {what}")
    *model, source = args.paths
    given = ("side", "tile", "overlap", "names", "value_range")
    options = {name: getattr(args, name) for name in given}
    if args.onnx:
        segmenter = Segmenter.from_onnx(args.onnx, **options)
    else:
        given = ("device", "compile", "precision", "evaluation")
        options |= {name: getattr(args, name) for name in given}
        overrides = {name: getattr(args, name) for name in ("num_classes", "bands", "preset")}
        overrides |= dict(options=args.cfg_options)
        segmenter = Segmenter(model[-1], *model[:-1], overrides=overrides, **options)
    pictures = not args.no_pictures
    segment_aloud(segmenter, source, args.out, args.batch_size, pictures, args.overwrite)


if __name__ == "__main__":
    main()
