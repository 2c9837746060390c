"""The contract of a plug-in, as functions that its author runs in a test.

``check_block(MyBlock)`` passes silently or raises AssertionError saying what is wrong.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from .models.losses import SegLoss
from .ops.graph import knn
from .ops.superpixel import coordinates, pool
from .structures import SegState, Superpixels, View

BlockFactory = Callable[[int], nn.Module]


def check_block(build: BlockFactory, channels: int = 4, nodes: int = 9, k: int = 3) -> None:
    """Check a graph block.

    Shape, finite values and gradients (coincident nodes too), equivariance under a permutation
    of the nodes, independence of the images of a batch, and derivatives against finite
    differences in float64.

    Args:
        build: called with the number of channels, for example the class itself.
        channels, nodes, k: size of the example.

    Raises:
        AssertionError: naming the first promise that is broken.
    """
    torch.manual_seed(0)
    block = build(channels).double().eval()
    x = torch.randn(2, nodes, channels, dtype=torch.float64)
    pos = torch.rand(2, nodes, 2, dtype=torch.float64) * 2 - 1
    neighbours = knn(pos, k)
    out = block(x, pos, neighbours)
    _demand(
        isinstance(out, Tensor) and out.shape == x.shape,
        f"forward must return {tuple(x.shape)}, got {getattr(out, 'shape', type(out))}",
    )
    _demand(bool(out.isfinite().all()), "the output is not finite")
    order = torch.randperm(nodes)
    rank = torch.empty_like(order)
    rank[order] = torch.arange(nodes)
    permuted = block(x[:, order], pos[:, order], rank[neighbours[:, order]])
    _demand(
        torch.allclose(permuted, out[:, order], atol=1e-9),
        "permuting the nodes does not permute the output: the block depends on their order",
    )
    alone = torch.cat([block(x[i : i + 1], pos[i : i + 1], neighbours[i : i + 1]) for i in (0, 1)])
    _demand(
        torch.allclose(alone, out, atol=1e-9),
        "an image's output changes with the other images of the batch (in eval mode)",
    )
    same = torch.zeros_like(pos)
    grown = x.clone().requires_grad_()
    block(grown, same, neighbours).sum().backward()
    _demand(
        grown.grad is not None and bool(grown.grad.isfinite().all()),
        "no finite gradient when nodes coincide",
    )
    _demand(
        torch.autograd.gradcheck(
            lambda features: block(features, pos, neighbours),
            x.clone().requires_grad_(),
            raise_exception=False,
        ),
        "the gradient does not agree with finite differences",
    )
    block.train()
    _demand(bool(block(x, pos, neighbours).isfinite().all()), "not finite in training mode")


def example_state(bands: int = 3, classes: int = 3, dtype: torch.dtype = torch.float64) -> SegState:
    """A complete state of two 6 x 8 images with 5 superpixels, every field filled."""
    generator = torch.Generator().manual_seed(0)

    def draw(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=dtype).requires_grad_()

    image = draw(2, bands, 6, 8).detach()
    superpixels = Superpixels(draw(2, 5, 6, 8).softmax(1), draw(2, 4, 6, 8), draw(2, bands, 6, 8))
    views = [View(draw(2, classes, 6, 8).softmax(1), draw(2, bands, 6, 8)) for _ in range(2)]
    xy = coordinates(6, 8, dtype=dtype).expand(2, -1, -1, -1)
    features = torch.cat([xy, image, superpixels.feature], 1)
    return SegState(
        image=image,
        superpixels=superpixels,
        nodes=pool(superpixels.assignment, features),
        refined=draw(2, 5, 3),
        projected=draw(2, 3, 6, 8),
        views=(views[0], views[1]),
        view_images=(image, image),
    )


def check_loss(loss: SegLoss) -> None:
    """Check a loss: a finite scalar with a gradient, scaled by its weight, that alters nothing.

    Raises:
        AssertionError: naming the first promise that is broken.
    """
    state = example_state()
    before = state.image.clone()
    value = loss(state)
    _demand(isinstance(value, Tensor) and value.shape == (), "a loss must return a scalar tensor")
    _demand(bool(value.isfinite()), "the loss is not finite")
    _demand(value.requires_grad, "the loss does not depend on anything that is trained")
    _demand(torch.equal(state.image, before), "the loss alters the state it reads")
    weight = loss.weight
    loss.weight = 3 * weight
    tripled = loss(state)
    loss.weight = weight
    _demand(torch.allclose(tripled, 3 * value), "the loss does not scale with its weight")
    _demand(loss.part in ("superpixel", "segmentation"), f"unknown part {loss.part!r}")


def _demand(holds: bool, message: str) -> None:
    if not holds:
        raise AssertionError(message)
