"""Two processes compute what one does (R6)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.parallel import DistributedDataParallel

from sgseg.models.segmentors import SGSeg
from sgseg.registry import MODELS
from tests.reliability.runs import in_a_process, quick_config

LOSSES = dict(
    clustering="ClusteringLoss",
    smoothness="SmoothnessLoss",
    superpixel_reconstruction="SuperpixelReconstructionLoss",
    edge="EdgeLoss",
    total_variation="TotalVariationLoss",
    mutual_information="MutualInformationLoss",
    image_reconstruction="ImageReconstructionLoss",
)
CASES = [*((name,) for name in LOSSES), tuple(LOSSES)]


class LossOnly(torch.nn.Module):
    """What DDP wraps: the sum of the losses."""

    def __init__(self, model: SGSeg) -> None:
        super().__init__()
        self.model = model

    def forward(self, inputs: Tensor) -> Tensor:
        """Sum of the loss terms."""
        return sum(v for k, v in self.model.loss(inputs).items() if "loss" in k)  # type: ignore[return-value]


def step(folder: Path, names: tuple[str, ...], dtype: torch.dtype, rank: int, world: int) -> Any:
    """Loss and gradients of one step on this rank's share of four images."""
    config = quick_config(folder)
    model_config = config.model.to_dict()
    model_config["views"] = None  # else each rank lights its images by draws of its own
    model_config["roll_coordinates"] = False
    model_config["losses"] = {name: dict(type=LOSSES[name]) for name in names}
    torch.manual_seed(0)
    model = MODELS.build(model_config).to(dtype).eval()
    generator = torch.Generator().manual_seed(1)
    images = torch.randn(4, 3, 32, 32, generator=generator, dtype=torch.float64).to(dtype)
    share = images.chunk(world)[rank]
    wrapped: Any = LossOnly(model)
    if world > 1:
        wrapped = DistributedDataParallel(wrapped, find_unused_parameters=True)
    loss = wrapped(share)
    loss.backward()
    grads = {n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}
    return loss.detach().clone(), grads


def rank_main(folder: str, rank: int, world: int) -> None:
    """One of the processes: every case in both precisions."""
    torch.set_num_threads(1)
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{folder}/store", rank=rank, world_size=world
    )
    found = [
        step(Path(folder), names, dtype, rank, world)
        for names in CASES
        for dtype in (torch.float32, torch.float64)
    ]
    torch.save(found, f"{folder}/{rank}.pt")
    torch.distributed.barrier()
    torch.distributed.destroy_process_group()


@pytest.fixture(scope="module")
def ranks(tmp_path_factory: pytest.TempPathFactory) -> list[Any]:
    """What two processes found."""
    folder = tmp_path_factory.mktemp("ranks")
    pool = [in_a_process(rank_main, str(folder), rank, 2) for rank in range(2)]
    for process in pool:
        process.join(200)
    codes = [process.exitcode for process in pool]
    for process in pool:
        process.kill()
    assert codes == [0, 0]
    return [torch.load(folder / f"{rank}.pt", weights_only=True) for rank in range(2)]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("case", range(len(CASES)), ids=lambda i: "+".join(CASES[i]))
def test_two_ranks_are_one(ranks: list[Any], tmp_path: Path, case: int, dtype: torch.dtype) -> None:
    """Equal loss, and gradients of all weights: each loss alone and all of them together."""
    loss, grads = step(tmp_path, CASES[case], dtype, 0, 1)
    place = 2 * case + (dtype == torch.float64)
    shares = [found[place] for found in ranks]
    loss_limit, grad_limit = (1e-6, 1e-5) if dtype == torch.float32 else (1e-10, 1e-10)
    mean = (shares[0][0] + shares[1][0]) / 2
    assert float((mean - loss).abs() / loss.abs().clamp_min(1)) < loss_limit
    for _, other in shares:
        # A part that no loss of the case reaches has a zero on ranks, and none on one process.
        assert grads.keys() <= other.keys()
        one = torch.cat([g.flatten() for g in grads.values()])
        two = torch.cat([other[name].flatten() for name in grads])
        assert float((one - two).norm() / one.norm()) < grad_limit
