"""Initialisations of the papers: Xavier (SGSeg, AC) and Kaiming (IIC)."""

from __future__ import annotations

from torch import nn


def xavier_(module: nn.Module) -> None:
    """Xavier-uniform weights and zero biases for every convolution and linear layer below.

    Source: Appendix A.1 of the paper.
    """
    for layer in module.modules():
        weight, bias = getattr(layer, "weight", None), getattr(layer, "bias", None)
        if weight is not None and weight.dim() >= 2:
            nn.init.xavier_uniform_(weight)
            if bias is not None:
                nn.init.zeros_(bias)


def kaiming_(module: nn.Module) -> None:
    """Kaiming-normal convolutions (fan in), linear layers of deviation 0.01, zero biases.

    Source: IIC (Ji et al., ICCV 2019), code/archs/cluster/vgg.py.
    """
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, mode="fan_in", nonlinearity="relu")
        elif isinstance(layer, nn.Linear):
            nn.init.normal_(layer.weight, std=0.01)
        else:
            continue
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)
