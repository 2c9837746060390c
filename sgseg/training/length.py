"""The length of a run: epochs, and the stages, rates and evaluations that follow from them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from mmengine.config import Config
from mmengine.logging import print_log

from ..engine.hooks.stage import TrainingStageHook, hook_of, turns_of


def set_length(config: Config, epochs: int, trial: bool = False) -> None:
    """Train for ``epochs``; the stages, their rates and the evaluations keep their proportions.

    Args:
        config: changed in place.
        epochs: at least 1.
        trial: with fewer epochs than stages, leave stages out, aloud: those after the head's, which
            only try to better it, then the first ones.

    Raises:
        ValueError: for less than one epoch, or fewer than stages.
    """
    if epochs < 1:
        raise ValueError(f"--epochs {epochs}: train for one or more")
    total, stages = config.train_cfg.max_epochs, stages_of(config)
    ends = [number + 1 for number, (_, name) in enumerate(stages) if name == "head"]
    kept = stages[: ends[0] if ends and epochs < len(stages) else None][-epochs:]
    if len(kept) < len(stages) and not trial:
        raise ValueError(f"{epochs} epochs are too few for the stages {stages}: give one for each")
    if len(kept) < len(stages):
        left_out = ", ".join(repr(name) for start, name in stages if (start, name) not in kept)
        print_log(
            f"{epochs} epochs are fewer than the {len(stages)} stages: {left_out} left out, what "
            "it trains stays as it was initialised. Good for a trial, not for a result",
            logger="current",
            level=30,
        )
    starts = stage_epochs(kept, total, epochs)
    moved = dict(zip((start for start, _ in kept), starts, strict=True))
    hook = hook_of(config, TrainingStageHook)
    if hook is not None:
        hook["stages"] = [(moved[start], name) for start, name in kept]
    factor = epochs / total
    for scheduler in schedulers_of(config):
        begin = scheduler.get("begin", 0)
        scheduler["begin"] = moved.get(begin, min(round(begin * factor), epochs - 1))
    loop = config.train_cfg
    loop.max_epochs = epochs
    loop.val_begin = starts[-1] + 1
    loop.val_interval = max(1, round(loop.get("val_interval", 1) * factor))


def check_length(config: Config) -> None:
    """ValueError if the fall of a learning rate would begin after the last epoch."""
    epochs = (config.get("train_cfg") or {}).get("max_epochs")
    begins = [s.get("begin", 0) for s in schedulers_of(config) if s.get("by_epoch", True)]
    late = max(begins, default=0)
    if epochs is not None and late >= epochs:
        raise ValueError(
            f"train_cfg.max_epochs = {epochs}: the learning rates begin to fall after epoch "
            f"{late}, so this run would end before. Set max_epochs to {late + 1} or more, or use "
            f"--epochs {epochs}, which keeps the proportions of the schedule"
        )


def untrained(config: Config) -> list[str]:
    """A sentence on what a run of this length leaves as it was initialised, if it does."""
    epochs = (config.get("train_cfg") or {}).get("max_epochs", 0)
    turns, stages = turns_of(config), stages_of(config)
    begun = {name for start, name in stages if start < epochs}
    trained = {turns[epoch % len(turns)] for epoch in range(epochs)} if turns else begun
    left = set(turns) - trained
    if trained == {"superpixel"}:
        left = {"neck", "decode_head"}
    if not left:
        return []
    late = ", ".join(f"{name!r} begins after epoch {start}" for start, name in stages[len(begun) :])
    return [
        f"This run of {epochs} epochs trains {', '.join(sorted(trained))} alone: "
        f"{', '.join(sorted(left))} will stay as initialised, so its label maps mean nothing"
        + (f" ({late}). --epochs {epochs} keeps the proportions of the schedule" if late else "")
    ]


def stages_of(config: Config) -> list[tuple[int, str]]:
    """First epoch and name of each training stage; one for a method without stages."""
    hook = hook_of(config, TrainingStageHook)
    return [(0, "joint")] if hook is None else [(int(a), str(b)) for a, b in hook["stages"]]


def stage_epochs(stages: Sequence[tuple[int, str]], total: int, epochs: int) -> list[int]:
    """First epochs of the stages of a schedule of ``total`` epochs, in one of ``epochs``."""
    starts = [0]
    for start, _ in stages[1:]:
        starts.append(max(starts[-1] + 1, round(start * epochs / total)))
    # A stage takes an epoch at least: the last ones move to the front for it.
    return [min(start, epochs - len(starts) + number) for number, start in enumerate(starts)]


def stage_lengths(config: Config) -> dict[str, int]:
    """Epochs of each training stage, in their order; one stage for a method without."""
    total, stages = int(config.train_cfg.max_epochs), stages_of(config)
    if turns := turns_of(config):
        return dict(Counter(turns[epoch % len(turns)] for epoch in range(total)))
    lengths = dict.fromkeys((name for _, name in stages), 0)
    ends = [*(start for start, _ in stages[1:]), total]
    for (start, name), end in zip(stages, ends, strict=True):
        lengths[name] += max(end - start, 0)
    return lengths


def schedulers_of(config: Config) -> list[Any]:
    """The configs of all parameter schedulers."""
    stated = config.get("param_scheduler") or []
    return [stated] if isinstance(stated, Mapping) else list(stated)
