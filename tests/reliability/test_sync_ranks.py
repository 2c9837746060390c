"""Synchronised statistics with recomputed layers: two processes are one, in training mode too."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.dist import get_world_size
from mmengine.model import convert_sync_batchnorm
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from sgseg.models.layers import over_ranks
from tests.configs.steps import PATHS, batch, build, shrunk
from tests.reliability.ranks import on_ranks
from tests.reliability.test_method_ranks import LossOnly

(PAPER,) = (path for path in PATHS if path.stem == "sgseg_diffgcn_coco15")


def synchronised(self: nn.SyncBatchNorm, x: Tensor) -> Tensor:
    """What ``SyncBatchNorm`` computes on GPUs, which it refuses on a CPU, by plain sums."""
    if not self.training:
        return nn.BatchNorm2d.forward(self, x)  # type: ignore[arg-type]
    assert self.num_batches_tracked is not None
    self.num_batches_tracked.add_(1)
    rest = [dim for dim in range(x.dim()) if dim != 1]
    moments = torch.stack([x.mean(rest), x.square().mean(rest)])
    mean, square = over_ranks(moments) / get_world_size()  # (C,) each
    variance = square - mean.square()
    count = x[:, 0].numel() * get_world_size()
    with torch.no_grad():
        self.running_mean.lerp_(mean, self.momentum)
        self.running_var.lerp_(variance * count / (count - 1), self.momentum)
    scale = self.weight * (variance + self.eps).rsqrt()  # (C,)
    shape = [-1] + [1] * (x.dim() - 2)
    return x * scale.view(shape) + (self.bias - mean * scale).view(shape)


def step(rank: int, world: int, stage: str) -> list[Any]:
    """Loss, gradients and buffers of a step of the paper's config on a share of four images."""
    config = shrunk(PAPER)
    model: nn.Module = build(config, stage).double()
    inputs = model.data_preprocessor(batch(config, 4), True)["inputs"].double().chunk(world)[rank]
    wrapped: nn.Module = LossOnly(model)
    with pytest.MonkeyPatch.context() as patch:
        if world > 1:
            patch.setattr(nn.SyncBatchNorm, "forward", synchronised)
            # DDP asks for GPUs where it sees the layer.
            patch.setattr(
                DistributedDataParallel, "_passing_sync_batchnorm_handle", lambda *_: None
            )
            wrapped = LossOnly(convert_sync_batchnorm(model))
            wrapped = DistributedDataParallel(wrapped, find_unused_parameters=True)
        loss = wrapped(dict(inputs=inputs))
        loss.backward()
    grads = {n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}
    return [loss.detach(), grads, dict(model.named_buffers())]


def every_stage(rank: int, world: int) -> dict[str, list[Any]]:
    """A step in each stage that the schedules of the paper have."""
    return {stage: step(rank, world, stage) for stage in ("superpixel", "joint", "segmentation")}


def test_two_ranks_are_one(tmp_path: Path) -> None:
    """Losses, gradients, running statistics and their counts."""
    ranks = on_ranks(2, tmp_path, every_stage, 2)
    for stage, (loss, grads, buffers) in every_stage(0, 1).items():
        both = [found[stage] for found in ranks]
        torch.testing.assert_close((both[0][0] + both[1][0]) / 2, loss)
        for _, other, statistics in both:
            torch.testing.assert_close({n: other[n] for n in grads}, grads, rtol=1e-6, atol=1e-9)
            torch.testing.assert_close(statistics, buffers)
