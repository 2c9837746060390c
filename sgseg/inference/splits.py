r"""Clusters divided into parts by the features of their pixels, and the table that names them all.

A part is what lies nearest to its centre, f the features of a pixel and c_q the centres:

.. math:: q^* = \arg\min_q \|c_q\|^2 - 2 \langle c_q, f \rangle

Parts of value 1 are called ``1.1``, ``1.2`` and so on, those of ``1.2`` are ``1.2.1`` ...
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from mmengine.logging import print_log
from torch import Tensor

from ..io.jsonfile import read_json
from ..ops.matching import IGNORE
from ..structures import SegState
from .network import Network, Statistics, TorchNetwork

NEAR = 0.01
"""By how much a part that is not the nearest stays below the cluster's probability, at most."""


class Split(NamedTuple):
    """A cluster, and the centres of its parts."""

    key: str
    """Value of the label maps, or the part of one: ``1``, ``1.2``."""
    centres: npt.NDArray[np.float32]
    """(parts, D) in the features of :meth:`.TorchNetwork.features`."""

    @property
    def parts(self) -> list[str]:
        """Keys of the parts."""
        return [f"{self.key}.{number + 1}" for number in range(len(self.centres))]


class NameTable(NamedTuple):
    """What ``names.json`` holds."""

    names: dict[str, str]
    """Value, or part of one, -> name; equal names are one class."""
    splits: tuple[Split, ...] = ()
    """In the order in which they were made."""
    weights: str = ""
    """Digest of the weights whose clusters these are; empty: it does not say."""

    def as_json(self) -> dict[str, Any]:
        """What is written; a table without splits is a plain one but for its digest."""
        content: dict[str, Any] = dict(self.names)
        if self.splits:
            content["splits"] = [
                dict(cluster=split.key, centres=split.centres.astype(float).tolist())
                for split in self.splits
            ]
        return content | (dict(weights_sha256=self.weights) if self.weights else {})

    def applied(
        self, network: Network, mapping: npt.NDArray[np.uint8], values: int
    ) -> tuple[Network, npt.NDArray[np.uint8], list[str]]:
        """A network that divides clusters as said, its new table of values, and their names.

        Args:
            network: to divide clusters of; itself is returned where there are no splits.
            mapping: value of each of its channels.
            values: how many there are.

        Raises:
            ValueError: see :class:`SplitNetwork`.
        """
        keys = [str(value) for value in mapping]
        if self.splits:
            network = SplitNetwork(network, keys, self.splits)
            keys = network.keys
        present = keys_after([str(value) for value in range(values)], self.splits)
        classes = list(dict.fromkeys(self.names[key] for key in present))
        numbers = [classes.index(self.names[key]) for key in keys]
        return network, np.array(numbers, np.uint8), classes


def keys_after(keys: Sequence[str], splits: Sequence[Split]) -> list[str]:
    """``keys`` with those that are divided replaced by their parts.

    Raises:
        ValueError: for a split of what is not there.
    """
    found = list(keys)
    for split in splits:
        if split.key not in found:
            raise ValueError(f"splits: no cluster {split.key!r}; there are {', '.join(found)}")
        place = found.index(split.key)
        found[place : place + 1] = split.parts
    return found


def name_table(
    source: str | Path | Mapping[str, Any], classes: Sequence[str], weights: str = ""
) -> NameTable:
    """The table of a file or mapping, checked against a model.

    Args:
        source: ``{"0": "sky", "1": "grass", ...}``, with ``splits`` and ``weights_sha256`` where
            it is the naming page's.
        classes: name of each value of the model's label maps.
        weights: digest of the model's weights; empty: not known.

    Raises:
        FileNotFoundError: for a missing file.
        ValueError: for no JSON, a table of other weights, or one that does not name exactly the
            values and parts.
    """
    table: Any = source if isinstance(source, Mapping) else read_json(source)
    values = [str(value) for value in range(len(classes))]
    wanted = ValueError(
        f"{source if not isinstance(source, Mapping) else 'names'}: wanted is one name for each of "
        f'the {len(values)} values this model\'s label maps have, {{"0": "{classes[0]}", ...}}'
    )
    if not isinstance(table, Mapping):
        raise wanted
    own = str(table.get("weights_sha256") or "")
    if own and weights and own != weights:
        raise ValueError(
            f"{source}: not of these weights, so its names would stand at other clusters; give the "
            "checkpoint that it was made with, or another file (sgseg name --names FILE)"
        )
    splits = tuple(_split(each, source) for each in table.get("splits") or ())
    names = {k: v for k, v in table.items() if k not in ("splits", "weights_sha256")}
    if set(names) != set(keys_after(values, splits)):
        raise wanted
    if not all(isinstance(name, str) and name for name in names.values()):
        raise wanted
    if len(set(names.values())) > IGNORE:
        raise ValueError(f"{source}: {len(set(names.values()))} classes; label maps hold {IGNORE}")
    if twins := _differ_in_case(names.values()):
        print_log(
            f"{source}: {twins} are two classes; write them alike to join them", "current", 30
        )
    return NameTable(names, splits, own)


