"""Xavier initialisation of every layer (Appendix A.1 of the paper)."""

from __future__ import annotations

from torch import nn


def xavier_(module: nn.Module) -> None:
    """Xavier-uniform weights and zero biases for every convolution and linear layer below."""
    for layer in module.modules():
        weight, bias = getattr(layer, "weight", None), getattr(layer, "bias", None)
        if weight is not None and weight.dim() >= 2:
            nn.init.xavier_uniform_(weight)
            if bias is not None:
                nn.init.zeros_(bias)
