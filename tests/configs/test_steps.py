"""Every config's training step: converted to synchronised normalisation, and deterministic."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from mmengine.config import Config
from mmengine.model import convert_sync_batchnorm
from torch import Tensor, nn
from torch._decomp.decompositions import _upsample_linear_vec
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils._python_dispatch import TorchDispatchMode

from tests.configs.steps import PATHS, batch, build, steps, take

Step = tuple[Tensor, dict[str, Tensor | None], set[str]]


def floating(args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    """Whether the first argument has a floating or complex type."""
    return args[0].is_floating_point() or args[0].is_complex()


def weighted(args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    """Whether a bincount is given weights."""
    return (args[1] if len(args) > 1 else kwargs.get("weights")) is not None


def products(args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    """Whether a scatter_reduce multiplies."""
    return "prod" in (*args, *kwargs.values())


def always(args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    """Whatever the arguments."""
    return True


Condition = Callable[[tuple[Any, ...], dict[str, Any]], bool]
REFUSED: dict[str, tuple[str, Condition]] = {
    "nn.AvgPool3d": ("avg_pool3d_backward", always),
    "nn.AdaptiveAvgPool2d": ("_?adaptive_avg_pool2d_backward", always),
    "nn.AdaptiveAvgPool3d": ("_?adaptive_avg_pool3d_backward", always),
    "nn.AdaptiveMaxPool2d": ("adaptive_max_pool2d_backward", always),
    "nn.FractionalMaxPool2d": ("fractional_max_pool2d_backward", always),
    "nn.FractionalMaxPool3d": ("fractional_max_pool3d_backward", always),
    "nn.MaxUnpool1d": ("max_unpool2d", always),
    "nn.MaxUnpool2d": ("max_unpool2d", always),
    "nn.MaxUnpool3d": ("max_unpool3d", always),
    "nn.functional.interpolate": (
        "_?upsample_(linear1d|bilinear2d|bicubic2d|trilinear3d)(_aa)?_backward",
        always,
    ),
    "nn.ReflectionPad1d": ("reflection_pad1d_backward", always),
    "nn.ReflectionPad2d": ("reflection_pad2d_backward", always),
    "nn.ReflectionPad3d": ("reflection_pad3d_backward", always),
    "nn.NLLLoss": ("nll_loss(2d)?_forward", always),
    "nn.CTCLoss": ("_?ctc_loss_backward", always),
    "nn.EmbeddingBag": ("_embedding_bag.*backward", always),
    "Tensor.put_": ("put_?", always),
    "histc": ("histc", always),
    "bincount": ("bincount", weighted),
    "median": ("(nan)?median.dim", always),
    "nn.functional.grid_sample": ("grid_sampler_[23]d_backward", always),
    "cumsum": ("cumsum_?", floating),
    "Tensor.scatter_reduce": ("scatter_reduce_?", products),
    "Tensor.resize_": ("quantized_resize", always),  # of quantised tensors, which nothing makes
}
"""What torch's documentation says raises on a GPU -> the operation that does, and when."""


def documented() -> list[str]:
    """Modules and functions in torch's list of operations without a deterministic form."""
    text = str(torch.use_deterministic_algorithms.__doc__)
    told = text.split("will throw a\n    :class:`RuntimeError` when ``mode=True``:")[1]
    return re.findall(r"\* :\w+:`torch\.([\w.]+)`", told.split("In addition")[0])


@cache
def conditions(name: str) -> list[Condition]:
    """When an operation raises; never, if there are none."""
    return [c for pattern, c in REFUSED.values() if re.fullmatch(rf"{pattern}(\.\w+)?", name)]


