"""Attention of one head that sees only what a raster scan has visited (AC, Ouali et al. 2020)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...ops.raster import visiting_rank


class RasterAttention(nn.Module):
    r"""Every pixel gathers from the pixels visited before it, and from itself.

    .. math:: y_p = W \big(x_p \oplus \sum_{r(q) \le r(p)} a_{pq} v_q\big), \quad
              a_{p\cdot} = \mathrm{SoftMax}_{r(q) \le r(p)}(\langle q_p, k_q \rangle / \sqrt{d})

    The mask stands inside the softmax, so that the weights of the visited pixels sum to one; the
    one public re-implementation masks after it. Order 0 gathers from everywhere.

    Shapes: (B, C, H, W) -> (B, C, H, W). Time and, with a mask, memory grow with (HW)^2.

    Args:
        channels: C. Queries and keys have C / 8 channels, values C / 2: a choice of ours.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.key_channels = max(channels // 8, 1)
        self.value_channels = max(channels // 2, 1)
        self.project = nn.Conv2d(channels, 2 * self.key_channels + self.value_channels, 1)
        self.join = nn.Conv2d(channels + self.value_channels, channels, 1)

    def forward(self, x: Tensor, order: int = 0) -> Tensor:
        """Gather in raster order 1..8, or from everywhere in order 0."""
        height, width = x.shape[2:]
        parts = [self.key_channels, self.key_channels, self.value_channels]
        query, key, value = (
            part.transpose(1, 2)[:, None] for part in self.project(x).flatten(2).split(parts, 1)
        )  # (B, 1, HW, C') each; ONNX has attention with heads only
        seen = None
        if order:
            rank = visiting_rank(order, height, width).flatten().to(x.device)  # (HW,)
            seen = rank[None, :] <= rank[:, None]  # (HW, HW)
        values = F.scaled_dot_product_attention(query, key, value, attn_mask=seen)
        gathered = values[:, 0].transpose(1, 2).unflatten(2, (height, width))  # (B, C', H, W)
        return self.join(torch.cat([x, gathered], 1))  # (B, C, H, W)
