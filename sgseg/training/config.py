"""A config with everything that follows from the command line: data, classes, sizes, length."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config

from .aliases import drop_aliases, settle_aliases
from .batch import settle_stated, share_batch
from .config_files import read_config
from .length import check_length, set_length
from .loaders import LOADERS
from .options import check_names, merge_options
from .settings import check_settings, check_training
from .sizes import apply_preset, read_preset, set_bands, type_name

_HOOKS_OF_MMENGINE = {
    *("runtime_info", "timer", "sampler_seed", "logger", "param_scheduler", "checkpoint")
}
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
    training: bool = True,
) -> Config:
    """Load a config and set every place that depends on the arguments.

    Args:
        path: config file, the name of one of the package, or a config, which is copied.
        data: root of the data; set in all data loaders. Without ``labels/`` below it, a folder
            recipe trains without evaluation.
        num_classes: number of clusters; set in the head and in the evaluators.
        label_map: ``FILE.json#KEY`` from raw labels to classes, for labelled folders.
        work_dir: where everything is written; default that of the config, or else, chosen when the
            run begins, the first of ``work_dirs/<config name>``, ``..._2`` ... that is not there.
        seed: of weights, order of images, crops, flips and raster orders; which images a
            TextureMosaic holds is ``dataset.seed``.
        amp: train under autocast, bfloat16 on a CPU.
        deterministic: refuse operations whose result depends on chance, and pick equal algorithms
            each time. CPU runs repeat without it.
        launcher: ``none``, ``pytorch`` (torchrun), ``slurm`` or ``mpi``.
        preset: sizes of the model, see :func:`read_preset`; default those of the config.
        options: further ``a.b.c=value`` overrides, which win.
        bands: of the images of a folder; set in its data sets and through the model.
        epochs: length of the run; stages, rates and evaluations keep their proportions. 1 is a
            trial of any config.
        value_range: values of a folder's images that stand for 0 and 1; default the whole range of
            their type.
        training: whether it is to train: ``total_batch_size`` is then shared by the processes.

    Raises:
        FileNotFoundError: for a missing config or data root.
        ValueError: for an argument that this config has no place for.
    """
    config = _read_config(path)
    source = str(config.filename or "run")
    check_names(config)
    if training:
        settle_aliases(config)
    drop_aliases(config)
    settle_stated(config)
    config.launcher = launcher
    if preset is not None:
        apply_preset(config, read_preset(preset, source))
    if data is not None:
        _set_data(config, Path(data))
    if label_map is not None:
        _set_label_map(config, label_map)
    if bands is not None:
        set_image_bands(config, bands)
    if value_range is not None:
        _set_value_range(config, value_range)
    if num_classes is not None:
        _set_num_classes(config, num_classes)
    if work_dir is not None:
        config.work_dir = str(work_dir)
    if seed is not None:
        config.randomness = dict(config.get("randomness") or {}, seed=seed)
    _set_arithmetic(config, amp, deterministic)
    if epochs is not None:
        _demand_one_length(epochs, options or {})
        set_length(config, epochs, trial=True)
    merge_options(config, options or {})
    check_settings(config)
    if training:
        check_training(config)
        share_batch(config, options or {})
    _settle(config)
    return config


def _read_config(given: str | Path | Config) -> Config:
    if isinstance(given, Config):
        return copy.deepcopy(given)
    return read_config(given)


def _demand_one_length(epochs: int, options: Mapping[str, Any]) -> None:
    stated = options.get("train_cfg.max_epochs", epochs)
    if stated != epochs:
        raise ValueError(
            f"--epochs {epochs} and train_cfg.max_epochs={stated} contradict each other; "
            f"--epochs {stated} alone keeps the proportions of the schedule"
        )


def _settle(config: Config) -> None:
    """What follows from the config with all its overrides."""
    _share_value_range(config)
    _drop_hooks(config)
    check_length(config)
    if (seed := (config.get("randomness") or {}).get("seed")) is not None:
        config.model.seed = seed
    if not torch.cuda.is_available():
        _adapt_to_cpu(config)


def _drop_hooks(config: Config) -> None:
    """``default_hooks.NAME=None`` leaves any hook out; mmengine knows that of its own alone."""
    hooks = config.get("default_hooks") or {}
    for name in [name for name, hook in hooks.items() if hook is None]:
        if name not in _HOOKS_OF_MMENGINE:
            hooks.pop(name)


def _share_value_range(config: Config) -> None:
    """Score images in the units that they are trained in, unless others are stated."""
    datasets = [(config.get(name) or {}).get("dataset") or {} for name in LOADERS]
    given = datasets[0].get("value_range")
    for dataset in datasets[1:]:
        if given is not None and "root" in dataset:
            dataset.setdefault("value_range", given)


def set_image_bands(config: Config, bands: int) -> None:
    """Set the number of bands of a folder's images, in its data sets and through the model.

    Raises:
        ValueError: for less than one band, or data with bands of their own.
    """
    for name in LOADERS:
        dataset = (config.get(name) or {}).get("dataset")
        if dataset is not None and "bands" not in dataset:
            raise ValueError(
                f"--bands {bands}: {type_name(dataset)} has bands of its own; a folder of images "
                "has as many as you say"
            )
        if dataset is not None:
            dataset.bands = bands
    set_bands(config.model, bands)


def _set_value_range(config: Config, value_range: Sequence[float]) -> None:
    low, high = value_range
    for name in LOADERS:
        dataset = (config.get(name) or {}).get("dataset")
        if dataset is not None and type_name(dataset) not in ("ImageFolder", "LabelledFolder"):
            raise ValueError(
                f"--value-range {low:g} {high:g}: {type_name(dataset)} has units of its own; the "
                "images of a folder have those that you say"
            )
        if dataset is not None:
            dataset.value_range = (low, high)


def _set_num_classes(config: Config, num_classes: int) -> None:
    config.model.decode_head.num_classes = num_classes
    for name in EVALUATORS:
        if config.get(name):
            config[name].num_clusters = num_classes


def _set_arithmetic(config: Config, amp: bool, deterministic: bool) -> None:
    if amp:
        on_gpu = torch.cuda.is_available()
        config.optim_wrapper.type = "AmpOptimWrapper" if on_gpu else "CPUAmpOptimWrapper"
    if deterministic:
        config.randomness = dict(config.get("randomness") or {}, deterministic=True)
        config.env_cfg.cudnn_benchmark = False


def _adapt_to_cpu(config: Config) -> None:
    """mmengine supposes a GPU per process; on CPUs the same run needs gloo and no device ids."""
    config.pop("sync_bn", None)  # torch synchronises statistics on GPUs only
    if config.launcher != "none":
        config.env_cfg.dist_cfg.backend = "gloo"
        config.model_wrapper_cfg = dict(
            type="MMDistributedDataParallel",
            device_ids=None,
            broadcast_buffers=False,
            find_unused_parameters=config.get("find_unused_parameters", False),
        )


def _set_data(config: Config, root: Path) -> None:
    if not root.is_dir():
        raise FileNotFoundError(f"--data {root}: no such folder")
    folder_recipe = config.train_dataloader.dataset.get("root") is not None
    if not folder_recipe:
        raise ValueError(
            "--data: this config makes its own images; use a config over a data set on disk, for "
            "example configs/sgseg/sgseg_diffgcn_folder.py"
        )
    for name in LOADERS:
        if config.get(name):
            config[name].dataset.root = str(root)
    labelled = (
        config.val_dataloader and type_name(config.val_dataloader.dataset) == "LabelledFolder"
    )
    if labelled and not (root / "labels").is_dir():
        for name in (*LOADERS[1:], *EVALUATORS, "val_cfg", "test_cfg"):
            config[name] = None
        # Without an evaluation there is no score to keep the best checkpoint by.
        config.default_hooks.checkpoint.pop("save_best", None)


def _set_label_map(config: Config, label_map: str) -> None:
    places = [
        config[name].dataset
        for name in LOADERS
        if config.get(name) and type_name(config[name].dataset) == "LabelledFolder"
    ]
    if not places:
        raise ValueError("--label-map: this config reads no LabelledFolder")
    for dataset in places:
        dataset.label_map = label_map
