"""A config with everything that follows from the command line: data, classes, sizes, length."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config

from ..config_files import read_config
from ..datasets import ImageFolder, LabelledFolder
from ..engine.tracking import add_trackers
from ..registry import find, is_a
from .batch import TOTAL, settle_stated, share_batch
from .length import check_length, set_length
from .loaders import LOADERS
from .options import check_names, merge_options
from .presets import apply_preset, read_preset
from .settings import check_settings, check_training
from .shares import set_shares
from .size import set_size

_HOOKS_OF_MMENGINE = frozenset(
    ("runtime_info", "timer", "sampler_seed", "logger", "param_scheduler", "checkpoint")
)
EVALUATORS = ("val_evaluator", "test_evaluator")


def build_config(
    path: str | Path | Config,
    data: str | Path | None = None,
    num_classes: int | None = None,
    label_map: str | None = None,
    work_dir: str | Path | None = None,
    seed: int | None = None,
    amp: bool = False,
    deterministic: bool = False,
    launcher: str = "none",
    preset: str | None = None,
    options: Mapping[str, Any] | None = None,
    bands: int | None = None,
    epochs: int | None = None,
    value_range: Sequence[float] | None = None,
    shares: Sequence[float] | None = None,
    size: int | None = None,
    track: Sequence[str] = (),
    training: bool = True,
) -> Config:
    """Load a config and set every place that depends on the arguments.

    The result does not depend on the machine, so one computed here can be run elsewhere.

    Args:
        path: config file, the name of one of the package, or a config, which is copied.
        data: root of the data; set in all data loaders. Without ``labels/`` below it, a folder
            recipe trains without evaluation.
        num_classes: number of clusters; set in the head and in the evaluators.
        label_map: ``FILE.json#KEY`` from raw labels to classes, for labelled folders.
        work_dir: where everything is written; default that of the config, or else, chosen when the
            run begins, the first of ``work_dirs/<config name>/run_1``, ``run_2`` ... that is not
            there.
        seed: of weights, order of images, crops, flips and raster orders; which images a
            TextureMosaic holds is ``dataset.seed``.
        amp: train under autocast, bfloat16 on a CPU.
        deterministic: refuse operations whose result depends on chance, and pick equal algorithms
            each time. CPU runs repeat without it.
        launcher: ``none``, ``pytorch`` (torchrun), ``slurm`` or ``mpi``.
        preset: sizes of the model, see :func:`read_preset`; default those of the config.
        options: further ``a.b.c=value`` overrides, which win.
        bands: of the images of a folder; set in its data sets and for the model.
        epochs: length of the run; stages, rates and evaluations keep their proportions. 1 is a
            trial of any config.
        value_range: values of a folder's images that stand for 0 and 1; default the whole range of
            their type.
        shares: rough part of the pixels that each cluster has, see :func:`set_shares`; their
            number is the number of clusters.
        size: shorter side in pixels at which images are trained and scored; default the config's.
        track: trackers that the run reports to, see :func:`sgseg.engine.tracking.add_trackers`.
        training: whether it is to train: ``total_batch_size`` is then shared by the processes.

    Raises:
        FileNotFoundError: for a missing config or data root.
        ValueError: for an argument that this config has no place for.
    """
    options = options or {}
    config = _read_config(path)
    check_names(config)
    settle_stated(config)
    config.launcher = launcher
    if preset is not None:
        apply_preset(config, read_preset(preset, str(config.filename or "run")))
    if data is not None:
        _set_data(config, Path(data))
    if label_map is not None:
        _set_label_map(config, label_map)
    if bands is not None:
        set_image_bands(config, bands)
    if value_range is not None:
        low, high = value_range
        _set_in_folders(config, "value_range", (low, high), "units")
    if size is not None:
        set_size(config, size)
    if shares is not None:
        num_classes = set_shares(config, shares, num_classes)
    if num_classes is not None:
        set_num_classes(config, num_classes)
    if work_dir is not None:
        config.work_dir = str(work_dir)
    if seed is not None:
        config.randomness = dict(config.get("randomness") or {}, seed=seed)
    _set_arithmetic(config, amp, deterministic)
    if epochs is not None:
        if (stated := options.get("train_cfg.max_epochs", epochs)) != epochs:
            raise ValueError(
                f"--epochs {epochs} and train_cfg.max_epochs={stated} contradict each other; "
                f"--epochs {stated} alone keeps the proportions of the schedule"
            )
        set_length(config, epochs, trial=True)
    add_trackers(config, track)
    merge_options(config, options)
    check_settings(config)
    if training:
        check_training(config)
        share_batch(config, total_given=TOTAL in options)
    _settle(config)
    return config


def set_image_bands(config: Config, bands: int) -> None:
    """Set the number of bands of a folder's images, in its data sets and for the model.

    Raises:
        ValueError: for less than one band, or data with bands of their own.
    """
    if bands < 1:
        raise ValueError(f"--bands {bands}: images have at least one")
    _set_in_folders(config, "bands", bands, "bands")
    config.model.data_preprocessor.bands = bands


def set_num_classes(config: Config, num_classes: int) -> None:
    """Set the number of clusters, in the head and in the evaluators.

    Raises:
        ValueError: for fewer than two.
    """
    if num_classes < 2:
        raise ValueError(f"--num-classes {num_classes}: give two or more")
    config.model.decode_head.num_classes = num_classes
    for name in EVALUATORS:
        if config.get(name):
            config[name].num_clusters = num_classes


def _read_config(given: str | Path | Config) -> Config:
    if isinstance(given, Config):
        return copy.deepcopy(given)
    return read_config(given)


def _datasets(config: Config) -> list[Any]:
    return [config[name].dataset for name in LOADERS if config.get(name)]


def _set_in_folders(config: Config, key: str, value: Any, what: str) -> None:
    """Set an argument of the data sets; ValueError for those that are no folders of images."""
    for dataset in _datasets(config):
        if not is_a(dataset, (ImageFolder, LabelledFolder)):
            raise ValueError(
                f"--{key.replace('_', '-')} {value}: {find(dataset.type).__name__} has {what} of "
                f"its own; a folder of images has the {what} that you say"
            )
        dataset[key] = value


def _set_label_map(config: Config, label_map: str) -> None:
    labelled = [dataset for dataset in _datasets(config) if is_a(dataset, LabelledFolder)]
    if not labelled:
        raise ValueError("--label-map: this config reads no LabelledFolder")
    for dataset in labelled:
        dataset.label_map = label_map


def _set_data(config: Config, root: Path) -> None:
    if not root.is_dir():
        raise FileNotFoundError(f"--data {root}: no such folder")
    if config.train_dataloader.dataset.get("root") is None:
        raise ValueError(
            "--data: this config makes its own images; use a config over a data set on disk, for "
            "example configs/sgseg/sgseg_diffgcn_folder.py"
        )
    for dataset in _datasets(config):
        dataset.root = str(root)
    scored = config.val_dataloader and is_a(config.val_dataloader.dataset, LabelledFolder)
    if scored and not (root / "labels").is_dir():
        for name in (*LOADERS[1:], *EVALUATORS, "val_cfg", "test_cfg"):
            config[name] = None
        # Without an evaluation there is no score to keep the best checkpoint by.
        config.default_hooks.checkpoint.pop("save_best", None)


def _set_arithmetic(config: Config, amp: bool, deterministic: bool) -> None:
    if amp:
        on_gpu = torch.cuda.is_available()
        config.optim_wrapper.type = "AmpOptimWrapper" if on_gpu else "CPUAmpOptimWrapper"
    if deterministic:
        config.randomness = dict(config.get("randomness") or {}, deterministic=True)
        config.env_cfg.cudnn_benchmark = False


def _settle(config: Config) -> None:
    """What follows from the config with all its overrides."""
    # Images are scored in the units that they are trained in, unless others are stated.
    train, *scored = [(config.get(name) or {}).get("dataset") or {} for name in LOADERS]
    for dataset in scored:
        if train.get("value_range") is not None and "root" in dataset:
            dataset.setdefault("value_range", train["value_range"])
    hooks = config.get("default_hooks") or {}
    for name in [name for name, hook in hooks.items() if hook is None]:
        if name not in _HOOKS_OF_MMENGINE:  # of its own alone mmengine knows that None is none
            hooks.pop(name)
    check_length(config)
    if (seed := (config.get("randomness") or {}).get("seed")) is not None:
        config.model.seed = seed
