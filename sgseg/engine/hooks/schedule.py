"""A resumed run follows the rates and the length that its config asks for now."""

from __future__ import annotations

import copy
import math
from typing import Any

from mmengine.hooks import Hook
from mmengine.runner import Runner

from ...registry import HOOKS


@HOOKS.register_module()
class ResumedScheduleHook(Hook):
    """Let the learning rates of a resumed run be those of its config at this step.

    A checkpoint brings its optimiser's rates and the state of its schedule, length included. Where
    the config asks for another length, rate, momentum or decay, mmengine goes on with the old
    ones without a word: a run made twice as long would train its second half at the last rate of
    the first. Here the config's own schedule is followed from the first step to this one; if it
    ends where the checkpoint is, nothing is touched, and the run goes on to the bit.
    """

    priority = "VERY_HIGH"

    def before_train(self, runner: Runner) -> None:
        """Compare, and say what changes."""
        if runner.iter == 0 or not runner._resume:
            return
        if runner.epoch >= runner.max_epochs:
            runner.logger.warning(
                f"The checkpoint has trained {runner.epoch} epochs and the run is to have "
                f"{runner.max_epochs}: nothing is left to train. Ask for more (--epochs, or "
                "train_cfg.max_epochs)"
            )
            return
        if any(getattr(each, "need_val_args", False) for each in runner.param_schedulers or []):
            return  # it follows the scores, which nothing here can repeat
        wrapper, schedulers = _as_configured(runner)
        changed = {}
        for old, new in zip(runner.optim_wrapper.param_groups, wrapper.param_groups, strict=True):
            for key, value in new.items():
                if key != "params" and not _equal(old.get(key), value):
                    changed[f"{new.get('name', 'all')}.{key}"] = (old.get(key), value)
                    old[key] = value
        same = all(
            _equal(first, second)
            for before, after in zip(runner.param_schedulers or [], schedulers, strict=True)
            for first, second in zip(_settings(before), _settings(after), strict=True)
        )
        if changed or not same:
            for before, after in zip(runner.param_schedulers or [], schedulers, strict=True):
                before.load_state_dict(after.state_dict())
            said = [
                f"{name} {_short(new)}, was {_short(old)}" for name, (old, new) in changed.items()
            ]
            runner.logger.warning(
                f"This run is resumed with another schedule than the checkpoint's; it follows the "
                f"config's, of {runner.max_epochs} epochs, from here on"
                + (f": {'; '.join(said)}" if said else "")
            )


def _as_configured(runner: Runner) -> tuple[Any, list[Any]]:
    """An optimiser and schedulers of the config, brought to the runner's step."""
    wrapper = runner.build_optim_wrapper(copy.deepcopy(runner.cfg.optim_wrapper))
    given = copy.deepcopy(runner.cfg.get("param_scheduler"))
    if given is None:
        return wrapper, []
    schedulers = runner._build_param_scheduler(given, wrapper)
    wrapper.optimizer._global_step = 0  # or each scheduler warns that no step was taken
    length = len(runner.train_dataloader)
    for step in range(1, runner.iter + 1):
        for scheduler in schedulers:
            if not scheduler.by_epoch or step % length == 0:
                scheduler.step()
    return wrapper, schedulers


def _settings(scheduler: Any) -> list[Any]:
    """What a scheduler was built with and has come to, in a fixed order."""
    state = scheduler.state_dict()
    return [state[key] for key in sorted(state) if key != "verbose"]


def _equal(first: Any, second: Any) -> bool:
    if isinstance(first, (list, tuple)) and isinstance(second, (list, tuple)):
        return len(first) == len(second) and all(map(_equal, first, second))
    if isinstance(first, float) and isinstance(second, (int, float)):
        return math.isclose(first, second, rel_tol=1e-9, abs_tol=1e-15)
    return bool(first == second)


def _short(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else repr(value)
