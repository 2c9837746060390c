"""InfoSeg: local features agree with the class vectors of their own image (Harb, Knoebelreiter)."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from mmengine.dist import get_dist_info, get_world_size
from torch import Tensor

from ...ops.information import entropy
from ...ops.precision import full_precision
from ...registry import MODELS
from ..layers import over_ranks
from .base import Config, UnsupervisedSegmentor


@full_precision
def local_global_loss(local: Tensor, mixed: Tensor) -> Tensor:
    r"""Jensen-Shannon bound on the information of local features and their class mix.

    .. math:: \frac{1}{BP} \sum_{b,p} \mathrm{sp}(-\langle L_{b,p}, S_{b,p} \rangle)
              + \mathrm{sp}(\langle L_{b,p}, S_{b-1,p} \rangle), \quad \mathrm{sp}(x) = \log(1+e^x)

    Args:
        local: L, (B, P, d).
        mixed: S, (B, P, d); the previous image of the batch gives the negative. The batch is
            that of all processes, each of which has as many images.

    Returns:
        Scalar; 2 log 2 when nothing is told apart.

    Raises:
        ValueError: for a batch of one image, which has no other to be told from.
    """
    if len(local) * get_world_size() < 2:
        raise ValueError("InfoSeg needs two images or more in a batch: raise batch_size")
    rank, world = get_dist_info()
    lasts = mixed.new_zeros(world, *mixed.shape[1:])  # each process's last image, for the next one
    lasts[rank] = mixed[-1]
    previous = torch.cat([over_ranks(lasts)[rank - 1, None], mixed[:-1]])  # (B, P, d)
    positive = (local * mixed).sum(2)  # (B, P)
    negative = (local * previous).sum(2)  # (B, P)
    return F.softplus(-positive).mean() + F.softplus(negative).mean()


@MODELS.register_module()
class InfoSeg(UnsupervisedSegmentor):
    r"""Each pixel of the feature map is explained by its own image's class vectors, not another's.

    .. math:: S_p = \sum_c V_{p,c} H_c

    Reconstruction from the description (Harb and Knoebelreiter, GCPR 2021): no code is public,
    and trunk, widths, temperature, rate and augmentation are ours.

    Shapes: inputs (B, C, H, W) in [0, 1], two images or more over all processes.

    Args:
        backbone: trunk with ``out_channels``, such as :class:`Net10a`.
        decode_head: :class:`InfoSegHead` with ``num_classes``.
        views: its second view is the augmented image that is trained on.
        balance: weight of the entropy of the classes' use; 0 in the description.
        data_preprocessor: see :class:`ImagePreprocessor`.
        seed: of the augmentation; equal on all ranks.
    """

    def __init__(
        self,
        backbone: Config,
        decode_head: Config,
        views: Config,
        balance: float = 0.0,
        data_preprocessor: Config | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__(
            decode_head, backbone, views=views, data_preprocessor=data_preprocessor, seed=seed
        )
        self.balance = balance

    def loss(self, inputs: Tensor) -> dict[str, Tensor]:
        """One training step; ``class_usage`` beside it is the entropy over log K."""
        generator, _ = self.draws.next_step()
        image = self.views(inputs, generator).images[1]
        local, classes, assignment = self.decode_head.describe(self.backbone(image))
        mixed = assignment.to(classes.dtype) @ classes  # (B, P, d)
        use = over_ranks(assignment.mean((0, 1))) / get_world_size()  # (K,)
        usage = entropy(use, 0)
        terms = dict(loss_information=local_global_loss(local, mixed))
        if self.balance:
            terms["loss_balance"] = -self.balance * usage
        return terms | dict(class_usage=usage.detach() / math.log(len(use)))
