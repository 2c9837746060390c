"""Training and evaluation from a config file, as ``tools/train.py`` and ``tools/test.py`` do."""

from __future__ import annotations

import copy
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.dist import init_dist, is_distributed
from mmengine.runner import Runner
from mmengine.utils.dl_utils import set_multi_processing
from torch.distributed import PrefixStore
from torch.distributed.rendezvous import rendezvous

from ..datasets.units import Units
from ..engine.checkpoint import load_checkpoint
from ..engine.distributed import SharedStopHook
from ..engine.interrupt import leaving_on_signals
from ..engine.record import json_safe
from ..engine.run_card import run_card
from ..engine.work_dir import clean_start, decide_once, evaluation_place, training_place
from .batch import fit_batch, settle_stated, share_batch
from .length import check_length, set_length, untrained
from .loaders import LOADERS, settle_workers
from .options import check_names, drop_aliases, merge_options
from .runner import build_datasets, build_runner, describe_steps, reuse_datasets, starting_point
from .sizes import apply_preset, read_preset, set_bands, type_name

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
    training: bool = True,
) -> Config:
    """Load a config and set every place that depends on the arguments.

    Args:
        path: config file, or a config, which is copied.
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
        training: whether it is to train: ``total_batch_size`` is then shared by the processes.

    Raises:
        FileNotFoundError: for a missing config or data root.
        ValueError: for an argument that this config has no place for.
    """
    config = _read_config(path)
    source = str(config.filename or "run")
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
    if num_classes is not None:
        _set_num_classes(config, num_classes)
    if work_dir is not None:
        config.work_dir = str(work_dir)
    if seed is not None:
        config.randomness = dict(config.get("randomness") or {}, seed=seed)
    _set_arithmetic(config, amp, deterministic)
    if epochs is not None:
        set_length(config, epochs, trial=True)
    merge_options(config, options or {})
    if training:
        share_batch(config, options or {})
    _settle(config)
    return config


def _read_config(given: str | Path | Config) -> Config:
    if isinstance(given, Config):
        return copy.deepcopy(given)
    if not Path(given).is_file():
        raise FileNotFoundError(f"{given}: no such config; see configs/sgseg/")
    return Config.fromfile(str(given))


def _settle(config: Config) -> None:
    """What follows from the config with all its overrides."""
    check_names(config)
    drop_aliases(config)
    _share_value_range(config)
    check_length(config)
    settle_workers(config)
    if (seed := (config.get("randomness") or {}).get("seed")) is not None:
        config.model.seed = seed
    if not torch.cuda.is_available():
        _adapt_to_cpu(config)


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


def _join_processes(config: Config) -> None:
    """Open the process group: the first process decides where the run writes, before it does.

    Where torchrun prepared it, mmengine would go wrong without a GPU; and after a restart, for
    torchrun's store still holds the addresses of the processes that died (pytorch issue 135712),
    so each start has keys of its own.
    """
    on_gpu = torch.cuda.is_available()
    if config.launcher == "none" or is_distributed():
        return
    if config.launcher != "pytorch" or (on_gpu and not _restarts()):
        set_multi_processing(**config.env_cfg.get("mp_cfg", {}), distributed=True)
        init_dist(config.launcher, **config.env_cfg.get("dist_cfg", {}))
        return
    if on_gpu:
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    store, rank, world = next(iter(rendezvous("env://")))
    store = PrefixStore(f"start_{_restarts()}", store)
    torch.distributed.init_process_group(
        "nccl" if on_gpu else "gloo", store=store, rank=rank, world_size=world
    )


def _restarts() -> int:
    """How often torchrun has started this process again."""
    return int(os.environ.get("TORCHELASTIC_RESTART_COUNT", "0"))


