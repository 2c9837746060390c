"""Inference as one writes it first: the model in eval mode, everything computed as in training."""

import torch
from torch import Tensor, nn


def probability(model: nn.Module, images: Tensor) -> Tensor:
    """Mean probability over the model's orders, (B, K, H, W), of ``images`` in [0, 1].

    Each order runs the whole head with its reconstruction, the superpixels and all features live
    to the end, batch normalisation is a step of its own, and autograd keeps what it would need.
    """
    state = model.describe(model.data_preprocessor.normalise(images))
    x = model.head_input(state)
    readings = [model.decode_head(x, order).probability for order in model.predict_orders]
    return torch.stack(readings).mean(0)
