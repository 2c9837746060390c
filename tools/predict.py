"""Segment an image or a folder: label maps, pictures and the share of each class.

Example:
    python tools/predict.py configs/sgseg/sgseg_diffgcn_folder.py work_dirs/run/epoch_12.pth \\
        my_photos --out maps --num-classes 5
    python tools/predict.py --onnx model.onnx my_photos --out maps
"""

import argparse

from rich.console import Console
from rich.progress import track

from sgseg.apis import Segmenter, build_config, segment_folder
from sgseg.datasets.folder import scan


def main() -> None:
    """Parse the command line and segment."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    what = "CONFIG CHECKPOINT SOURCE, or SOURCE with --onnx; SOURCE is an image or a folder"
    parser.add_argument("paths", nargs="+", metavar="PATH", help=what)
    parser.add_argument("--onnx", metavar="FILE", help="model written by tools/export.py")
    parser.add_argument("--out", default="predictions", help="output folder")
    parser.add_argument("--num-classes", type=int, help="number of clusters K, as in training")
    parser.add_argument("--bands", type=int, help="of the images, as in training; default 3")
    parser.add_argument("--names", metavar="FILE", help="classes.json with names of your own")
    parser.add_argument("--preset", help="sizes of the model, as in training")
    parser.add_argument("--side", type=int, help="shorter side to segment at; 0: as the image is")
    parser.add_argument("--tile", type=int, help="segment in windows of this size; 0: never")
    parser.add_argument("--overlap", type=int, help="of the windows; default an eighth")
    parser.add_argument("--batch-size", type=int, default=1, help="with --no-pictures")
    parser.add_argument("--no-pictures", action="store_true", help="write label maps only")
    parser.add_argument("--compile", action="store_true", help="fuse operations, torch.compile")
    parser.add_argument("--precision", choices=("float32", "bfloat16"), default="float32")
    parser.add_argument("--device", help="cpu or cuda; default a GPU if there is one")
    args = parser.parse_intermixed_args()
    if len(args.paths) != (1 if args.onnx else 3):
        parser.error(f"got {len(args.paths)} paths, wanted are {what}")
    *model, source = args.paths
    options = dict(side=args.side, tile=args.tile, overlap=args.overlap, names=args.names)
    if args.onnx:
        segmenter = Segmenter.from_onnx(args.onnx, **options)
    else:
        sizes = dict(num_classes=args.num_classes, bands=args.bands, preset=args.preset)
        speed = dict(device=args.device, compile=args.compile, precision=args.precision)
        segmenter = Segmenter(build_config(model[0], **sizes), model[1], **speed, **options)
    print((seen := scan(source)).sentence())
    results = segment_folder(segmenter, source, args.out, args.batch_size, not args.no_pictures)
    for path, shares in track(results, "Segmenting", len(seen.paths), console=Console(stderr=True)):
        described = ", ".join(f"{name} {100 * share:.0f} %" for name, share in shares.items())
        print(f"{path}: {described}")
    print(f"Written to {args.out}")


if __name__ == "__main__":
    main()