def train(config: Config, resume: bool = False) -> Runner:
    """Train as the config says; returns the runner when done.

    ``run.json`` in the work dir says what ran and how it ended. SIGTERM and Ctrl-C save a
    checkpoint first (:func:`sgseg.engine.interrupt.leaving_on_signals`). A start that fails leaves
    no files (:mod:`sgseg.engine.work_dir`).

    Args:
        config: from :func:`build_config`.
        resume: go on from the newest whole checkpoint in the work dir, if there is one. A
            process that torchrun starts again does so unasked.

    Raises:
        FileNotFoundError: for missing data.
        ValueError: for a checkpoint to load or resume from that is broken or does not fit, a
            work dir that holds another run, or a training set that is too small.
    """
    config = copy.deepcopy(config)
    settle_workers(config)
    _join_processes(config)
    datasets = build_datasets(config, LOADERS[:2])
    steps, changed = fit_batch(config, len(datasets[LOADERS[0]]))
    given = config.get("load_from")
    if given is not None and "://" not in str(given):
        load_checkpoint(given)
    place = decide_once(
        lambda: training_place(config.get("work_dir"), config.filename, resume, _restarts() > 0)
    )
    with clean_start(place, config.filename) as begun:
        warnings = [*place.said, *changed, *steps.warnings(), *untrained(config)]
        runner = build_runner(config, place, describe_steps(config, steps), warnings)
        for hook in (begun, SharedStopHook()):
            runner.register_hook(hook)
        reuse_datasets(runner, datasets)
        start = starting_point(runner, place.resume)
        with run_card(runner, start, steps.record()), leaving_on_signals(runner):
            runner.train()
    return runner


def evaluate(config: Config, checkpoint: str | Path) -> dict[str, Any]:
    """Score a checkpoint on the config's test set; writes ``eval.json`` and pictures.

    They go to the config's ``work_dir`` if it has one, or else to ``test_<checkpoint>`` beside the
    checkpoint, or ``..._2`` ... if that is there; ``config.work_dir`` then says which.

    Returns:
        The record as ``eval.json`` holds it.

    Raises:
        ValueError: for a config without a labelled test set, images in other units than those of
            the training, or a broken checkpoint.
    """
    if not config.get("test_evaluator"):
        raise ValueError(
            "This config has no test set with labels (a run trained without any carries none). "
            "Put label maps in labels/ beside images/, and give a config file and --data"
        )
    meta = load_checkpoint(checkpoint).get("meta") or {}
    trained_on = _manifest(meta.get("dataset_meta"))
    config.load_from = str(checkpoint)
    settle_workers(config)
    _join_processes(config)
    datasets = build_datasets(config, LOADERS[2:])
    for name, dataset in datasets.items():
        _check_units(config[name].dataset, dataset.units, Units.of(meta.get("units")))
    place = decide_once(lambda: evaluation_place(config.get("work_dir"), checkpoint))
    config.work_dir = str(place.folder)
    with clean_start(place, config.filename) as begun:
        runner = build_runner(config, place, place.said)
        runner.register_hook(begun)
        reuse_datasets(runner, datasets)
        runner.test()
    record = json_safe(runner.test_evaluator.metrics[0].record)
    scored_on = _manifest(record)
    if trained_on and scored_on and trained_on != scored_on:
        runner.logger.warning(
            f"{checkpoint} was trained on the data of manifest {trained_on}, this score is on "
            f"those of {scored_on}"
        )
    return record


def _check_units(dataset: Mapping[str, Any], found: Units, trained_on: Units | None) -> None:
    """ValueError for images in other units than the training's of which no range is stated."""
    if trained_on in (None, found) or dataset.get("value_range") is not None:
        return
    raise ValueError(
        f"The images to score hold {found}, the model was trained on {trained_on}: convert them, "
        "or state which of their values stand for 0 and 1 (--cfg-options "
        '"test_dataloader.dataset.value_range=[LOW,HIGH]")'
    )


def _manifest(described: Mapping[str, Any] | None) -> str | None:
    """The data's identity in a record or in a checkpoint's description of its data."""
    return ((described or {}).get("protocol") or {}).get("manifest_sha256")


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
