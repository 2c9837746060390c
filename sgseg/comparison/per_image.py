r"""Superpixels by a network trained on one image alone, as three papers do.

.. math:: L = \sum_p \tfrac{H(P_p)}{HW} - \lambda H(\hat P) + \alpha L_{smooth}
              + \beta \left(|I - \tilde I|^2 [+ |I - \hat I|^2]\right)
              + \eta L_{edge} + \kappa L_{contour}

with the terms of Eq 9, 10, 12 and 13 of the SGSeg paper. Shapes: image (H, W, C) -> labels (H, W).

Sources: RIM, Suzuki (ICASSP 2020); edge-aware, Yu, Yang and Liu (2021); Eliasof, Ben Zikri and
Treister, *Rethinking unsupervised neural superpixel segmentation* (ICIP 2022). Their code was not
used: where a paper leaves something open, the reading taken is named at the setting.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from ..ops.image import differences, edge_divergence, smoothness
from ..ops.information import clustering_objective
from ..ops.precision import EPS
from ..ops.superpixel import coordinates, soft_image
from .per_image_nets import NetName, build_net

Mode = Literal["rim", "edge_aware", "eliasof"]


@dataclass(frozen=True)
class PerImageSettings:
    """What tells the three papers apart."""

    net: NetName = "rim"
    factorised: bool = False
    """P is the outer product of a distribution over columns and one over rows of a grid."""
    balance: float = 2.0
    """lambda, the weight of evenly used superpixels."""
    smoothness: float = 2.0
    """alpha; the weight is exp(-|dI|^2 / 8) over bands and coordinates."""
    reconstruction: float = 10.0
    """beta."""
    soft_reconstruction: bool = False
    """Whether the mean colours of the superpixels are to resemble the image as well."""
    edge: float = 0.0
    """eta, of the divergence of edges of Eq 13."""
    contour: float = 0.0
    """kappa, of -w log |dP|: P is to change where the image does."""
    filtered: bool = False
    """Smoothness and contours look at an image without texture and with even contrast."""
    steps: int = 500
    learning_rate: float = 1e-2


SETTINGS: dict[Mode, PerImageSettings] = {
    "rim": PerImageSettings(),
    "edge_aware": PerImageSettings(
        factorised=True, balance=1.5, contour=1.5, filtered=True, steps=1000
    ),
    "eliasof": PerImageSettings(
        net="eliasof", reconstruction=2.0, soft_reconstruction=True, edge=1.0
    ),
}
"""The papers' values. Edge-aware: where its code thresholds the squared gradient, w here is twice
the squared gradient over its largest value, between 0 and 1, and 0 below 0.1; the local contrast is
scikit-image's adaptive histogram equalisation."""


class PerImageResult(NamedTuple):
    """Superpixels of one image and how the training went."""

    labels: npt.NDArray[np.int64]
    """(H, W), 0 .. N-1 as the network numbers them; unconnected, some unused."""
    losses: list[float]
    """Total before each step."""


def optimise_superpixels(
    image: npt.NDArray[Any],
    mode: Mode = "rim",
    count: int = 200,
    steps: int | None = None,
    side: int | None = None,
    width: int = 32,
    seed: int = 0,
    device: str = "cpu",
) -> PerImageResult:
    """Train a network on one image and take its most probable superpixels.

    Args:
        image: (H, W, C), uint8 or float in [0, 1].
        mode: ``rim``, ``edge_aware`` or ``eliasof``.
        count: N, at least 2; ``edge_aware`` takes the largest grid of nearly square cells within.
        steps: of Adam; default the paper's (500, 1000, 500).
        side: shorter side in pixels to train at; labels come back at the image's size. Default:
            the image's own, about an hour for a photograph on a CPU.
        width: of the network's first layer, 32 in the papers.
        seed: of its weights.
        device: to train on.

    Raises:
        ValueError: for an unknown mode, ``count`` < 2, ``steps`` < 1, or an image thinner than the
            network's padding.
    """
    if mode not in SETTINGS or count < 2 or (steps is not None and steps < 1):
        raise ValueError(
            f"optimise_superpixels: mode = {mode!r} must be one of {list(SETTINGS)}, count = "
            f"{count} >= 2 and steps = {steps} >= 1"
        )
    settings = SETTINGS[mode] if steps is None else replace(SETTINGS[mode], steps=steps)
    pixels = _standardised(_resized(image, side)).to(device)  # (1, C, h, w)
    if min(pixels.shape[2:]) < 9:
        raise ValueError(
            f"optimise_superpixels: {tuple(pixels.shape[2:])} pixels to train on; 9 x 9 is the "
            "least that a dilation of 8 can reflect: leave `side` out or raise it"
        )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        fit = _Fit(pixels, settings, count, width)
    losses = fit.train()
    with torch.no_grad():
        assignment = fit.outputs()[0]
        full = F.interpolate(assignment, image.shape[:2], mode="bilinear")  # (1, N, H, W)
        return PerImageResult(full.argmax(1)[0].cpu().numpy(), losses)


