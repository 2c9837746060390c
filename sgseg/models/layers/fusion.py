"""How the projected node features join the image before the head reads it (Eq 7)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...ops.precision import full_precision
from ...registry import MODELS

_instance_norm = full_precision(F.instance_norm)


@MODELS.register_module()
class GatedFusion(nn.Module):
    """Concatenation of the image with normalised, gated node features.

    The node features carry image-wide information that both readings share; let in at full
    strength from the start they satisfy the mutual information without any semantics. Here they
    are standardised per image and channel, which removes what is constant over an image, and
    scaled by a learned gate that starts almost closed.

    Shapes: image (B, C, H, W), projected (B, D, H, W), output (B, C + D, H, W).

    Args:
        init: the gate's first value, > 0.

    Attributes:
        is_open: whether node features pass; a gate of exactly 0, as :meth:`shut` leaves it and a
            checkpoint keeps it, is shut, and what it would let through need not be computed.
    """

    def __init__(self, init: float = 0.1) -> None:
        super().__init__()
        # As single precision holds it, and known where a model is built without memory.
        self.init = float(torch.tensor(float(init), device="cpu"))
        self.gate = nn.Parameter(torch.tensor(self.init))
        self.is_open = True
        self.register_load_state_dict_post_hook(_notice_gate)

    @torch.no_grad()
    def shut(self) -> None:
        """Keep node features out."""
        self.gate.zero_()
        self.is_open = False

    @torch.no_grad()
    def admit(self) -> None:
        """Let node features in by the gate's first value."""
        self.gate.fill_(self.init)
        self.is_open = True

    def forward(self, image: Tensor, projected: Tensor) -> Tensor:
        """Concatenate ``image`` and the gated ``projected``."""
        gated = self.gate * _instance_norm(projected)  # (B, D, H, W)
        return torch.cat([image, gated.to(image.dtype)], 1)


def _notice_gate(fusion: GatedFusion, keys: object) -> None:
    fusion.is_open = bool(fusion.gate != 0)
