"""Collectives and bytes of a step: pinned, so that none is added unseen, and true of a real run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.config import Config
from mmengine.hooks import Hook

from sgseg.cost.communication import (
    CollectiveCounter,
    Exchange,
    Step,
    Volume,
    communication_text,
    step_communication,
)
from sgseg.cost.workload import build
from sgseg.training import build_config
from tests.conftest import ROOT
from tests.reliability.ranks import config_for, on_ranks, run

RECIPE = ROOT / "configs/sgseg/sgseg_diffgcn_mosaic.py"
GRADIENTS = Exchange("gradients", "allreduce")
IN_USE = Exchange("parameters in use", "allreduce")
LOSSES = Exchange("sums of losses", "allreduce")
FORWARD = Exchange("normalisation", "allgather_base")
BACKWARD = Exchange("normalisation", "allreduce")


def expected(config: Config) -> dict[Exchange, Volume]:
    """What follows from the sizes of parameters and of the joint distribution alone."""
    parameters = list(build(config.model).parameters())
    loss = config.model.losses.mutual_information
    joint = (2 * loss.half_window + 1) ** 2 * config.model.decode_head.num_classes**2
    return {
        GRADIENTS: Volume(1, 4 * sum(p.numel() for p in parameters)),
        IN_USE: Volume(1, 4 * len(parameters)),
        LOSSES: Volume(2, 2 * 4 * joint),  # forward, and of its gradient backward
    }


def test_the_practical_recipe_exchanges_no_more_than_before() -> None:
    """Its three stages on eight GPUs: what a change adds has to be written here."""
    config = build_config(RECIPE)
    plain = expected(config)
    found = step_communication(config, 8)
    # Layers of normalisation that run, and that gradients pass: 4 (2 C + 1) and 4 (2 C) bytes.
    layers = {
        "superpixel": ((5, 756), (5, 736)),
        "head": ((34, 8584), (34, 8448)),
        "segmentation": ((45, 10548), (41, 9856)),
    }
    assert list(found) == list(layers)
    for stage, (forward, backward) in layers.items():
        wanted = plain | {FORWARD: Volume(*forward), BACKWARD: Volume(*backward)}
        if stage == "superpixel":
            del wanted[LOSSES]  # each of its losses is a mean over images
        assert found[stage] == wanted, stage
    text = communication_text(found, 8)
    assert "Stage 'segmentation', a step on 8 processes: 90 collectives, each process" in text


class EndOfCountHook(Hook):
    """Keeps the count of a step when all other hooks have had their turn."""

    priority = "LOWEST"

    def __init__(self) -> None:
        self.steps: list[Step] = []

    def after_train_iter(self, *args: Any, **kwargs: Any) -> None:
        """End what the other hook began."""
        self.counter.__exit__(None, None, None)
        self.steps.append(self.counter.step)


class CountHook(Hook):
    """Counts what each step exchanges, that of all hooks around it too."""

    priority = "HIGHEST"
    end: EndOfCountHook

    def before_train(self, runner: Any) -> None:
        """Have the count ended."""
        CountHook.end = EndOfCountHook()
        runner.register_hook(CountHook.end)

    def before_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None) -> None:
        """Begin."""
        self.end.counter = CollectiveCounter()
        self.end.counter.__enter__()


def counted_run(rank: int, folder: str) -> list[dict[str, tuple[int, int]]]:
    """A real training's steps, on plain names."""
    assert run(config_for(folder), CountHook)["error"] == ""
    return [{" ".join(key): tuple(v) for key, v in step.items()} for step in CountHook.end.steps]


@pytest.mark.slow
def test_a_real_step_exchanges_what_was_counted(tmp_path: Path) -> None:
    """Two gloo processes through the whole runner: three epochs of four steps, two stages.

    Hooks add a number that says whether the losses are finite, on GPUs in every twentieth step
    only, and in every eighth whether a signal came.
    """
    pretended = step_communication(config_for(str(tmp_path)), 2, synchronised=False)
    ranks = on_ranks(2, tmp_path / "ranks", counted_run, str(tmp_path / "run"))
    assert ranks[0] == ranks[1] and len(ranks[0]) == 12
    stages = list(pretended.values())
    for number, step in enumerate(ranks[0]):
        wanted = {" ".join(key): tuple(v) for key, v in stages[number // 8].items()}
        asked = 1 + ((number + 1) % 8 == 0)
        wanted["other allreduce"] = (asked, 8 * asked)
        assert step == wanted, number


def test_one_process_and_one_of_several_are_refused(tmp_path: Path) -> None:
    """Each with what to do."""
    config = build_config(RECIPE)
    for count in (0, 1):
        with pytest.raises(ValueError, match=f"--gpus {count}: .*give two or more"):
            step_communication(config, count)
    untrained = build_config(ROOT / "configs/kmeans/kmeans_mosaic.py")
    with pytest.raises(ValueError, match="takes no training steps"):
        step_communication(untrained, 2)
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{tmp_path}/store", rank=0, world_size=1
    )
    try:
        with pytest.raises(ValueError, match="one of 1 already.*process of its own"):
            step_communication(config, 2)
    finally:
        torch.distributed.destroy_process_group()
