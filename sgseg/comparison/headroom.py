r"""What a graph could add on some data: superpixels classified with labels, alone and in a graph.

SLIC gives the superpixels of every image. A node holds the mean and the deviation of its colours,
with or without its place, and a small network of the project's blocks learns its class from the
true labels of one half of the images; the other half is scored, and the other way round:

.. math:: L = - \sum_{s,c} n_{s,c} \log p_c(s) \Big/ \sum_{s,c} n_{s,c}

n is the number of pixels of class c in superpixel s. ``PointNetBlock`` sees every node by itself;
what a graph block gains over it, on the same nodes and halves, is all that a graph can find here
with labels, and so more than it may be asked for without. ``bound`` is the accuracy if every
superpixel took its main class.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from mmengine.config import Config
from torch import Tensor, nn

from ..datasets.base import SegDataset
from ..inference import Segmenter
from ..inference.network import probabilities
from ..labelmaps.classical import classical_superpixels
from ..labelmaps.connectivity import enforce_connectivity, smallest_size
from ..models.layers import NodeMLP, xavier_
from ..ops.graph import knn
from ..ops.matching import IGNORE
from ..ops.regions import region_means
from ..ops.superpixel import coordinates
from ..registry import DATASETS, MODELS
from .headroom_report import ALONE, name_of

Tell = Callable[[int, int], None]
Features = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Probe:
    """How the nodes are made and classified.

    Args:
        num_superpixels: of SLIC, an image.
        blocks: graph blocks that are compared with nodes by themselves, by registered name.
        knn: neighbours of a node, by place.
        seeds: of halves, weights and order; a result is the set of them.
        channels, num_blocks: of the network.
        steps, batch, rate: of its training; the rate falls to zero.

    Raises:
        ValueError: for a number below its least, or a block that is not registered.
    """

    num_superpixels: int = 64
    blocks: Sequence[str] = ("DGCNNBlock", "DiffGCNBlock")
    knn: int = 8
    seeds: Sequence[int] = (0, 1, 2)
    channels: int = 32
    num_blocks: int = 3
    steps: int = 200
    batch: int = 8
    rate: float = 1e-2

    def __post_init__(self) -> None:
        if self.num_superpixels < 2 or self.knn < 1 or not self.seeds or not self.blocks:
            raise ValueError(
                f"headroom: num_superpixels = {self.num_superpixels} must be >= 2 and knn = "
                f"{self.knn} >= 1, and one seed and one block at least be given"
            )
        if unknown := [name for name in self.blocks if MODELS.get(name) is None]:
            raise ValueError(
                f"headroom: {', '.join(unknown)} is no registered block; name classes like "
                "DGCNNBlock, DiffGCNBlock, PyGBlock, or import your own (custom_imports.imports)"
            )


class Nodes(NamedTuple):
    """The superpixels of an image."""

    position: Tensor
    """(R, 2), each axis in [-1, 1]."""
    feature: Tensor
    """(R, D)."""
    counts: Tensor
    """(R, K) pixels of each class."""
    neighbours: Tensor
    """(R, k) nearest other nodes by place."""


def scored_set(config: Config) -> SegDataset:
    """The labelled images that a config is scored on.

    Raises:
        ValueError: for a config that scores nothing.
    """
    if not config.get("test_evaluator"):
        raise ValueError(
            "headroom: no labels to learn from; put label maps into labels/ and their names into "
            "classes.txt beside images/"
        )
    return DATASETS.build(config.test_dataloader.dataset)


def class_codes(checkpoint: str | Path) -> Features:
    """Class probabilities of a trained model, as further features of the nodes."""
    network = Segmenter(checkpoint).network
    return lambda image: probabilities(network, image[None].float() / 255)[0].cpu()


def nodes_of(
    image: Tensor, truth: Tensor, classes: int, probe: Probe, features: Features | None = None
) -> Nodes:
    """The nodes of an image: mean and deviation of each band over each SLIC region.

    Args:
        image: (C, H, W) uint8.
        truth: (H, W) classes, 255 is not counted.
        classes: K.
        probe: how many superpixels and neighbours.
        features: gives further maps (D, H, W) of an image, whose means a node has too.
    """
    (height, width), count = image.shape[1:], probe.num_superpixels
    raw = classical_superpixels(image.movedim(0, 2).numpy(), count)
    labels = enforce_connectivity(raw, smallest_size(height, width, count), count)
    regions = torch.from_numpy(labels)[None]  # (1, H, W)
    colours = image.float() / 255
    one_hot = F.one_hot(truth.long().where(truth != IGNORE, classes), classes + 1).movedim(2, 0)
    maps = [coordinates(height, width), colours, colours.square(), one_hot[:classes].float()]
    more = [] if features is None else [features(image)]
    means = region_means(torch.cat([*maps, *more])[None].double(), regions)
    parts = means.mean[0].split([len(part) for part in (*maps, *more)], 1)  # (R, ...) each
    position, mean, square, shares, *rest = parts
    deviation = (square - mean.square()).clamp_min(0).sqrt()
    counts = (shares * means.pixels[0, :, None]).round()
    if len(position) <= probe.knn:
        raise ValueError(
            f"headroom: an image has {len(position)} superpixels, and a node needs {probe.knn} "
            "neighbours beside itself; ask for more (--num-superpixels) or lower --knn"
        )
    return Nodes(
        position=position.float(),
        feature=torch.cat([mean, deviation, *rest], 1).float(),
        counts=counts.float(),
        neighbours=knn(position[None], probe.knn)[0],
    )


def read_nodes(
    dataset: SegDataset,
    probe: Probe,
    limit: int | None = None,
    features: Features | None = None,
    tell: Tell = lambda done, total: None,
) -> list[Nodes]:
    """The nodes of a labelled data set's images; those without a labelled pixel are left out.

    Args:
        dataset: with labels packed.
        probe: how many superpixels.
        limit: take so many images, evenly over the set; default all.
        features: see :func:`nodes_of`.
        tell: called with (done, all) after each image.

    Raises:
        ValueError: with fewer than four images, or one with too few superpixels.
    """
    total = len(dataset) if limit is None else min(limit, len(dataset))
    found = []
    for done in range(total):
        item = dataset[done * len(dataset) // total]
        found.append(nodes_of(item["inputs"], item["gt"], len(dataset.classes), probe, features))
        tell(done + 1, total)
    found = [nodes for nodes in found if nodes.counts.any()]
    if len(found) < 4:
        raise ValueError(
            f"headroom: {len(found)} images with labelled pixels; two for each half are the least, "
            "and some hundred say something"
        )
    return found


def measure_headroom(
    images: Sequence[Nodes], probe: Probe, tell: Tell = lambda done, total: None
) -> dict[str, Any]:
    """Accuracies, in percent, of nodes alone and in graphs; with and without place.

    Returns:
        ``majority`` and ``bound``, and ``rows``, one a block and choice of place: ``accuracy`` and
        ``gain`` over nodes by themselves with the same features, one value a seed. ``headroom`` is
        the best graph above the best nodes by themselves. As ``headroom.json`` has it.
    """
    counts = torch.cat([each.counts for each in images]).double()  # (M, K)
    ways = [(name, place) for name in (ALONE, *probe.blocks) for place in (False, True)]
    scores: dict[tuple[str, bool], list[float]] = {way: [] for way in ways}
    for number, seed in enumerate(probe.seeds):
        for done, way in enumerate(ways):
            scores[way].append(100 * _two_halves(images, probe, *way, seed) / float(counts.sum()))
            finished = number * len(ways) + done + 1
            tell(finished * len(images), len(ways) * len(probe.seeds) * len(images))
    rows = [
        dict(block=name, place=place, accuracy=values)
        | ({} if name == ALONE else dict(gain=_differences(values, scores[ALONE, place])))
        for (name, place), values in scores.items()
    ]
    return dict(
        settings=asdict(probe) | dict(blocks=list(probe.blocks), seeds=list(probe.seeds)),
        images=len(images),
        regions=len(counts) / len(images),
        majority=100 * float(counts.sum(0).max() / counts.sum()),
        bound=100 * float(counts.max(1).values.sum() / counts.sum()),
        rows=rows,
        headroom=_best(rows),
    )


def _best(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The best graph above the best nodes by themselves, seed by seed."""

    def mean(row: dict[str, Any]) -> float:
        return statistics.mean(row["accuracy"])

    nodes = max((row for row in rows if row["block"] == ALONE), key=mean)
    graph = max((row for row in rows if row["block"] != ALONE), key=mean)
    points = _differences(graph["accuracy"], nodes["accuracy"])
    return dict(points=points, graph=name_of(graph), nodes=name_of(nodes))


