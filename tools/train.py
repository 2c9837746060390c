"""Train a model from a config; evaluates, draws and saves checkpoints on the way.

Example:
    python tools/train.py configs/sgseg/sgseg_diffgcn_folder.py --data my_photos --num-classes 5
"""

import argparse

from sgseg.training import build_config, train
from sgseg.training.command_line import OptionsAction


def main() -> None:
    """Parse the command line and train."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("config", help="config file, see configs/sgseg/")
    parser.add_argument("--data", help="root folder of the data (images/, optionally labels/)")
    parser.add_argument("--num-classes", type=int, help="number of clusters K")
    parser.add_argument("--preset", help="sizes of the model: paper, small, tiny, or a file")
    parser.add_argument("--epochs", type=int, help="length, all stages in proportion; 1: a trial")
    parser.add_argument("--label-map", help="FILE.json#KEY: raw labels to classes, for scoring")
    parser.add_argument("--bands", type=int, help="of the images of a folder; default 3")
    parser.add_argument("--value-range", nargs=2, type=float, help="samples that are 0 and 1")
    parser.add_argument("--work-dir", help="default a new folder, work_dirs/<config name>")
    parser.add_argument("--resume", action="store_true", help="go on from the newest checkpoint")
    parser.add_argument("--amp", action="store_true", help="train in half precision")
    parser.add_argument("--seed", type=int, help="seed of the whole run; default 0")
    parser.add_argument("--deterministic", action="store_true", help="repeatable on a GPU too")
    parser.add_argument("--cfg-options", nargs="+", action=OptionsAction, help="a.b.c=value ...")
    parser.add_argument("--launcher", default="none", choices=["none", "pytorch", "slurm", "mpi"])
    parser.add_argument("--local_rank", "--local-rank", type=int, help=argparse.SUPPRESS)
    args = parser.parse_args()
    config = build_config(
        args.config,
        data=args.data,
        num_classes=args.num_classes,
        label_map=args.label_map,
        bands=args.bands,
        value_range=args.value_range,
        epochs=args.epochs,
        work_dir=args.work_dir,
        seed=args.seed,
        amp=args.amp,
        deterministic=args.deterministic,
        launcher=args.launcher,
        preset=args.preset,
        options=args.cfg_options,
    )
    train(config, resume=args.resume)


if __name__ == "__main__":
    main()
