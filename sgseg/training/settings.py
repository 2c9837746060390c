"""Refuse values of a config with which a run would fail later, or never end."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from mmengine.config import Config
from mmengine.dataset import InfiniteSampler
from mmengine.optim import DefaultOptimWrapperConstructor
from mmengine.runner import EpochBasedTrainLoop, IterBasedTrainLoop

from ..engine import ModuleLRConstructor
from ..registry import find, is_a
from .arguments import value_at

_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
_LARGEST_SEED = 2**32 - 1
_WHOLE = (
    "total_batch_size",
    "train_dataloader.batch_size",
    "val_dataloader.batch_size",
    "test_dataloader.batch_size",
    "optim_wrapper.accumulative_counts",
    "train_cfg.max_epochs",
    "train_cfg.max_iters",
    "train_cfg.val_interval",
)
"""Keys whose value is a whole number of one or more."""


def check_settings(config: Config) -> None:
    """Refuse values that would stop the run later, in somebody else's words, or never.

    Args:
        config: with all its overrides.

    Raises:
        ValueError: that names the key, its value and what it takes.
    """
    for key in _WHOLE:
        value = _value(config, key)
        if value is not None and (not _is_whole(value) or value < 1):
            raise ValueError(f"{key} = {value!r}: give a whole number of one or more")
    seed = _value(config, "randomness.seed")
    if seed is not None and not (_is_whole(seed) and 0 <= seed <= _LARGEST_SEED):
        raise ValueError(
            f"randomness.seed (--seed) = {seed!r}: give a whole number of 0 to {_LARGEST_SEED}"
        )
    level = config.get("log_level", "INFO")
    if not isinstance(level, int) and not isinstance(logging.getLevelName(level), int):
        raise ValueError(f"log_level = {level!r}: choose one of {', '.join(_LEVELS)}")
    if not isinstance(config.get("model"), Mapping):
        raise ValueError(f"model = {config.get('model')!r}: a config is of a model")


def check_training(config: Config) -> None:
    """Refuse what would stop a training later, or never let it end, or do nothing in it.

    Args:
        config: with all its overrides.

    Raises:
        ValueError: that names the key, its value and what it takes.
    """
    if config.get("compile"):
        raise ValueError(
            "compile is set: the training step cannot be compiled; leave it out. A trained model "
            "can be: Segmenter(..., compile=True)"
        )
    loop, sampler = config.get("train_cfg"), _value(config, "train_dataloader.sampler")
    for base, key in ((EpochBasedTrainLoop, "max_epochs"), (IterBasedTrainLoop, "max_iters")):
        if is_a(loop, base) and loop.get(key) is None:
            name = find(loop.type).__name__
            raise ValueError(f"train_cfg.{key} is not set, and {name} needs it: set it")
    if is_a(sampler, InfiniteSampler) and is_a(loop, EpochBasedTrainLoop):
        raise ValueError(
            f"train_dataloader.sampler.type = {find(sampler.type).__name__}: it never ends, so "
            f"neither would the first epoch of {find(loop.type).__name__}; leave the sampler of "
            "the config"
        )
    stated = _value(config, "default_hooks.checkpoint.save_best")
    scores = getattr(find(_value(config, "val_evaluator.type")), "SCORES", None)
    for score in [stated] if isinstance(stated, str) else stated or ():
        if scores is not None and score not in (*scores, "auto"):
            raise ValueError(
                f"default_hooks.checkpoint.save_best = {score!r}: the evaluation gives no such "
                f"score; choose one of {', '.join(scores)}, or None"
            )
    _check_rates(config)


def _check_rates(config: Config) -> None:
    """ValueError for rates that are not read, or that belong to no stated batch."""
    constructor = find(_value(config, "optim_wrapper.constructor"))
    rates = _value(config, "optim_wrapper.paramwise_cfg.lr")
    if rates and constructor in (None, DefaultOptimWrapperConstructor):
        raise ValueError(
            "optim_wrapper.constructor: mmengine's own does not read paramwise_cfg.lr, the rates "
            "of this config; leave it at ModuleLRConstructor"
        )
    single = _value(config, "optim_wrapper.optimizer.lr")
    if constructor is ModuleLRConstructor and single is not None:
        raise ValueError(
            f"optim_wrapper.optimizer.lr = {single!r}: every part of the model has a rate of its "
            "own, so it would do nothing; set optim_wrapper.paramwise_cfg.lr.PART for a PART of "
            f"{', '.join(rates or ())}"
        )
    scaling = config.get("auto_scale_lr") or {}
    if scaling.get("enable") and "base_batch_size" not in scaling:
        raise ValueError(
            "auto_scale_lr.enable is set without auto_scale_lr.base_batch_size: give the total "
            "batch that the learning rates belong to"
        )


def _value(config: Config, key: str) -> Any:
    return value_at(dict(config.items()), key)


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
