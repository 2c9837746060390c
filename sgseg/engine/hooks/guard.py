"""Warn of a collapsed training: one cluster, no information, dead superpixels."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmengine.dist import master_only
from mmengine.hooks import Hook
from mmengine.runner import Runner

from ...io.jsonfile import read_json, write_json
from ...registry import HOOKS
from ..distributed import mean_of_ranks, unwrapped

FILE = "guard.json"
ADVICE = {
    "one_cluster": (
        "one cluster takes {value:.1%} of the pixels (limit {limit:.0%})",
        "raise losses.mutual_information.balance (1.5 or 2 asks for even clusters), lower the "
        "learning rate of decode_head, enlarge the batch, or try another seed",
    ),
    "no_information": (
        "the two readings share {value:.4f} of log K (limit {limit}): the clusters mean nothing",
        "raise the learning rate of decode_head (Table 12's are for hundreds of thousands of "
        "images), train longer, use milder views (model.views.contrast, brightness), or look with "
        "sgseg browse whether the images still show something",
    ),
    "dead_superpixels": (
        "{value:.0%} of the superpixels own a pixel (limit {limit:.0%})",
        "raise losses.clustering.balance, set backbone.logit_norm=True and "
        "backbone.with_coords=True, lower the learning rate of backbone, or ask for fewer "
        "(backbone.num_superpixels)",
    ),
}
"""Kind of collapse -> what was seen, and what to change."""
SEEN_BY = dict(
    one_cluster="largest_class",
    no_information="mutual_information",
    dead_superpixels="live_superpixels",
)
"""Kind of collapse -> the diagnostic that shows it; not every stage has it."""


def verdicts(
    means: Mapping[str, float], limits: Mapping[str, float], superpixels: int | None
) -> dict[str, float]:
    """Which kinds of collapse the mean diagnostics of some steps show, with the value.

    Args:
        means: of ``largest_class``, ``mutual_information`` (share of log K) and
            ``live_superpixels``, as far as the stage has them.
        limits: of each kind of :data:`ADVICE`.
        superpixels: N; None for a model without.
    """
    collapses = {}
    if means.get("largest_class", 0.0) > limits["one_cluster"]:
        collapses["one_cluster"] = means["largest_class"]
    if means.get("mutual_information", 1.0) < limits["no_information"]:
        collapses["no_information"] = means["mutual_information"]
    if superpixels and "live_superpixels" in means:
        live = means["live_superpixels"] / superpixels
        if live < limits["dead_superpixels"]:
            collapses["dead_superpixels"] = live
    return collapses


@HOOKS.register_module()
class CollapseGuardHook(Hook):
    """Warn within an epoch of a collapse, and say what to change.

    Looks at the diagnostics that every step logs, averaged over its last steps and all processes:
    every ``interval`` steps and at the end of each epoch. Each kind is said once until it is
    over, which is said too. Warnings are kept in ``guard.json``, with the epoch in which what they
    warn of was ``over`` (None: it is not), so that a table can name the runs that stayed collapsed.

    The first epoch of a part's training is judged at its end alone: nothing that starts at random
    has information before.

    Args:
        largest: share of the pixels in one cluster above which it has collapsed.
        information: mutual information of the two readings, as a share of log K, below which they
            share nothing.
        live: share of the superpixels owning a pixel, mean over images, below which they are dead.
        interval: steps between looks, and the most steps averaged.
        stop: end the training at a warning, so that a night is not spent on a collapsed run.
    """

    def __init__(
        self,
        largest: float = 0.95,
        information: float = 0.01,
        live: float = 0.5,
        interval: int = 200,
        stop: bool = False,
    ) -> None:
        limits = dict(one_cluster=largest, no_information=information, dead_superpixels=live)
        if interval < 1 or not all(0 <= limit <= 1 for limit in limits.values()):
            raise ValueError(
                f"CollapseGuardHook: interval = {interval} must be >= 1, the limits {limits} in "
                "[0, 1]"
            )
        self.limits = limits
        self.interval = interval
        self.stop = stop
        self.warnings: list[dict[str, Any]] = []
        self._open: set[str] = set()
        self._stage: Any = None
        self._fresh = True

    def before_train(self, runner: Runner) -> None:
        """Keep what was said before the checkpoint that a run goes on from."""
        path = Path(runner.work_dir) / FILE
        if path.is_file():
            said = read_json(path)
            self.warnings = [entry for entry in said if entry["step"] <= runner.iter]
            for entry in self.warnings:
                if (entry.get("over") or 0) > runner.epoch:
                    entry["over"] = None  # in an epoch that is trained anew
            self._open = {entry["kind"] for entry in self.warnings if entry.get("over") is None}
            self._write(path.parent)

    def before_train_epoch(self, runner: Runner) -> None:
        """Note whether another part begins to train."""
        stage = getattr(unwrapped(runner.model), "stage", None)
        self._fresh = stage != self._stage
        self._stage = stage
        self._steps = 0

    def after_train_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: Any = None,
        outputs: dict[str, Any] | None = None,
    ) -> None:
        """Look every ``interval`` steps."""
        self._steps += 1
        if self._steps % self.interval == 0 and not self._fresh:
            self._look(runner, runner.iter + 1)

    def after_train_epoch(self, runner: Runner) -> None:
        """Look at the epoch's last steps."""
        self._look(runner, runner.iter)

    def _look(self, runner: Runner, step: int) -> None:
        window = min(self._steps, self.interval)
        if self._fresh:
            window = max(window // 4, 1)  # what the epoch came to, not what it began with
        scalars = runner.message_hub.log_scalars
        names = ["live_superpixels"]
        if self._stage != "superpixel":
            names += ["largest_class", "mutual_information"]
        buffers = {name: scalars.get(f"train/{name}") for name in names}
        means = {name: float(b.mean(window)) for name, b in buffers.items() if b is not None}
        backbone = getattr(unwrapped(runner.model), "backbone", None)
        means = mean_of_ranks(means)  # all ranks see the whole batch, and come to one verdict
        collapses = verdicts(means, self.limits, getattr(backbone, "num_superpixels", None))
        for kind in collapses.keys() - self._open:
            self._warn(runner, kind, collapses[kind], step)
        over = {kind for kind in self._open - collapses.keys() if SEEN_BY[kind] in means}
        for kind in over:
            self._take_back(runner, kind)
        self._open = self._open - over | collapses.keys()

    def _warn(self, runner: Runner, kind: str, value: float, step: int) -> None:
        seen, change = ADVICE[kind]
        text = seen.format(value=value, limit=self.limits[kind])
        epoch = runner.epoch + 1
        runner.logger.warning(f"COLLAPSE in epoch {epoch}: {text}. What may help: {change}")
        self.warnings.append(dict(kind=kind, epoch=epoch, step=step, value=value, over=None))
        self._write(Path(runner.work_dir))
        if self.stop:
            runner.train_loop.stop_training = True

    def _take_back(self, runner: Runner, kind: str) -> None:
        (last,) = [entry for entry in self.warnings if entry["kind"] == kind][-1:]
        last["over"] = runner.epoch + 1
        runner.logger.warning(
            f"The collapse of epoch {last['epoch']} ({kind.replace('_', ' ')}) is over in epoch "
            f"{last['over']}"
        )
        self._write(Path(runner.work_dir))

    @master_only
    def _write(self, work_dir: Path) -> None:
        write_json(work_dir / FILE, self.warnings)
