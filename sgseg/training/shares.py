"""The sizes of the clusters as a user states them, in every place that depends on them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mmengine.config import Config

from ..engine import ShareCheckHook
from ..models import MutualInformationLoss
from ..ops.information import normalised_shares
from ..registry import find, is_a


def set_shares(config: Config, shares: Sequence[float], num_classes: int | None) -> int:
    """Tell the loss of the head that predicts which part of the pixels each cluster has.

    Whether the sizes were taken is said by :class:`ShareCheckHook`.

    Args:
        config: changed in place.
        shares: rough parts, in any order; see :func:`normalised_shares`.
        num_classes: as stated beside them, if it is.

    Returns:
        The number of clusters.

    Raises:
        ValueError: for shares that make no sense, another number of clusters, or a method that
            maximises no mutual information of its classes.
    """
    named = f"--shares {' '.join(f'{share:g}' for share in shares)}"
    try:
        parts = list(normalised_shares(shares))
    except ValueError as error:
        raise ValueError(f"--{error}") from error
    if num_classes not in (None, len(parts)):
        raise ValueError(
            f"{named} and --num-classes {num_classes} contradict each other: give one share for "
            "each cluster, or leave --num-classes out"
        )
    losses = [term for name, term in _terms(config) if is_a(term, MutualInformationLoss)]
    if not losses:
        raise ValueError(
            f"{named}: {find(config.model.type).__name__} as configured has no "
            "MutualInformationLoss, which alone takes shares; train an sgseg, ac or iic config"
        )
    for term in losses:
        term.shares = parts
    config.default_hooks.setdefault("shares", dict(type=ShareCheckHook.__name__))
    return len(parts)


def _terms(config: Config) -> list[tuple[str, Any]]:
    """Losses of the head that predicts; IIC's other head has classes of its own."""
    terms = (config.model.get("losses") or {}).items()
    return [(name, term) for name, term in terms if term and name != "auxiliary_head"]
