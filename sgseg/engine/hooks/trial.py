"""Node features on trial: they stay in the head's input only if scores without labels say so."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path

from mmengine.hooks import Hook
from mmengine.runner import Runner

from ...registry import HOOKS
from ..distributed import of_first, unwrapped
from .kept_weights import keep_weights, put_back
from .label_free import LabelFreeHook, score_images
from .stage import TrainingStageHook

FILE = "head.pth"
_SLACK = 0.008
"""By so much the flips' kappa of the head alone goes up and down from epoch to epoch."""


def helps(before: Mapping[str, float], after: Mapping[str, float], gain: float) -> bool:
    """Whether scores without labels say that node features help.

    Args:
        before: scores of the head alone, by :func:`score_images`.
        after: with node features; ``order_kappa``, ``mutual_information`` and ``flip_kappa``
            are compared: agreement beyond chance, or a collapsed head would always win.
        gain: by how much the readings have to agree better, in (0, 1].
    """
    rise = after["order_kappa"] - before["order_kappa"]
    steady = after["flip_kappa"] >= before["flip_kappa"] - _SLACK
    informed = after["mutual_information"] >= before["mutual_information"]
    return rise >= gain and steady and informed


@HOOKS.register_module()
class NodeTrialHook(Hook):
    """Try node features in the last epochs of a run, and go back to the head alone without gain.

    The head learns by itself (stage ``head``). When the next stage lets node features in, the
    weights are kept as ``head.pth``; after the last epoch images are scored without their labels
    and compared with the scores of these weights. Without a gain the weights are put back, and
    the gate is shut: checkpoint and evaluation of the last epoch are those of the head alone.

    Args:
        images: that are scored, evenly spread over the set that :class:`LabelFreeHook` scores.
        gain: by how much the readings in different raster orders have to agree better, beyond
            chance.
        batch_size: images at a time.

    Raises:
        ValueError: for ``images`` or ``batch_size`` below 1, or a ``gain`` outside of (0, 1].
    """

    priority = "BELOW_NORMAL"  # after the scores of the epoch, before its checkpoint

    def __init__(self, images: int = 64, gain: float = 0.03, batch_size: int = 8) -> None:
        if min(images, batch_size) < 1 or not 0 < gain <= 1:
            raise ValueError(
                f"NodeTrialHook: images = {images} and batch_size = {batch_size} must be >= 1, "
                f"gain = {gain} in (0, 1]"
            )
        self.images = images
        self.gain = gain
        self.batch_size = batch_size

    def before_train_epoch(self, runner: Runner) -> None:
        """Keep the head alone, where the trial begins with this epoch."""
        stage, model = stage_hook(runner), unwrapped(runner.model)
        first = runner.epoch > 0 and stage.stage_at(runner.epoch - 1) == "head"
        if not first or stage.stage_at(runner.epoch) == "head":
            return
        if model.fusion.gate.item() != model.fusion.init:
            return  # resumed in the middle of this epoch: what it began with is kept already
        model.fusion.shut()  # the file is the head alone, whoever reads it
        keep_weights(runner, FILE)
        model.fusion.admit()

    def after_train_epoch(self, runner: Runner) -> None:
        """Compare and decide after the last epoch."""
        model, path = unwrapped(runner.model), Path(runner.work_dir, FILE)
        tried = model.stage in ("segmentation", "joint") and model.reads_nodes
        if runner.epoch + 1 < runner.max_epochs or not tried or not of_first(path.is_file()):
            return
        loader = runner.train_dataloader if runner.val_loop is None else runner.val_dataloader
        score = partial(score_images, model, loader.dataset, self.images, self.batch_size)
        trained = {name: value.clone() for name, value in model.state_dict().items()}
        after = score()
        put_back(model, path)
        model.fusion.shut()
        before = score()
        kept = bool(of_first(helps(before, after, self.gain)))
        if kept:
            model.load_state_dict(trained)
        said = ", ".join(f"{name} {before[name]:.4f} -> {after[name]:.4f}" for name in before)
        runner.logger.info(f"Without labels, head alone -> with node features: {said}")
        agree = f"{before['order_kappa']:.3f} -> {after['order_kappa']:.3f}"
        if kept:
            runner.logger.warning(
                f"Node features stay: with them readings agree better, beyond chance ({agree})"
            )
            return
        for hook in runner.hooks:
            if isinstance(hook, LabelFreeHook):
                hook.score_again(runner)
        runner.logger.warning(
            f"Node features were tried and are left out: readings agree no better ({agree} beyond "
            "chance), or on less. The model is the head alone; scores from here on are its own"
        )


def stage_hook(runner: Runner) -> TrainingStageHook:
    """The hook that sets the stages.

    Raises:
        ValueError: for a run without one.
    """
    for hook in runner.hooks:
        if isinstance(hook, TrainingStageHook):
            return hook
    raise ValueError(
        "NodeTrialHook needs the stages of a run: set default_hooks.stage = "
        "dict(type='TrainingStageHook', stages=[(0, 'superpixel'), (2, 'head'), "
        "(31, 'segmentation')])"
    )
