"""Checkpoints that any loader reads safely, that resume exactly, and that know their classes."""

from __future__ import annotations

import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.dist import get_rank, get_world_size
from mmengine.hooks import CheckpointHook, Hook
from mmengine.logging import HistoryBuffer
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner

from ..registry import HOOKS

_BUFFER = "sgseg_history"


def load_checkpoint(path: str | Path) -> dict[str, Any]:
    """Read a checkpoint on the CPU without running any code in it.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is not a plain checkpoint, truncated or malicious.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f"{path}: no such checkpoint")
    try:
        checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise ValueError(
            f"{path}: not a readable checkpoint ({type(error).__name__}: {str(error)[:200]}); "
            "sgseg reads tensors and plain values only"
        ) from error
    if not isinstance(checkpoint, dict) or "state_dict" not in checkpoint:
        raise ValueError(f"{path}: holds no state_dict, so it is not a checkpoint of sgseg")
    return checkpoint


def plain(value: Any) -> Any:
    """``value`` with history buffers, arrays and NumPy scalars as plain Python and tensors."""
    if isinstance(value, HistoryBuffer):
        history, counts = value.data
        return {_BUFFER: [history.tolist(), counts.tolist()]}
    if isinstance(value, np.ndarray):
        return torch.from_numpy(value.copy())
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(plain(item) for item in value)
    return value


def _restore_buffers(scalars: dict[str, Any]) -> dict[str, Any]:
    return {
        name: HistoryBuffer(*value[_BUFFER])
        if isinstance(value, dict) and _BUFFER in value
        else value
        for name, value in scalars.items()
    }


@HOOKS.register_module()
class PlainCheckpointHook(Hook):
    """Save plain values only, and resume exactly where the run stopped.

    mmengine pickles its history buffers, which ``torch.load(weights_only=True)`` refuses, stores
    no random states, and resumes with missing or mis-shaped weights after a line in the log. This
    hook mends the three.
    """

    priority = "VERY_LOW"

    def __init__(self) -> None:
        self._random: dict[str, Any] | None = None

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Make the checkpoint plain and add the random states."""
        checkpoint["random"] = _random_state()
        for key in ("meta", "message_hub", "optimizer", "param_schedulers"):
            if key in checkpoint:
                checkpoint[key] = plain(checkpoint[key])

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Undo the plain form; refuse to resume what does not fit the model."""
        hub = checkpoint.get("message_hub")
        if isinstance(hub, dict):
            hub["log_scalars"] = _restore_buffers(hub.get("log_scalars", {}))
        if runner._resume:
            _check_weights(runner, checkpoint["state_dict"])
            self._random = checkpoint.get("random")

    def before_train(self, runner: Runner) -> None:
        """Put the random states back, after everything that draws while building."""
        if self._random is not None:
            _set_random_state(self._random, runner.epoch)
            self._random = None


def _check_weights(runner: Runner, loaded: Mapping[str, Any]) -> None:
    model = runner.model.module if is_model_wrapper(runner.model) else runner.model
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
            "The checkpoint does not fit the model of this config: "
            + "; ".join(faults[:5])
            + (f" and {len(faults) - 5} more" if len(faults) > 5 else "")
            + ". Resume with the config it was trained with"
        )


def _random_state() -> dict[str, Any]:
    numpy_state: Any = np.random.get_state()
    version, words, position, *gauss = numpy_state
    state = dict(
        torch=torch.get_rng_state(),
        numpy=[str(version), torch.from_numpy(words.astype(np.int64)), int(position), *gauss],
        python=list(random.getstate()[1]),
        python_gauss=random.getstate()[2],
    )
    if torch.cuda.is_available():
        state["cuda"] = torch.cuda.get_rng_state()
    return state


def _set_random_state(state: Mapping[str, Any], epoch: int) -> None:
    if get_world_size() > 1:
        # One rank's state was saved; every rank goes on with a seed of its own.
        seed = np.random.SeedSequence((epoch, get_rank(), int(state["torch"][0])))
        for seeder in (torch.manual_seed, np.random.seed, random.seed):
            seeder(int(seed.generate_state(1)[0]))
        return
    torch.set_rng_state(state["torch"].cpu())
    version, words, position, *gauss = state["numpy"]
    np.random.set_state((version, words.numpy().astype(np.uint32), position, *gauss))
    random.setstate((3, tuple(state["python"]), state["python_gauss"]))
    if "cuda" in state and torch.cuda.is_available():
        torch.cuda.set_rng_state(state["cuda"].cpu())


@HOOKS.register_module()
class EvaluatedCheckpointHook(CheckpointHook):
    """mmengine's checkpoint hook, saving an epoch after its evaluation instead of before.

    So ``epoch_N.pth`` carries the cluster-to-class table found in epoch N, and a run resumed from
    it does not skip that evaluation.
    """

    def after_train_epoch(self, runner: Runner) -> None:
        """Save now only if no evaluation follows."""
        if not self._evaluated(runner):
            super().after_train_epoch(runner)

    def after_val_epoch(self, runner: Runner, metrics: dict[str, float]) -> None:
        """Save the epoch that was just evaluated, then let the best one be kept."""
        epoch = runner.epoch  # already counts the epoch that ended
        due = self.interval > 0 and (epoch - self.save_begin) % self.interval == 0
        last = self.save_last and epoch == runner.max_epochs
        if self.by_epoch and ((due and epoch > self.save_begin) or last):
            runner.logger.info(f"Saving checkpoint at {epoch} epochs")
            self._save_checkpoint_with_step(runner, epoch, dict(epoch=epoch, iter=runner.iter))
        super().after_val_epoch(runner, metrics)

    @staticmethod
    def _evaluated(runner: Runner) -> bool:
        if runner.val_loop is None:
            return False
        epoch, loop = runner.epoch + 1, runner.train_loop
        return epoch >= loop.val_begin and (
            epoch % loop.val_interval == 0 or epoch == runner.max_epochs
        )
