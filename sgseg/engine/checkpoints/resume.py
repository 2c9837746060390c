"""Checkpoints that any loader reads safely, and from which a run goes on as if never stopped."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch import Tensor

from ...registry import HOOKS
from ..distributed import unwrapped
from .loading import plain, restore_buffers
from .portable import add_origin
from .random_state import random_state, set_random_state

_WHICH_DATA = ("dataset", "items", "items_sha256", "manifest_sha256", "seed")
"""Keys of a data set's protocol that say which images it holds."""


@HOOKS.register_module()
class PlainCheckpointHook(Hook):
    """Save plain values only, and resume exactly where the run stopped.

    mmengine pickles its history buffers, which ``torch.load(weights_only=True)`` refuses, stores
    no random states, begins an epoch anew that was left in the middle, and resumes with missing
    or mis-shaped weights after a line in the log. This hook mends the four.

    Raises:
        FloatingPointError: before saving weights that are not finite.
        ValueError: on resuming from a checkpoint that does not fit the model, the optimiser or
            the number of steps in an epoch.
    """

    priority = "VERY_LOW"

    def __init__(self) -> None:
        self._resumed: dict[str, Any] = {}
        self._before_evaluation: dict[str, Any] = {}
        self._epoch_start = 0

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Make the checkpoint plain; add the random states, the config and the units."""
        weights = {k: v for k, v in checkpoint["state_dict"].items() if isinstance(v, Tensor)}
        broken = [name for name, weight in weights.items() if not weight.isfinite().all()]
        if broken:
            raise FloatingPointError(
                f"Step {runner.iter}: {len(broken)} weights are not finite, {broken[0]} the first. "
                "They are not saved; the checkpoints before stand"
            )
        meta = checkpoint["meta"]
        meta["steps_per_epoch"] = len(runner.train_dataloader)
        inside = meta.get("inside_epoch", False)
        meta["steps_into_epoch"] = meta["iter"] - self._epoch_start if inside else 0
        due = meta.get("evaluation_due", False)
        checkpoint["random"] = self._before_evaluation if due else random_state()
        add_origin(runner, checkpoint)
        for key in ("meta", "message_hub", "optimizer", "param_schedulers"):
            if key in checkpoint:
                checkpoint[key] = plain(checkpoint[key])

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Undo the plain form; refuse to resume what does not fit."""
        checkpoint.get("meta", {}).pop("config", None)  # mmengine would run this text
        hub = checkpoint.get("message_hub")
        if isinstance(hub, dict):
            hub["log_scalars"] = restore_buffers(hub.get("log_scalars", {}))
        if runner._resume:
            _check_complete(checkpoint)
            _check_data(runner, checkpoint["meta"])
            _check_optimizer(runner, checkpoint.get("config") or {})
            _check_weights(runner, checkpoint["state_dict"])
            self._resumed = dict(checkpoint["meta"], random=checkpoint["random"])

    def before_train(self, runner: Runner) -> None:
        """Go on from the end of an epoch, with the evaluation that the run was stopped in."""
        for loop in (runner.train_loop, runner.val_loop):
            if loop is not None:
                # Else every pass begins with a draw from the generator that models use.
                loop.dataloader.generator = torch.Generator().manual_seed(runner.seed)
        if hasattr(runner.train_dataloader.sampler, "seed"):
            # Built before a checkpoint was read, whose seed the run goes on with.
            runner.train_dataloader.sampler.seed = runner.seed
        if self._resumed and not self._resumed["steps_into_epoch"]:
            due = self._resumed.get("evaluation_due")
            self._take_up_random_states(runner)
            if due and runner.val_loop is not None:
                runner.val_loop.run()

    def before_train_epoch(self, runner: Runner) -> None:
        """Go on in the middle of an epoch, without what was seen of it before."""
        self._epoch_start = runner.iter
        if self._resumed:
            self._epoch_start -= self._resumed["steps_into_epoch"]
            _skip_seen(runner, self._resumed)
            self._take_up_random_states(runner)
        runner.message_hub.update_info("epoch_start", self._epoch_start)

    def _take_up_random_states(self, runner: Runner) -> None:
        set_random_state(self._resumed["random"], runner.iter)
        self._resumed = {}

    def before_val(self, runner: Runner) -> None:
        """Note the random states, for a run that is stopped in this evaluation."""
        self._before_evaluation = random_state()


