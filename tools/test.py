"""Score a checkpoint on a labelled test set, by default its own; writes eval.json, pictures.

Example:
    python tools/test.py work_dirs/demo/epoch_10.pth
    python tools/test.py configs/sgseg/sgseg_diffgcn_mosaic.py work_dirs/demo/epoch_10.pth
"""

import argparse

from sgseg.training import config_for, test
from sgseg.training.command_line import OptionsAction


def main() -> None:
    """Parse the command line and evaluate."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    what = "[CONFIG] CHECKPOINT: epoch_N.pth; a config to score it on another one's data"
    parser.add_argument("paths", nargs="+", metavar="PATH", help=what)
    parser.add_argument("--data", help="root folder of the data")
    parser.add_argument("--num-classes", type=int, help="number of clusters K, as in training")
    parser.add_argument("--preset", help="sizes of the model: paper, small, tiny, or a file")
    parser.add_argument("--label-map", help="FILE.json#KEY: raw labels to classes")
    parser.add_argument("--bands", type=int, help="of the images of a folder; default 3")
    parser.add_argument("--value-range", nargs=2, type=float, help="samples that are 0 and 1")
    parser.add_argument("--work-dir", help="output folder; default beside the checkpoint")
    parser.add_argument("--cfg-options", nargs="+", action=OptionsAction, help="a.b.c=value ...")
    parser.add_argument("--launcher", default="none", choices=["none", "pytorch", "slurm", "mpi"])
    parser.add_argument("--local_rank", "--local-rank", type=int, help=argparse.SUPPRESS)
    args = parser.parse_intermixed_args()
    if len(args.paths) > 2:
        parser.error(f"got {len(args.paths)} paths, wanted are {what}")
    *given, checkpoint = args.paths
    config = config_for(
        checkpoint,
        *given,
        data=args.data,
        num_classes=args.num_classes,
        label_map=args.label_map,
        bands=args.bands,
        value_range=args.value_range,
        work_dir=args.work_dir,
        launcher=args.launcher,
        preset=args.preset,
        options=args.cfg_options,
        training=False,
    )
    record = test(config, checkpoint)
    print(
        f"accuracy {record['accuracy']:.2f} %, mIoU {record['miou']:.2f} %, "
        f"{record['images']} images; {config.work_dir}/eval.json"
    )
    for name, part in record.get("subsets", {}).items():
        print(f"  {name} alone: accuracy {part['accuracy']:.2f} %, {part['images']} images")


if __name__ == "__main__":
    main()