def _differ_in_case(names: Iterable[str]) -> str:
    """The first names that differ only in capitals or blanks."""
    seen: dict[str, str] = {}
    for name in names:
        other = seen.setdefault(" ".join(name.casefold().split()), name)
        if other != name:
            return f"{other!r} and {name!r}"
    return ""


def _split(content: Any, source: Any) -> Split:
    try:
        centres = np.asarray(content["centres"], np.float32)
        whole = centres.ndim == 2 and len(centres) > 1 and bool(np.isfinite(centres).all())
        if whole:
            return Split(str(content["cluster"]), centres)
    except (TypeError, KeyError, ValueError):
        pass
    raise ValueError(f"{source}: a split is no longer as sgseg name wrote it; save it there again")


class SplitNetwork:
    """A network some of whose clusters are divided; each part is a channel of its own.

    All parts keep the probability of their cluster but for one percent at most, by which the
    nearest stands out, so no pixel goes over to another cluster. What it gives does not add up
    to one.

    Args:
        network: it knows the features of its pixels.
        keys: of its channels.
        splits: of these keys.

    Attributes:
        keys: of the channels that it gives: the first part stands in the place of its cluster,
            the others after all that were there.

    Raises:
        ValueError: for a network without features, such as one of ONNX Runtime, or centres of
            other features.
    """

    def __init__(
        self, network: Network | SplitNetwork, keys: Sequence[str], splits: Sequence[Split]
    ) -> None:
        if not isinstance(network, TorchNetwork | SplitNetwork):
            raise ValueError(
                "names: some clusters are split by features that only a checkpoint gives; segment "
                "with the checkpoint, or give the parts of a split one name"
            )
        self.network: TorchNetwork | SplitNetwork = network
        self.bands: int = network.bands
        self.standardises: bool = network.standardises
        self.keys = list(keys)
        self._divided: list[tuple[int, Tensor]] = []
        for split in splits:
            for channel in [c for c, key in enumerate(self.keys) if key == split.key]:
                first, *others = split.parts
                self.keys[channel] = first
                self.keys += others
                self._divided.append((channel, torch.from_numpy(split.centres)))

    def __call__(self, images: Tensor, statistics: Statistics | None = None) -> Tensor:
        """Scores (B, clusters and parts, H, W) float32 of ``images`` (B, C, H, W) in [0, 1]."""
        scores = self.features(images, statistics)[0].probability
        assert scores is not None  # as built
        return scores

    def state(self, images: Tensor, statistics: Statistics | None = None) -> SegState:
        """Everything there is to show; its probability has the channels of the parts."""
        return self.features(images, statistics)[0]

    @torch.inference_mode()
    def features(
        self, images: Tensor, statistics: Statistics | None = None
    ) -> tuple[SegState, Tensor]:
        """The state, and the features (B, D, h, w) by which clusters are divided."""
        state, features = self.network.features(images, statistics)
        assert state.probability is not None  # as inferred
        scores = state.probability.float()
        for channel, centres in self._divided:
            parts = scores[:, channel, None] * _nearness(features, centres, scores.shape[2:])
            scores[:, channel] = parts[:, 0]
            scores = torch.cat([scores, parts[:, 1:]], 1)  # (B, K + parts, H, W)
        state.probability = scores
        return state, features


def _nearness(features: Tensor, centres: Tensor, size: Sequence[int]) -> Tensor:
    """1 for the nearest centre, down to 1 - NEAR for those far away: (B, parts, H, W)."""
    centres = centres.to(features.device)
    if centres.shape[1] != features.shape[1]:
        raise ValueError(
            f"names: a cluster is split by {centres.shape[1]} features, this model has "
            f"{features.shape[1]}; the table belongs to another model"
        )
    offset = centres.square().sum(1)[:, None, None]  # (parts, 1, 1)
    far = offset - 2 * torch.einsum("qd,bdhw->bqhw", centres, features.float())
    # Affine in the features, so enlarging it equals enlarging them.
    far = F.interpolate(far, tuple(size), mode="bilinear")  # (B, parts, H, W)
    scale = torch.pdist(centres).square().mean().clamp_min(1e-12)
    near = (-far / scale).softmax(1)
    return 1 - NEAR * (near.amax(1, keepdim=True) - near)
