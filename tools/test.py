"""Score a checkpoint on the labelled test set of its config; writes eval.json and pictures.

Example:
    python tools/test.py configs/sgseg/sgseg_diffgcn_mosaic.py work_dirs/demo/epoch_10.pth
"""

import argparse

from mmengine.config import DictAction

from sgseg.apis import build_config, evaluate


def main() -> None:
    """Parse the command line and evaluate."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("config", help="config file the checkpoint was trained with")
    parser.add_argument("checkpoint", help="epoch_N.pth")
    parser.add_argument("--data", help="root folder of the data")
    parser.add_argument("--num-classes", type=int, help="number of clusters K, as in training")
    parser.add_argument("--preset", help="sizes of the model: paper, small, tiny, or a file")
    parser.add_argument("--label-map", help="FILE.json#KEY: raw labels to classes")
    parser.add_argument("--bands", type=int, help="of the images of a folder; default 3")
    parser.add_argument("--work-dir", help="output folder; default beside the checkpoint")
    parser.add_argument("--cfg-options", nargs="+", action=DictAction, help="a.b.c=value ...")
    parser.add_argument("--launcher", default="none", choices=["none", "pytorch", "slurm", "mpi"])
    parser.add_argument("--local_rank", "--local-rank", type=int, help=argparse.SUPPRESS)
    args = parser.parse_args()
    config = build_config(
        args.config,
        data=args.data,
        num_classes=args.num_classes,
        label_map=args.label_map,
        bands=args.bands,
        work_dir=args.work_dir,
        launcher=args.launcher,
        preset=args.preset,
        options=args.cfg_options,
        training=False,
    )
    record = evaluate(config, args.checkpoint)
    print(
        f"accuracy {record['accuracy']:.2f} %, mIoU {record['miou']:.2f} %, "
        f"{record['images']} images; {config.work_dir}/eval.json"
    )
    for name, part in record.get("subsets", {}).items():
        print(f"  {name} alone: accuracy {part['accuracy']:.2f} %, {part['images']} images")


if __name__ == "__main__":
    main()
