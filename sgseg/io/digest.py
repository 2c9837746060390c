"""Digests: equal for equal contents, whatever file they lie in."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import torch


def weights_sha256(weights: Mapping[str, Any]) -> str:
    """Digest of a ``state_dict``: equal for equal weights, whatever file they lie in."""
    digest = hashlib.sha256()
    for name in sorted(weights):
        digest.update(name.encode())
        if isinstance(weights[name], torch.Tensor):
            flat = weights[name].detach().cpu().contiguous().reshape(-1)
            digest.update(flat.view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def short_digest(content: str | bytes) -> str:
    """Sixteen letters that stand for a content."""
    data = content.encode() if isinstance(content, str) else content
    return hashlib.sha256(data).hexdigest()[:16]
