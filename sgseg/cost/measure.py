"""Time, memory and arithmetic of a call, measured the same way by every benchmark."""

from __future__ import annotations

import math
import statistics
import time
import weakref
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.autograd.graph import saved_tensors_hooks
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_iter
from torch.utils.flop_counter import FlopCounterMode

Call = Callable[[], Any]
Kept = TypeVar("Kept")
GIGA, MEBI = 1e9, 2**20


def synchronise() -> None:
    """Wait for the GPU, if there is one; a CPU call has returned when it is done."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def seconds(ways: Mapping[str, Call], repeats: int = 10, warm: int = 2) -> dict[str, float]:
    """Median wall time of each way, in seconds.

    The ways take turns, so that a machine that grows slower or faster does so for all of them.

    Args:
        ways: name -> call.
        repeats: timed turns.
        warm: turns before them that do not count.
    """
    taken: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(warm + repeats):
        for name, call in ways.items():
            synchronise()
            started = time.perf_counter()
            call()
            synchronise()
            if turn >= warm:
                taken[name].append(time.perf_counter() - started)
    return {name: statistics.median(times) for name, times in taken.items()}


def saved_bytes(forward: Callable[[], Kept]) -> tuple[int, Kept]:
    """Bytes that autograd keeps for the backward pass of ``forward``, and what it returned.

    Storages count once however many operations saved them; parameters and the arguments that
    ``forward`` closes over count as well where they are saved.
    """
    storages: dict[int, int] = {}
    alive: list[Tensor] = []  # an address is only unique while its tensor lives

    def note(saved: Tensor) -> Tensor:
        storage = saved.untyped_storage()
        if storage._cdata not in storages:
            storages[storage._cdata] = storage.nbytes()
            alive.append(saved)
        return saved

    with saved_tensors_hooks(note, lambda saved: saved):
        kept = forward()
    return sum(storages.values()), kept


class _LiveStorages(TorchDispatchMode):
    """Adds up the storages of all tensors made inside, while they live."""

    def __init__(self) -> None:
        super().__init__()
        self.live = self.peak = 0
        self._seen: dict[int, int] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        for tensor in tree_iter(out):
            if isinstance(tensor, Tensor):
                self._note(tensor)
        return out

    def _note(self, tensor: Tensor) -> None:
        storage = tensor.untyped_storage()
        key = storage._cdata
        if key in self._seen:
            return
        self._seen[key] = storage.nbytes()
        self.live += self._seen[key]
        self.peak = max(self.peak, self.live)
        weakref.finalize(storage, self._forget, key)

    def _forget(self, key: int) -> None:
        self.live -= self._seen.pop(key)


def peak_bytes(call: Call) -> int:
    """Most bytes of tensors made by ``call`` that lived at one time, by their storages.

    What was allocated before ``call``, and a kernel's own scratch memory, do not count. Runs on
    fake tensors as well: the memory of a step that fits no machine here is counted so.
    """
    with _LiveStorages() as storages:
        call()
    return storages.peak


class CallCounter(TorchDispatchMode):
    """Counts the calls of torch's operations inside, views too: on a GPU the host pays for each.

    Attributes:
        calls: so far.
    """

    def __init__(self) -> None:
        super().__init__()
        self.calls = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.calls += 1
        return func(*args, **(kwargs or {}))


def as_fake(model: nn.Module) -> FakeTensorMode:
    """Replace the weights of ``model`` by fakes without memory; run it inside the mode returned.

    Inside, :func:`peak_bytes`, :func:`saved_bytes` and :func:`flops` count what a real run would
    take, in a second and without its memory.
    """
    mode = FakeTensorMode()
    for module in model.modules():
        for name, parameter in module.named_parameters(recurse=False):
            setattr(module, name, nn.Parameter(mode.from_tensor(parameter.data)))
        for name, buffer in module.named_buffers(recurse=False):
            setattr(module, name, mode.from_tensor(buffer))
    return mode


def _convolution_backward(
    grad: Sequence[int],
    x: Sequence[int],
    weight: Sequence[int],
    *options: Any,
    out_shape: Any = None,
) -> int:
    """As much as the forward pass for each wanted gradient; torch's own forgets the groups."""
    *_, transposed, _, _, wanted = options
    pixels = x if transposed else grad
    return 2 * pixels[0] * math.prod(pixels[2:]) * math.prod(weight) * sum(wanted[:2])


def flops(call: Call) -> int:
    """Floating-point operations inside convolutions and matrix products, two a multiply-add."""
    corrected = {torch.ops.aten.convolution_backward: _convolution_backward}
    with FlopCounterMode(display=False, custom_mapping=corrected) as counter:
        call()
    return counter.get_total_flops()


def matrix_product_rate(
    dtype: torch.dtype = torch.float32, size: int = 2048, device: str = "cpu", repeats: int = 5
) -> float:
    """Operations a second of one large square matrix product: what this machine can do."""
    a = torch.rand(size, size, device=device).to(dtype)
    taken = seconds({"product": lambda: a @ a}, repeats)["product"]
    return 2 * size**3 / taken
