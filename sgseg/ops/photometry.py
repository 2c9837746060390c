"""Colour jitter, grey and Sobel gradients of a batch, on its device.

Shapes: image (B, C, H, W), R, G, B first; further bands (infrared) are left as they are. Values in
[0, 1]. A factor is (B,) or one number. Source: the colour jitter and Sobel input of IIC (Ji et
al., ICCV 2019); hue after the usual HSV hexcone (Smith, SIGGRAPH 1978).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

LUMA = (0.299, 0.587, 0.114)
"""Weights of R, G, B in grey (ITU-R BT.601)."""


def grey(image: Tensor) -> Tensor:
    """Luminance, (B, 1, H, W).

    Raises:
        ValueError: for fewer than three bands.
    """
    _demand_colours(image)
    weights = image.new_tensor(LUMA).view(1, 3, 1, 1)
    return (image[:, :3] * weights).sum(1, keepdim=True)  # (B, 1, H, W)


def sobel(image: Tensor) -> Tensor:
    """Gradients of grey along x and y, (B, 2, H, W); the border is padded with zeros.

    Correlations with [[1, 0, -1], [2, 0, -2], [1, 0, -1]] and its transpose.
    """
    kernel = image.new_tensor([[1.0, 0.0, -1.0], [2.0, 0.0, -2.0], [1.0, 0.0, -1.0]])
    return F.conv2d(grey(image), torch.stack([kernel, kernel.T])[:, None], padding=1)


def adjust_brightness(image: Tensor, factor: Tensor) -> Tensor:
    """Blend the colours with black; 1 changes nothing."""
    return _blend(image, image.new_zeros(()), factor)


def adjust_contrast(image: Tensor, factor: Tensor) -> Tensor:
    """Blend the colours with the image's mean grey; 1 changes nothing."""
    return _blend(image, grey(image).mean((2, 3), keepdim=True), factor)


def adjust_saturation(image: Tensor, factor: Tensor) -> Tensor:
    """Blend the colours with their own grey; 1 changes nothing."""
    return _blend(image, grey(image), factor)


def adjust_hue(image: Tensor, turn: Tensor) -> Tensor:
    """Turn the hue by ``turn`` of the whole circle, (B,), in [-0.5, 0.5]."""
    _demand_colours(image)
    colours = image[:, :3]
    value, lowest = colours.amax(1), colours.amin(1)  # (B, H, W) each
    chroma = value - lowest
    red, green, blue = colours.unbind(1)
    span = chroma.clamp_min(1e-12)
    sextant = torch.where(
        value == red,
        ((green - blue) / span) % 6,
        torch.where(value == green, (blue - red) / span + 2, (red - green) / span + 4),
    )
    turned = sextant + 6 * turn.view(-1, 1, 1)
    bands = []
    for start in (5.0, 3.0, 1.0):  # R, G, B stand at these places of the hexcone
        place = (start + turned) % 6
        bands.append(value - chroma * torch.minimum(place, 4 - place).clamp(0, 1))
    return torch.cat([torch.stack(bands, 1), image[:, 3:]], 1)  # (B, C, H, W)


def check_jitter(owner: str, widths: Sequence[float]) -> None:
    """ValueError for half-widths that :func:`jitter` cannot take."""
    *factors, hue = widths
    if not all(0 <= x <= 1 for x in factors) or not 0 <= hue <= 0.5:
        raise ValueError(
            f"{owner}: brightness, contrast, saturation = {tuple(factors)} must lie in [0, 1] and "
            f"hue = {hue} in [0, 0.5]"
        )


def jitter(image: Tensor, widths: Sequence[float], free: Tensor, order: Sequence[int]) -> Tensor:
    """Change brightness, contrast, saturation and hue, each image by amounts of its own.

    Args:
        image: (B, C, H, W) in [0, 1].
        widths: half-widths of the four; 0 leaves one out.
        free: (4, B) in [0, 1]: where between its bounds each amount lies.
        order: of the four operations, by number.
    """
    operations = (adjust_brightness, adjust_contrast, adjust_saturation, adjust_hue)
    for number in order:
        if widths[number]:
            centre = 0.0 if operations[number] is adjust_hue else 1.0
            amount = centre + widths[number] * (2 * free[number] - 1)  # (B,)
            image = operations[number](image, amount)
    return image


def drop_colours(image: Tensor, generator: torch.Generator) -> Tensor:
    """Keep one colour band of each image and replace the other two by noise.

    The noise is normal about the kept band's mean with a hundredth of its deviation (Doersch et
    al., ICCV 2015); ``generator`` lives on the CPU.
    """
    _demand_colours(image)
    kept = torch.randint(3, (len(image),), generator=generator).to(image.device)
    noise = torch.randn(image[:, :3].shape, generator=generator).to(image)
    places = kept.view(-1, 1, 1, 1)
    band = image.gather(1, places.expand(-1, 1, *image.shape[2:]))  # (B, 1, H, W)
    deviation, mean = torch.std_mean(band, (2, 3), keepdim=True, correction=0)
    own = torch.arange(3, device=image.device).view(1, 3, 1, 1) == places
    colours = torch.where(own, image[:, :3], mean + 0.01 * deviation * noise)
    return torch.cat([colours, image[:, 3:]], 1)  # (B, C, H, W)


def _blend(image: Tensor, other: Tensor, factor: Tensor) -> Tensor:
    _demand_colours(image)
    factor = factor.view(-1, 1, 1, 1)
    mixed = (factor * image[:, :3] + (1 - factor) * other).clamp(0, 1)
    return torch.cat([mixed, image[:, 3:]], 1)  # (B, C, H, W)


def _demand_colours(image: Tensor) -> None:
    if image.dim() != 4 or image.shape[1] < 3:
        raise ValueError(
            f"Colour operations need images (B, C, H, W) with R, G, B first, got "
            f"{tuple(image.shape)}: for other bands set model.views.type=PhotometricViews, or for "
            "Doersch model.drop_colours=False"
        )
