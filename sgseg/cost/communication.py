r"""What the processes of a training tell each other in one step: collectives and bytes, by name.

One step of each stage runs in this process, as rank 0 of a group that sends nothing
(torch's ``FakeProcessGroup``), and every call of ``torch.distributed`` is counted on its way:

- ``gradients``: one sum for each bucket of DistributedDataParallel. All parameters are in it in
  every stage, for what a stage leaves alone is summed as zeros.
- ``parameters in use``: DistributedDataParallel's own, under ``find_unused_parameters``.
- ``normalisation``: each SyncBatchNorm gathers 2 C + 1 numbers forward (mean, deviation, count) and
  sums 2 C backward, for C channels; recomputed layers do so once more. Only GPUs synchronise.
- ``sums of losses``: :func:`sgseg.models.layers.over_ranks`, forward and backward.
- ``other``: whatever else a model or a plug-in asks for.

Bytes are those that each process hands over. What goes over its wire depends on the algorithm: a
ring of W processes sends 2 (W - 1) / W times the bytes of an all_reduce, and W - 1 times those of
an all_gather. What hooks exchange between steps is not in it.
"""

# Annotations are not postponed: DistributedDataParallel reads those of its hook.
import sys
import traceback
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
import torch.distributed as dist
from mmengine.config import Config
from mmengine.model import MMDistributedDataParallel
from mmengine.optim import build_optim_wrapper
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.testing._internal.distributed.fake_pg import FakeStore
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_iter

from ..engine.untrained import UntrainedLoop
from ..registry import is_a
from ..training.length import stage_lengths
from .workload import build, image_size, noise, step_data

_SIDE = 64
"""Pixels; larger images are cut down to it, for what is exchanged does not depend on their size."""


class Exchange(NamedTuple):
    """Why, and by which operation of ``torch.distributed``."""

    name: str
    operation: str


class Volume(NamedTuple):
    """How often in a step, and the bytes that each process hands over in all of them."""

    calls: int
    bytes: int


Step = dict[Exchange, Volume]


class CollectiveCounter(TorchDispatchMode):
    """Counts the collectives that are called inside, with any process group.

    Attributes:
        step: what was counted so far.
    """

    def __init__(self) -> None:
        super().__init__()
        self.step: Step = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func.namespace == "c10d":
            self._note(func._opname, [t for t in tree_iter(args) if isinstance(t, Tensor)])
        return func(*args, **(kwargs or {}))

    def _note(self, operation: str, tensors: list[Tensor]) -> None:
        # Of a gather the results come first, then what this process gives.
        given = tensors[-1:] if "gather" in operation else tensors
        key = Exchange(_reason(given), operation.strip("_"))
        calls, size = self.step.get(key, Volume(0, 0))
        self.step[key] = Volume(calls + 1, size + sum(t.nbytes for t in given))


def step_communication(
    config: Config, processes: int, synchronised: bool = True
) -> dict[str, Step]:
    """Count one training step of every stage, on this process alone.

    Args:
        config: from :func:`sgseg.training.build_config`.
        processes: W, two or more.
        synchronised: whether batch normalisation is, as on GPUs; on CPUs it is not.

    Returns:
        Stage -> what a step of it exchanges.

    Raises:
        ValueError: for fewer than two processes, a method that takes no steps, or within a process
            that already is one of several.
    """
    if processes < 2:
        raise ValueError(f"--gpus {processes}: one process exchanges nothing; give two or more")
    if is_a(config.train_cfg, UntrainedLoop):
        raise ValueError("this config takes no training steps (UntrainedLoop): nothing to exchange")
    with _pretended(processes), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's, about calls that it makes itself
        return _count(config, processes, synchronised)


def communication_text(stages: dict[str, Step], processes: int) -> str:
    """A table of :func:`step_communication`, for a person."""
    lines = []
    for stage, step in stages.items():
        calls = sum(volume.calls for volume in step.values())
        total = sum(volume.bytes for volume in step.values()) / 1e6
        lines.append(
            f"Stage {stage!r}, a step on {processes} processes: {calls} collectives, each process "
            f"gives {total:.3f} MB"
        )
        for key, (calls, size) in sorted(step.items(), key=lambda item: -item[1].bytes):
            lines.append(f"  {key.name:<20}{key.operation:<16}{calls:>5} x{size / 1e6:13.6f} MB")
    return "\n".join(lines)


@contextmanager
def _pretended(processes: int) -> Iterator[None]:
    """Be the first of so many processes, which are not there."""
    if dist.is_initialized():
        raise ValueError(
            f"this process is one of {dist.get_world_size()} already; count a step's communication "
            "in a process of its own"
        )
    dist.init_process_group("fake", store=FakeStore(), rank=0, world_size=processes)
    try:
        yield
    finally:
        dist.destroy_process_group()


def _count(config: Config, processes: int, synchronised: bool) -> dict[str, Step]:
    model = build(config.model)
    if synchronised and config.get("sync_bn"):
        for layer in model.modules():
            if isinstance(layer, _BatchNorm):
                layer.register_forward_hook(_synchronise)
    wrapped = MMDistributedDataParallel(
        module=model,
        broadcast_buffers=False,
        find_unused_parameters=config.get("find_unused_parameters", False),
    )
    wrapped.register_comm_hook(None, _sum_bucket)
    optimiser = build_optim_wrapper(wrapped, config.optim_wrapper)
    height, width = image_size(config)
    images = noise(config, 1, (min(height, _SIDE), min(width, _SIDE)))
    counted = {}
    for stage in stage_lengths(config):
        if hasattr(model, "stage"):
            model.stage = stage
        for _ in range(2):  # the first may settle the order of the buckets
            with CollectiveCounter() as counter:
                wrapped.train_step(step_data(model, images), optim_wrapper=optimiser)
        counted[stage] = counter.step
    return counted


def _sum_bucket(state: None, bucket: dist.GradBucket) -> torch.futures.Future[Tensor]:
    """What DistributedDataParallel does itself, where the group is not a pretended one."""
    dist.all_reduce(bucket.buffer())
    done: torch.futures.Future[Tensor] = torch.futures.Future()
    done.set_result(bucket.buffer())
    return done


class _Statistics(torch.autograd.Function):
    """The collectives of ``torch.nn.SyncBatchNorm``, which itself runs on GPUs alone."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.channels = x.shape[1]
        own = x.new_zeros(2 * ctx.channels + 1)
        dist.all_gather_into_tensor(own.new_empty(dist.get_world_size() * len(own)), own)
        return x.clone()  # layers after it work in place

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        dist.all_reduce(grad.new_zeros(2 * ctx.channels))
        return grad


def _synchronise(layer: nn.Module, given: tuple[Tensor, ...], x: Tensor) -> Tensor:
    return _Statistics.apply(x) if layer.training else x


_REASONS = {
    "_Statistics.forward": "normalisation",
    "_Statistics.backward": "normalisation",
    "SyncBatchNorm.forward": "normalisation",
    "SyncBatchNorm.backward": "normalisation",
    "over_ranks": "sums of losses",
    "_AllReduce.backward": "sums of losses",
    # Within a backward pass and none of those before: DistributedDataParallel's own, from C++.
    "_engine_run_backward": "gradients",
}


def _reason(given: list[Tensor]) -> str:
    """Why a collective is called, by the innermost function running that says so."""
    for frame, _ in traceback.walk_stack(sys._getframe()):
        reason = _REASONS.get(frame.f_code.co_qualname)
        if reason == "gradients" and given[0].dtype == torch.int32:
            return "parameters in use"
        if reason:
            return reason
    return "other"
