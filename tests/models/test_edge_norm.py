"""Graph blocks against the printed equations: values, gradients, statistics, memory, processes."""

from __future__ import annotations

import multiprocessing
from pathlib import Path

import pytest
import torch
from tests.reference.graph import PlainBlock, PlainDGCNN, PlainDiffGCN
from torch import Tensor, nn

from sgseg.cost.measure import peak_bytes, saved_bytes
from sgseg.models import DGCNNBlock, DiffGCNBlock
from sgseg.ops import edges
from sgseg.ops.graph import knn

C = 6
PAIRS = [(DGCNNBlock, PlainDGCNN), (DiffGCNBlock, PlainDiffGCN)]
Pair = tuple[type[nn.Module], type[PlainBlock]]
both = pytest.mark.parametrize("pair", PAIRS, ids=["DGCNN", "DiffGCN"])
either = pytest.mark.parametrize("how", ["max", "mean"])


def cloud(images: int = 3, nodes: int = 20, k: int = 5, channels: int = C) -> list[Tensor]:
    g = torch.Generator().manual_seed(0)
    x = torch.randn(images, nodes, channels, generator=g, dtype=torch.float64)
    pos = 2 * torch.rand(images, nodes, 2, generator=g, dtype=torch.float64) - 1
    return [x.requires_grad_(), pos.requires_grad_(), knn(x, k)]


def built(pair: Pair, how: str, channels: int = C) -> tuple[nn.Module, PlainBlock]:
    """A block and the printed equation with the same weights; one gain in three is negative."""
    torch.manual_seed(0)
    ours, plain = pair[0](channels, how).double(), pair[1](channels, how).double()
    norm = ours.norm.norm
    nn.init.normal_(norm.bias)
    norm.weight.data.copy_(torch.linspace(-0.5, 1, channels))
    plain.linear.load_state_dict(ours.linear.state_dict())
    plain.norm.load_state_dict(norm.state_dict())
    return ours, plain


def step(block: nn.Module, given: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
    """Output, and gradients by features, positions (zeros if unused) and weights."""
    out = block(*given)
    weight = torch.randn(out.shape, generator=torch.Generator().manual_seed(1), dtype=out.dtype)
    wanted = [*given[:2], *block.parameters()]
    found = torch.autograd.grad((out * weight).sum(), wanted, materialize_grads=True)
    return out, list(found)


@both
@either
@pytest.mark.parametrize("training", [True, False])
def test_block_is_the_printed_equation(pair: Pair, how: str, training: bool) -> None:
    """Same output, gradients and running statistics, step after step, in training and in eval."""
    ours, plain = (block.train(training) for block in built(pair, how))
    for _ in range(2):
        torch.testing.assert_close(step(ours, cloud()), step(plain, cloud()))
    torch.testing.assert_close(ours.norm.norm.state_dict(), plain.norm.state_dict())
    with torch.no_grad():
        torch.testing.assert_close(ours(*cloud()), plain(*cloud()))


@both
@either
def test_all_nodes_at_one_place(pair: Pair, how: str) -> None:
    """Coincident nodes, where edges tie: the gradient is shared as the printed form shares it."""
    x, pos, near = cloud()
    pos = torch.zeros_like(pos).requires_grad_()
    ours, plain = built(pair, how)
    torch.testing.assert_close(step(ours, [x, pos, near]), step(plain, [x, pos, near]))


@both
@either
def test_bfloat16_autocast(pair: Pair, how: str) -> None:
    """Statistics are taken in float32: near the float32 result, in the type autocast works in."""
    ours = built(pair, how)[0].float()
    x, pos, near = (t.detach().float() if t.is_floating_point() else t for t in cloud())
    expected = ours(x, pos, near)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = ours(x, pos, near)
    assert found.dtype == torch.bfloat16
    torch.testing.assert_close(found.float(), expected, rtol=0.05, atol=0.05)


@both
@either
def test_memory_is_under_half_of_the_plain_block(
    pair: Pair, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What waits for the backward pass, and the peak of a step, when edges are made in parts."""
    given = cloud(images=8, nodes=40, k=20, channels=16)
    monkeypatch.setitem(edges.CHUNK, "cpu", 40 * 20 * 16)  # one image
    ours, plain = built(pair, how, 16)
    saved = [saved_bytes(lambda b=block: b(*given))[0] for block in (ours, plain)]
    peaks = [peak_bytes(lambda b=block: step(b, given)) for block in (ours, plain)]
    assert saved[0] < 0.25 * saved[1]
    assert peaks[0] < 0.5 * peaks[1]


def rank_main(rank: int, pair: int, how: str, folder: str) -> None:
    """One of two processes: the first has one image, the second two, of the same batch."""
    torch.set_num_threads(1)
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{folder}/store", rank=rank, world_size=2
    )
    ours = nn.SyncBatchNorm.convert_sync_batchnorm(built(PAIRS[pair], how)[0])
    part = slice(0, 1) if rank == 0 else slice(1, 3)
    x, pos, near = cloud()
    out = ours(x[part], pos[part], near[part])
    weight = torch.randn(3, *out.shape[1:], generator=torch.Generator().manual_seed(1)).double()
    (out * weight[part]).sum().backward()
    found = dict(
        out=out.detach(),
        x=x.grad,
        pos=torch.zeros_like(pos) if pos.grad is None else pos.grad,
        weights=[p.grad for p in ours.parameters()],
        state=ours.norm.norm.state_dict(),
    )
    torch.save(found, f"{folder}/{rank}.pt")
    torch.distributed.barrier()
    torch.distributed.destroy_process_group()


@pytest.mark.parametrize("pair, how", [(0, "mean"), (1, "max")])
def test_synchronised_statistics_over_processes(pair: int, how: str, tmp_path: Path) -> None:
    """Two processes with SyncBatchNorm and unequal shares do what one does with all images."""
    context = multiprocessing.get_context("fork")
    pool = [
        context.Process(target=rank_main, args=(rank, pair, how, str(tmp_path)))
        for rank in range(2)
    ]
    for process in pool:
        process.start()
    for process in pool:
        process.join(45)
    assert [process.exitcode for process in pool] == [0, 0]
    first, second = (torch.load(tmp_path / f"{rank}.pt") for rank in range(2))
    ours = built(PAIRS[pair], how)[0]
    x, pos, near = cloud()
    out = ours(x, pos, near)
    weight = torch.randn(out.shape, generator=torch.Generator().manual_seed(1)).double()
    (out * weight).sum().backward()
    torch.testing.assert_close(torch.cat([first["out"], second["out"]]), out.detach())
    torch.testing.assert_close(first["x"] + second["x"], x.grad)
    if pos.grad is not None:
        torch.testing.assert_close(first["pos"] + second["pos"], pos.grad)
    for a, b, whole in zip(first["weights"], second["weights"], ours.parameters()):
        torch.testing.assert_close(a + b, whole.grad)
    for state in (first["state"], second["state"]):
        torch.testing.assert_close(state, dict(ours.norm.norm.state_dict()))