def _skip_seen(runner: Runner, meta: Mapping[str, Any]) -> None:
    """Let the next pass over the training set begin where the checkpoint's epoch was left."""
    loader, steps = runner.train_dataloader, meta["steps_per_epoch"]
    if steps != len(loader):
        raise ValueError(
            f"The checkpoint was saved in the middle of an epoch of {steps} steps, an epoch has "
            f"{len(loader)} here. Resume with the same total batch (total_batch_size is of all "
            "processes, train_dataloader.batch_size of each), or delete the epoch_*_iter_*.pth to "
            "go on from the end of an epoch"
        )
    if not hasattr(loader.sampler, "skip"):
        raise ValueError(
            f"{type(loader.sampler).__name__} cannot begin in the middle of an epoch: set "
            "train_dataloader.sampler.type to DrawSampler, or delete the epoch_*_iter_*.pth to go "
            "on from the end of an epoch"
        )
    loader.sampler.skip(meta["steps_into_epoch"] * loader.batch_size)


def _check_complete(checkpoint: Mapping[str, Any]) -> None:
    wanted = ("meta", "message_hub", "optimizer", "random")
    missing = [key for key in wanted if key not in checkpoint]
    if missing:
        raise ValueError(
            f"The checkpoint holds no {', '.join(missing)}, so nothing can go on from it exactly. "
            "Resume from an epoch_N.pth; a best_*.pth holds weights alone (load_from)"
        )


def _check_data(runner: Runner, meta: Mapping[str, Any]) -> None:
    dataset = runner.train_dataloader.dataset
    known = (getattr(dataset, "metainfo", None) or {}).get("protocol") or {}
    before = (meta.get("dataset_meta") or {}).get("protocol") or {}
    differing = [key for key in _WHICH_DATA if before.get(key) != known.get(key)]
    if before and known and differing:
        shown = ["root", "items", *(key for key in differing if "sha256" not in key)]
        was, is_now = (
            ", ".join(f"{key} {each[key]}" for key in dict.fromkeys(shown) if key in each)
            for each in (before, known)
        )
        names = ", some of other names" if was == is_now else ""
        raise ValueError(
            f"{runner._load_from} was trained on other images ({was}) than these "
            f"({is_now}{names}), and a resumed run goes on with its own. Put them back, "
            "name the run of these images (--work-dir), or begin one from the weights "
            "(--cfg-options load_from=CHECKPOINT)"
        )


def _check_optimizer(runner: Runner, before: Mapping[str, Any]) -> None:
    def kind(config: Mapping[str, Any]) -> str:
        optimizer = (config.get("optim_wrapper") or {}).get("optimizer") or {}
        found = optimizer.get("type", "")
        return found.__name__ if isinstance(found, type) else str(found).rsplit(".", 1)[-1]

    was, is_now = kind(before), kind(runner.cfg)
    if was and is_now and was != is_now:
        raise ValueError(
            f"{runner._load_from} holds the state of {was}, this config has {is_now}, which cannot "
            "go on from it. Resume with the former, or begin a run from the weights (--cfg-options "
            "load_from=CHECKPOINT)"
        )


def _check_weights(runner: Runner, loaded: Mapping[str, Any]) -> None:
    model = unwrapped(runner.model)
    own = model.state_dict()
    loaded = {key.removeprefix("module."): value for key, value in loaded.items()}
    faults = [f"missing {key}" for key in own if key not in loaded]
    faults += [f"unknown {key}" for key in loaded if key not in own]
    faults += [
        f"{key} is {tuple(loaded[key].shape)}, expected {tuple(value.shape)}"
        for key, value in own.items()
        if key in loaded and loaded[key].shape != value.shape
    ]
    if faults:
        raise ValueError(
            f"{runner._load_from} does not fit the model of this config: "
            + "; ".join(faults[:5])
            + (f" and {len(faults) - 5} more" if len(faults) > 5 else "")
            + ". Resume with the config and options it was trained with, or name the run to go on "
            "with (--work-dir)"
        )
