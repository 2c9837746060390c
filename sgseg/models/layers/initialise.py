"""Xavier initialisation of every layer (Appendix A.1 of the paper)."""

from __future__ import annotations

from torch import nn


def xavier_(module: nn.Module) -> None:
    """Xavier-uniform weights and zero biases for every convolution and linear layer below."""
    for layer in module.modules():
        weight = getattr(layer, "weight", None)
        if weight is not None and weight.dim() >= 2:
            nn.init.xavier_uniform_(weight)
            if getattr(layer, "bias", None) is not None:
                nn.init.zeros_(layer.bias)
