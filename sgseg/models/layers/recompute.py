"""Activations made again in the backward pass instead of kept.

torch's non-reentrant checkpoint stops recomputing at the last tensor that the backward pass needs.
A convolution needs its input, so one at the end of a part is never computed twice.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import partial, wraps
from typing import Any, Concatenate, ParamSpec, TypeVar

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint

Given = ParamSpec("Given")
Module = TypeVar("Module", bound=nn.Module)


class StatisticsAtRest(AbstractContextManager[None]):
    """Inside, batch normalisation normalises as ever but counts nothing; may be entered again."""

    def __init__(self, owner: nn.Module | None) -> None:
        modules = owner.modules() if owner is not None else ()
        norms = (m for m in modules if isinstance(m, _BatchNorm) and m.training)
        self._norms = [(norm, norm.momentum, norm.num_batches_tracked) for norm in norms]

    def __enter__(self) -> None:
        for norm, _, count in self._norms:
            # A counter to spend: SyncBatchNorm refuses to be without one.
            spent = None if count is None else count.clone()
            norm.momentum, norm.num_batches_tracked = 0.0, spent

    def __exit__(self, *error: Any) -> None:
        for norm, momentum, count in self._norms:
            norm.momentum, norm.num_batches_tracked = momentum, count


def recomputed(
    function: Callable[..., Tensor], *given: Any, owner: nn.Module | None = None
) -> Tensor:
    """``function(*given)``, of which autograd keeps ``given`` alone.

    Gradients and running statistics are those of the plain call; without gradients it is one.

    Args:
        function: what to run; without random draws.
        given: its arguments.
        owner: the module whose batch normalisations it runs; they count the batch once.
    """
    if not torch.is_grad_enabled() or torch.compiler.is_compiling():
        return function(*given)  # a compiler decides by itself what to keep
    return checkpoint(
        function,
        *given,
        use_reentrant=False,
        preserve_rng_state=False,
        context_fn=lambda: (nullcontext(), StatisticsAtRest(owner)),
    )


def keeps_inputs_only(
    forward: Callable[Concatenate[Module, Given], Tensor],
) -> Callable[Concatenate[Module, Given], Tensor]:
    """Decorate a module's ``forward`` to be :func:`recomputed`: autograd keeps its inputs alone."""

    @wraps(forward)
    def wrapped(self: Module, *args: Given.args, **kwargs: Given.kwargs) -> Tensor:
        return recomputed(partial(forward, self, **kwargs), *args, owner=self)

    return wrapped