def _differences(values: Sequence[float], others: Sequence[float]) -> list[float]:
    return [value - other for value, other in zip(values, others, strict=True)]


def _two_halves(images: Sequence[Nodes], probe: Probe, block: str, place: bool, seed: int) -> float:
    """Pixels that are right, each scored by a network that learned from the other half."""
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(seed)).tolist()
    halves = [[images[n] for n in sorted(order[part::2])] for part in (0, 1)]
    right = 0.0
    for learned, scored in (halves, halves[::-1]):
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            right += _correct(_Classifier(learned, probe, block, place).fit(learned), scored)
    return right


@torch.inference_mode()
def _correct(model: _Classifier, images: Sequence[Nodes]) -> float:
    model.eval()
    right = 0.0
    for start in range(0, len(images), model.probe.batch):
        batch = images[start : start + model.probe.batch]
        counts = torch.cat([each.counts for each in batch])  # (M, K)
        right += float(counts.gather(1, model(batch).argmax(1, keepdim=True)).sum())
    return right


class _Classifier(nn.Module):
    """The class of every node of a batch of images, by a stack of a block."""

    def __init__(self, learned: Sequence[Nodes], probe: Probe, block: str, place: bool) -> None:
        super().__init__()
        self.probe, self.place = probe, place
        feature = torch.cat([self._features(each) for each in learned])  # (M, D)
        self.deviation, self.mean = torch.std_mean(feature, 0)
        made = dict(type=block, channels=probe.channels)
        self.stem = NodeMLP(feature.shape[1], probe.channels)
        self.blocks = nn.ModuleList(MODELS.build(made) for _ in range(probe.num_blocks))
        self.classify = nn.Linear(probe.num_blocks * probe.channels, learned[0].counts.shape[1])
        xavier_(self)

    def _features(self, nodes: Nodes) -> Tensor:
        return torch.cat([nodes.feature, nodes.position], 1) if self.place else nodes.feature

    def forward(self, images: Sequence[Nodes]) -> Tensor:
        """(M, K) logits of all nodes; the images stand side by side, as one graph."""
        sizes = [len(each.position) for each in images]
        first = accumulate([0, *sizes[:-1]])
        parts = [each.neighbours + start for each, start in zip(images, first, strict=True)]
        neighbours = torch.cat(parts)[None]  # (1, M, k)
        position = torch.cat([each.position for each in images])[None]  # (1, M, 2)
        feature = torch.cat([self._features(each) for each in images])  # (M, D)
        x = self.stem(((feature - self.mean) / self.deviation.clamp_min(1e-6))[None])
        refined = []
        for block in self.blocks:
            x = block(x, position, neighbours)  # (1, M, channels)
            refined.append(x)
        return self.classify(torch.cat(refined, 2))[0]  # (M, K)

    def fit(self, images: Sequence[Nodes]) -> _Classifier:
        """Learn the classes of the nodes of ``images``."""
        optimiser = torch.optim.Adam(self.parameters(), self.probe.rate)
        steps = self.probe.steps
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, self.probe.rate, steps)
        batches = self._batches(images)
        for _ in range(steps):
            batch = next(batches)
            counts = torch.cat([each.counts for each in batch])  # (M, K)
            loss = -(counts * self(batch).log_softmax(1)).sum() / counts.sum()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
        return self

    def _batches(self, images: Sequence[Nodes]) -> Iterator[list[Nodes]]:
        size = min(self.probe.batch, len(images))
        while True:
            order = torch.randperm(len(images)).tolist()
            for start, end in pairwise(range(0, len(order) + 1, size)):
                yield [images[n] for n in order[start:end]]
