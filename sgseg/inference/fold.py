r"""A trained model made ready for inference: the same probabilities with less work.

Batch normalisation with fixed statistics is affine, so it goes into the weights in front of it:

.. math:: \gamma \frac{W x - \mu}{\sigma} + \beta = \frac{\gamma}{\sigma} W x + (\beta - \frac{\gamma \mu}{\sigma})

Raster convolutions keep one masked weight an order instead of masking at every call. The parts
that only a loss reads, both image reconstructions, are left out. Source: Eq 4 and 7.
"""  # noqa: E501

from __future__ import annotations

import copy
import itertools
from typing import Any, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval, fuse_linear_bn_eval

from ..models.backbones import SPNN, FrozenFeatures, LocalSPNN
from ..models.decode_heads import ACHead
from ..models.decode_heads.ac_head import RasterBlock
from ..models.layers import DilatedDepthwise, NodeMLP, RasterConv2d
from ..ops.raster import NUM_ORDERS, raster_padding

Model = TypeVar("Model", bound=nn.Module)
Norm = nn.BatchNorm1d | nn.BatchNorm2d


def for_inference(model: Model) -> Model:
    """A copy of ``model`` in eval mode that gives the same probabilities to rounding.

    Its ``infer`` and ``probability`` work; it can neither train nor reconstruct images.
    """
    prepared = fold_batch_norm(model)
    parts: list[Any] = list(prepared.modules())
    for module in parts:
        if isinstance(module, ACHead):
            module.classifier = nn.Sequential(_merged(module.classifier, module.num_classes))
        elif isinstance(module, SPNN | LocalSPNN):
            conv: Any = module.classifier
            local = isinstance(module, LocalSPNN)
            kept = slice(module.learned_channels if local else module.num_superpixels)
            module.classifier = _conv_1x1(conv.weight[kept], conv.bias[kept])
        elif isinstance(module, FrozenFeatures):
            module.store = None  # a user's images leave no files behind
        elif isinstance(module, nn.Sequential):
            _sum_branches(module)
    prepared.requires_grad_(False)
    return prepared.to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def fold_batch_norm(model: Model) -> Model:
    """A copy of ``model`` in eval mode whose batch normalisations are part of the weights.

    Those after the edges of a graph block stay: edges are few beside pixels, and the block may be
    a plug-in.
    """
    folded = copy.deepcopy(model).eval()
    parts: list[Any] = list(folded.modules())
    for module in parts:
        if isinstance(module, nn.Sequential):
            for index, (layer, norm) in enumerate(itertools.pairwise(list(module))):
                if isinstance(norm, Norm) and isinstance(layer, nn.Conv2d | nn.Linear):
                    conv = isinstance(layer, nn.Conv2d)
                    fuse: Any = fuse_conv_bn_eval if conv else fuse_linear_bn_eval
                    module[index], module[index + 1] = fuse(layer, norm), nn.Identity()
        elif isinstance(module, RasterBlock):
            folded_raster = FoldedRasterConv2d(module.raster, module.norm)
            _set(module, raster=folded_raster, norm=nn.Identity())
        elif isinstance(module, NodeMLP):
            module.linear = fuse_linear_bn_eval(module.linear, module.norm.norm)
            _set(module.norm, norm=nn.Identity())
    return folded.requires_grad_(False)


class FoldedRasterConv2d(nn.Module):
    """A raster convolution with the batch normalisation after it; one ready weight an order.

    Shapes: input (B, C_in, H, W), output (B, C_out, H, W).
    """

    bias: Tensor

    def __init__(self, conv: RasterConv2d, norm: Norm) -> None:
        super().__init__()
        assert norm.running_mean is not None  # as built
        assert norm.running_var is not None
        self.shift = conv.shift
        scale = norm.weight.detach() * (norm.running_var + norm.eps).rsqrt()  # (C_out,)
        self.register_buffer("bias", norm.bias.detach() - norm.running_mean * scale)
        weight = conv.weight.detach() * scale[:, None, None, None]
        for order in range(NUM_ORDERS + 1):
            masked = (weight * conv.masks[order]).contiguous(memory_format=torch.channels_last)
            self.register_buffer(f"weight_{order}", masked)

    def forward(self, x: Tensor, order: int = 0) -> Tensor:
        """Convolve ``x`` in raster order 1..8, or with all nine taps for order 0."""
        weight = self.get_buffer(f"weight_{order}")
        if order == 0:
            return F.conv2d(x, weight, self.bias, padding=1)
        return F.conv2d(F.pad(x, raster_padding(order, self.shift)), weight, self.bias)


class SummedFusion(nn.Module):
    """Depthwise branches and the convolution over their concatenation, one branch at a time.

    A convolution of joined maps is the sum of convolutions of each, so the joined map, the largest
    of the whole model, is never there.

    Shapes: input (B, C, H, W), output (B, C_out, H, W).
    """

    def __init__(self, branches: nn.ModuleList, conv: nn.Conv2d) -> None:
        super().__init__()
        self.branches = branches
        self.padding = conv.padding
        self.bias = conv.bias
        parts = conv.weight.chunk(len(branches), 1)
        self.weights = nn.ParameterList(part.clone() for part in parts)

    def forward(self, x: Tensor) -> Tensor:
        """The fused branches of ``x``."""
        first, *others = zip(self.branches, self.weights, strict=True)
        total = F.conv2d(first[0](x), first[1], self.bias, padding=self.padding)
        for branch, weight in others:
            total += F.conv2d(branch(x), weight, padding=self.padding)
        return total  # (B, C_out, H, W)


def _set(module: nn.Module, **children: nn.Module) -> None:
    for name, child in children.items():
        setattr(module, name, child)


def _sum_branches(layers: nn.Sequential) -> None:
    for index, (split, fusion) in enumerate(itertools.pairwise(list(layers))):
        if not (isinstance(split, DilatedDepthwise) and isinstance(fusion, nn.Sequential)):
            continue
        if isinstance(fusion[0], nn.Conv2d) and fusion[0].groups == 1:
            layers[index] = SummedFusion(split.branches, fusion[0])
            fusion[0] = nn.Identity()


def _merged(pair: nn.Sequential, outputs: int) -> nn.Conv2d:
    """Two 1x1 convolutions with nothing between them, as one; its first ``outputs`` channels."""
    first: Any = pair[0]
    second: Any = pair[1]
    matrix = second.weight[:outputs].flatten(1).double()  # (K, K+C)
    weight = matrix @ first.weight.flatten(1).double()
    bias = matrix @ first.bias.double() + second.bias[:outputs].double()  # (K,)
    return _conv_1x1(weight.float()[:, :, None, None], bias.float())


def _conv_1x1(weight: Tensor, bias: Tensor) -> nn.Conv2d:
    """A convolution with copies of these weights, (C_out, C_in, 1, 1) and (C_out,)."""
    conv = nn.Conv2d(weight.shape[1], weight.shape[0], 1)
    conv.weight, conv.bias = (nn.Parameter(each.clone(), False) for each in (weight, bias))
    return conv
