"""Large maps walked through in blocks, so that what is made on the way is small and stays in cache.

Shapes: maps (B, C, H, W).
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

# A core's share of the last-level cache: smaller blocks gain nothing and wake the threads more
# often. A GPU wants work enough for all of it in one call.
_CPU, _GPU = 2**21, 2**26


def blocks(x: Tensor) -> Iterator[tuple[slice, slice]]:
    """Images and channels of each block of ``x``: whole images where they fit, else one's slabs."""
    budget = _CPU * torch.get_num_threads() if x.device.type == "cpu" else _GPU
    batch, channels = x.shape[:2]
    plane = max(1, x.shape[2:].numel() * x.element_size())
    images = max(1, budget // (channels * plane))
    slab = max(1, min(channels, budget // plane))
    for image in range(0, batch, images):
        for channel in range(0, channels, slab):
            yield slice(image, image + images), slice(channel, channel + slab)
