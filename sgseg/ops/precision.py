"""Full precision for probabilities, entropies and means, also under autocast."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

import torch
from torch import Tensor

Result = TypeVar("Result")
EPS = 1e-8
"""The floor for masses and probabilities; above float32's smallest normal number squared."""


def _widen(value: Any) -> Any:
    """A tensor, or an assignment of either form, in float32 at least; anything else as it is."""
    if getattr(value, "dtype", None) in (torch.float16, torch.bfloat16):
        return value.float()
    return value


def softmax(logits: Tensor, dim: int = 1) -> Tensor:
    """Softmax along ``dim``, of half-precision logits in float32."""
    return _widen(logits).softmax(dim)


def inverse_mass(mass: Tensor) -> Tensor:
    """1 / mass; 0 for a superpixel with no more mass than EPS, which so has no gradient either."""
    return torch.where(mass > EPS, 1 / mass.clamp_min(EPS), torch.zeros_like(mass))


def full_precision(function: Callable[..., Result]) -> Callable[..., Result]:
    """Decorate ``function`` to run outside autocast, half-precision arguments in float32.

    ``log P`` and divisions by a superpixel's mass underflow in float16, so every such function
    carries this mark. float32 and float64 arguments pass through unchanged.
    """

    @wraps(function)
    def wrapped(*args: Any, **kwargs: Any) -> Result:
        tensors = [a for a in (*args, *kwargs.values()) if hasattr(a, "device")]
        device = tensors[0].device.type if tensors else "cpu"
        with torch.autocast(device_type=device, enabled=False):
            return function(
                *map(_widen, args), **{name: _widen(value) for name, value in kwargs.items()}
            )

    return wrapped


def backward_pass(function: Callable[..., Result]) -> Any:
    """Decorate the ``backward`` of an ``autograd.Function``: in full precision, and once only.

    torch's ``once_differentiable`` lets a second derivative be taken as zero where the first one
    starts from a constant, as that of a loss does.

    Raises:
        RuntimeError: when run to be differentiated again.
    """
    inner = full_precision(function)

    @wraps(function)
    def wrapped(*args: Any) -> Result:
        if torch.is_grad_enabled():
            raise RuntimeError(
                f"{function.__qualname__}: the gradient cannot be differentiated again; call "
                "backward or autograd.grad without create_graph"
            )
        return inner(*args)

    return wrapped