class Refused(TorchDispatchMode):
    """Notes operations, forward and backward, that would raise on a GPU."""

    def __init__(self) -> None:
        super().__init__()
        self.found: set[str] = set()
        self.seen: set[str] = set()

    def __torch_dispatch__(
        self, operation: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        """Run the operation, and look it up."""
        name = str(operation).removeprefix("aten.")
        self.seen.add(name)
        if any(condition(args, kwargs or {}) for condition in conditions(name)):
            self.found.add(name)
        return operation(*args, **(kwargs or {}))


def interpolate_as_on_gpus(
    x: Tensor, size: Any = None, mode: str = "nearest", align_corners: bool = False
) -> Tensor:
    """What ``F.interpolate`` does anywhere but on a CPU, with the flag."""
    if mode == "bilinear":
        return _upsample_linear_vec(x, size, align_corners, None)
    return INTERPOLATE(x, size, mode=mode, align_corners=align_corners)


INTERPOLATE = F.interpolate
_TAKEN: dict[str, Step] = {}
"""Steps that several configs and tests share are taken once."""


def state(model: nn.Module) -> dict[str, Tensor | None]:
    """Everything that a step changes: gradients, statistics and their counts."""
    grads = {f"grad of {name}": weight.grad for name, weight in model.named_parameters()}
    return dict(model.named_buffers()) | grads


def plain_step(key: str, config: Config, stage: str | None) -> Step:
    """Loss, state and refused operations of a step with the deterministic flag."""
    if key not in _TAKEN:
        model = build(config, stage)
        torch.use_deterministic_algorithms(True)
        try:
            with Refused() as operations:
                loss = take(model, batch(config))
        finally:
            torch.use_deterministic_algorithms(False)
        assert {"convolution_backward.default", "convolution.default"} <= operations.seen
        _TAKEN[key] = loss, state(model), operations.found
    return _TAKEN[key]


@pytest.fixture(autouse=True)
def on_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    """Enlarge maps as it is done there."""
    monkeypatch.setattr(F, "interpolate", interpolate_as_on_gpus)


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_a_converted_step_is_the_plain_step(path: Path) -> None:
    """In every stage: equal losses, gradients, running statistics and counts, to the last bit.

    Converted as mmengine does for a launcher of several GPUs; what is checkpointed recomputes.
    """
    for key, config, stage in steps(path):
        loss, expected, _ = plain_step(key, config, stage)
        converted = convert_sync_batchnorm(build(config, stage))
        norms = {type(m) for m in converted.modules() if isinstance(m, _BatchNorm)}
        assert norms == {nn.SyncBatchNorm}
        counted: dict[str, Tensor] = {}

        def note(model: nn.Module = converted, found: dict[str, Tensor] = counted) -> None:
            found.update({name: buffer.clone() for name, buffer in model.named_buffers()})

        assert torch.equal(take(converted, batch(config), between=note), loss)
        torch.testing.assert_close(state(converted), expected, rtol=0, atol=0)
        # What is recomputed in the backward pass counts no batch and moves no running mean.
        torch.testing.assert_close(dict(converted.named_buffers()), counted, rtol=0, atol=0)
        counts = [int(n) for name, n in counted.items() if name.endswith("num_batches_tracked")]
        assert max(counts) in (1, 2)  # two where a trunk reads both views


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_every_operation_has_a_deterministic_form(path: Path) -> None:
    """``--deterministic`` raises on GPUs for none of the operations, in any stage."""
    for key, config, stage in steps(path):
        assert plain_step(key, config, stage)[2] == set()


def test_the_documented_list_is_the_one_looked_for() -> None:
    """A torch that lists another operation is to be looked at."""
    assert set(documented()) == set(REFUSED)
    assert len(documented()) > 20


def test_what_is_refused_is_noticed() -> None:
    """Each kind of entry: by name, in the backward pass, by type and by argument."""
    x = torch.rand(1, 1, 4, 4, requires_grad=True)
    with Refused() as operations:
        F.pad(x, (1, 1, 1, 1), mode="reflect").sum().backward()
        F.grid_sample(x, torch.zeros(1, 2, 2, 2), align_corners=False).sum().backward()
        torch.arange(3).cumsum(0), torch.arange(3.0).cumsum(0)
        torch.bincount(torch.arange(3)), torch.bincount(torch.arange(3), torch.ones(3))
        INTERPOLATE(x, (8, 8), mode="bilinear").sum().backward()
    assert operations.found == {
        "reflection_pad2d_backward.default",
        "grid_sampler_2d_backward.default",
        "cumsum.default",
        "bincount.default",
        "upsample_bilinear2d_backward.default",
    }


def test_torch_enlarges_deterministically_off_the_cpu() -> None:
    """With the flag a bilinear map is gathered, and equals the usual one."""
    torch.use_deterministic_algorithms(True)
    try:
        with Refused() as operations:
            INTERPOLATE(torch.empty(1, 1, 4, 4, device="meta"), (8, 8), mode="bilinear")
    finally:
        torch.use_deterministic_algorithms(False)
    assert not [name for name in operations.seen if "upsample" in name]
    x = torch.rand(2, 3, 5, 6)
    found = interpolate_as_on_gpus(x, (9, 11), "bilinear")
    torch.testing.assert_close(found, INTERPOLATE(x, (9, 11), mode="bilinear"))
