"""Mutual information over displacements (Eq 18-19) by direct correlation, as IIC publishes it.

What makes this plain: one reading is the filter of a convolution over the other, with the classes
as the batch and the images as the channels, and autograd differentiates it. Every displacement
costs a whole pass over both readings, but all of them are one call.

Shapes: readings (B, K, H, W).
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

EPS = 1e-8


def joint_counts(p: Tensor, q: Tensor, half_window: int = 0) -> Tensor:
    """((2T + 1)^2, K, K): rows for p, columns for q."""
    p, q = p.transpose(0, 1).contiguous(), q.transpose(0, 1).contiguous()  # (K, B, H, W)
    counts = F.conv2d(q, p, padding=half_window)  # (K of q, K of p, 2T+1, 2T+1)
    return counts.permute(2, 3, 1, 0).flatten(0, 1)  # (D, K, K)


def mutual_information(p: Tensor, q: Tensor, half_window: int = 0) -> Tensor:
    """Eq 19 of each displacement's joint, and their mean, in nats."""
    joint = joint_counts(p, q, half_window)
    joint = joint / joint.sum((1, 2), keepdim=True)
    rows = joint.sum(2, keepdim=True)  # (D, K, 1)
    columns = joint.sum(1, keepdim=True)  # (D, 1, K)
    logs = [x.clamp_min(EPS).log() for x in (joint, rows, columns)]
    return (joint * (logs[0] - logs[1] - logs[2])).sum((1, 2)).mean()
