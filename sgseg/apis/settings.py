"""Values of a config that a run would accept and then fail of, or never end with."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Mapping
from typing import Any

from mmengine.config import Config
from mmengine.dataset import InfiniteSampler
from mmengine.runner import EpochBasedTrainLoop

from .arguments import find

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
    levels = list(logging.getLevelNamesMapping())
    if not isinstance(level, int) and level not in levels:
        raise ValueError(f"log_level = {level!r}: choose one of {', '.join(levels)}")
    if config.get("compile"):
        raise ValueError(
            "compile is set: the training step cannot be compiled; leave it out. A trained model "
            "can be: Segmenter(..., compile=True)"
        )
    _check_sampler(config)
    _check_best(config)
    _check_scaling(config)


def _check_sampler(config: Config) -> None:
    sampler = find(_value(config, "train_dataloader.sampler.type"))
    loop = find(_value(config, "train_cfg.type"))
    if _is_a(sampler, InfiniteSampler) and _is_a(loop, EpochBasedTrainLoop):
        raise ValueError(
            f"train_dataloader.sampler.type = {sampler.__name__}: it never ends, so neither would "
            f"the first epoch of {loop.__name__}; leave the sampler of the config"
        )


def _check_best(config: Config) -> None:
    """A score to keep the best checkpoint by that the evaluation does not give."""
    stated = _value(config, "default_hooks.checkpoint.save_best")
    evaluator = config.get("val_evaluator")
    if stated is None or not isinstance(evaluator, Mapping):
        return
    given = getattr(find(evaluator.get("type")), "SCORES", None)
    for score in [stated] if isinstance(stated, str) else stated:
        if given is not None and score not in (*given, "auto"):
            raise ValueError(
                f"default_hooks.checkpoint.save_best = {score!r}: the evaluation gives no such "
                f"score; choose one of {', '.join(given)}, or None"
            )


def _check_scaling(config: Config) -> None:
    scaling = config.get("auto_scale_lr") or {}
    if scaling.get("enable") and "base_batch_size" not in scaling:
        raise ValueError(
            "auto_scale_lr.enable is set without auto_scale_lr.base_batch_size: give the total "
            "batch that the learning rates belong to"
        )


def _value(config: Mapping[str, Any], key: str) -> Any:
    """What stands at a dotted key; None if nothing does."""
    node: Any = config
    for part in key.split("."):
        if not isinstance(node, (Mapping, Config)):
            return None
        node = node.get(part)
    return node


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_a(kind: Any, base: type) -> bool:
    return inspect.isclass(kind) and issubclass(kind, base)
