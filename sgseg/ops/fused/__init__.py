"""Hand-written forms of the equations on P: the same values and gradients in less time and memory.

P holds a number for every superpixel and pixel (839 MB for 64 images of the paper), and autograd
makes and keeps many tensors of that size. These forms walk over P in blocks and keep nothing but
their arguments. What they compute is written plainly under :func:`fused_by`, in the equation's own
file; this is the one place where the choice between the two is made.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import ParamSpec, TypeVar

import torch
from torch import Tensor

from .changes import changes
from .clustering import clustering_objective, mean_entropy
from .correlation import displaced_counts
from .laplacian import laplacian
from .local_changes import border_pixels, local_changes
from .local_products import local_mass, local_mixture, local_soft_image, local_sums
from .soft_image import soft_image

__all__ = [
    "border_pixels",
    "changes",
    "clustering_objective",
    "displaced_counts",
    "fused_by",
    "laplacian",
    "local_changes",
    "local_mass",
    "local_mixture",
    "local_soft_image",
    "local_sums",
    "mean_entropy",
    "plain_forms",
    "soft_image",
]

Given = ParamSpec("Given")
Result = TypeVar("Result")
_plainly = False


def fused_by(
    fast: Callable[..., Result],
) -> Callable[[Callable[Given, Result]], Callable[Given, Result]]:
    """Decorate a plain function to run ``fast`` in its stead, outside of :func:`plain_forms`.

    Args:
        fast: gives the same result for the same arguments, of which the first is a tensor;
            differentiable once.
    """

    def decorate(plain: Callable[Given, Result]) -> Callable[Given, Result]:
        @wraps(plain)
        def chosen(*args: Given.args, **kwargs: Given.kwargs) -> Result:
            # A LocalAssignment has fast forms of its own; a compiler has others of all.
            fits = isinstance(args[0], Tensor) and not torch.compiler.is_compiling()
            return (fast if fits and not _plainly else plain)(*args, **kwargs)

        return chosen

    return decorate


@contextmanager
def plain_forms() -> Iterator[None]:
    """Run the plain form of every equation inside, as tests and benchmarks do to compare."""
    global _plainly
    before, _plainly = _plainly, True
    try:
        yield
    finally:
        _plainly = before