class _Fit:
    """One image, its network and its loss."""

    def __init__(self, image: Tensor, settings: PerImageSettings, count: int, width: int) -> None:
        self.settings = settings
        self.image = image
        bands, rows, columns = image.shape[1:]
        self.logits: tuple[int, ...] = (count,)
        if settings.factorised:
            across = max(1, min(count, int((count * columns / rows) ** 0.5)))
            self.logits = (across, max(1, count // across))
        position = _standardised(coordinates(rows, columns, device=image.device)[None])
        self.seen = torch.cat([image, position], 1)  # (1, C+2, H, W)
        guide = _without_texture(image) if settings.filtered else image
        self.guide = torch.cat([guide, position], 1)  # (1, C+2, H, W)
        self.contour_weight = [_contour(change) for change in differences(guide)]
        outputs = bands + sum(self.logits)
        self.net = build_net(settings.net, bands + 2, outputs, width).to(image.device)

    def outputs(self) -> tuple[Tensor, Tensor]:
        """P (1, N, H, W) and the network's image (1, C, H, W)."""
        out = self.net(self.seen)
        own, logits = out.split([self.image.shape[1], sum(self.logits)], 1)
        parts = F.instance_norm(logits).split(self.logits, 1)
        if len(parts) == 1:
            return parts[0].softmax(1), own
        across, down = (part.softmax(1) for part in parts)
        return (down[:, :, None] * across[:, None]).flatten(1, 2), own  # (1, N, H, W)

    def loss(self) -> Tensor:
        """The total of this setting."""
        s, image = self.settings, self.image
        assignment, own = self.outputs()
        total = clustering_objective(assignment, s.balance)
        total = total + s.smoothness * smoothness(assignment, self.guide, 8.0)
        total = total + s.reconstruction * F.mse_loss(own, image)
        if s.soft_reconstruction or s.edge:
            soft = soft_image(assignment, image)
            total = total + s.reconstruction * s.soft_reconstruction * F.mse_loss(soft, image)
            edges = edge_divergence(image, own) + edge_divergence(image, soft)
            total = total + s.edge * edges
        if s.contour:  # |dP| is half the sum over superpixels, so 1 at a sure border
            changes = [change.abs().sum(1) / 2 for change in differences(assignment)]
            pairs = zip(self.contour_weight, changes, strict=True)
            terms = [-(weight * change.clamp_min(EPS).log()).mean() for weight, change in pairs]
            total = total + s.contour * (terms[0] + terms[1])
        return total

    def train(self) -> list[float]:
        """Train; gives the total before each step."""
        optimiser = torch.optim.Adam(self.net.parameters(), lr=self.settings.learning_rate)
        losses = []
        for _ in range(self.settings.steps):
            optimiser.zero_grad(set_to_none=True)
            total = self.loss()
            total.backward()
            optimiser.step()
            losses.append(total.detach())
        return torch.stack(losses).tolist()  # read once: a GPU is not waited for in each step


def _resized(image: npt.NDArray[Any], side: int | None) -> Tensor:
    """(1, C, h, w) in [0, 1], the shorter side ``side`` long."""
    pixels = torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1)))[None]
    pixels = pixels.float() / (1.0 if pixels.is_floating_point() else 255.0)  # (1, C, H, W)
    height, width = image.shape[:2]
    if side is None or side >= min(height, width):
        return pixels
    factor = side / min(height, width)
    size = (round(height * factor), round(width * factor))
    return F.interpolate(pixels, size, mode="bilinear", antialias=True)  # (1, C, h, w)


def _standardised(image: Tensor) -> Tensor:
    deviation, mean = torch.std_mean(image, (2, 3), keepdim=True, correction=0)
    return (image - mean) / deviation.clamp_min(1e-4)


def _contour(change: Tensor) -> Tensor:
    """w of the contour term: (1, H', W') in [0, 1]."""
    squared = change.square().sum(1)  # (1, H', W')
    weight = (2 * squared / squared.max().clamp_min(EPS)).clamp(max=1)
    return torch.where(weight < 0.1, torch.zeros_like(weight), weight)


def _without_texture(image: Tensor) -> Tensor:
    """Side-window filter, then local histogram equalisation, standardised: (1, C, H, W)."""
    from skimage.exposure import equalize_adapthist

    smooth = _side_window_filter(image)
    low, high = smooth.amin(), smooth.amax()
    unit = ((smooth - low) / (high - low).clamp_min(EPS))[0].cpu().numpy()  # (C, H, W)
    equal = np.stack([equalize_adapthist(band) for band in unit])[None]  # (1, C, H, W)
    return _standardised(torch.from_numpy(equal).to(image))


def _side_window_filter(image: Tensor, rounds: int = 5) -> Tensor:
    """Box filter of radius 1 that keeps edges: (1, C, H, W).

    Of the eight windows that have the pixel on a side or in a corner, each round takes the mean
    that is nearest to the pixel.
    """
    bands = image.shape[1]
    kernels = _side_windows().to(image.device).repeat(bands, 1, 1, 1)  # (8C, 1, 3, 3)
    for _ in range(rounds):
        padded = F.pad(image, (1, 1, 1, 1), mode="replicate")
        means = F.conv2d(padded, kernels, groups=bands).unflatten(1, (bands, 8))  # (1, C, 8, H, W)
        nearest = (means - image[:, :, None]).abs().argmin(2, keepdim=True)  # (1, C, 1, H, W)
        image = means.gather(2, nearest)[:, :, 0]  # (1, C, H, W)
    return image


def _side_windows() -> Tensor:
    """(8, 1, 3, 3): means over the four halves and the four quarters around a pixel."""
    first, last, whole = slice(0, 2), slice(1, 3), slice(None)
    halves = [(whole, first), (whole, last), (first, whole), (last, whole)]
    quarters = [(first, first), (first, last), (last, first), (last, last)]
    kernels = torch.zeros(8, 1, 3, 3)
    for kernel, (rows, columns) in zip(kernels[:, 0], halves + quarters, strict=True):
        kernel[rows, columns] = 1 / kernel[rows, columns].numel()
    return kernels
