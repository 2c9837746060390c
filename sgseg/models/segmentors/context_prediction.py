"""ContextPrediction: features learnt from pairs of windows, then clustered (Doersch, Isola)."""

from __future__ import annotations

import torch
from torch import Tensor

from ...ops.photometry import drop_colours
from ...ops.sampling import at_pixels, windows
from ...registry import MODELS
from ..layers import over_ranks
from ..tasks.context import PatchPairs
from .base import Config, UnsupervisedSegmentor, build_part


@MODELS.register_module()
class ContextPrediction(UnsupervisedSegmentor):
    """A trunk that tells how two windows of its own features lie to each other.

    After every epoch ``ClusterFeaturesHook`` fits K-Means to the features of single pixels; a
    pixel's cluster is the nearest centre.

    Shapes: inputs (B, C, H, W) in [0, 1], mask (B, H, W) bool or none.

    Args:
        backbone: trunk with ``out_channels``, such as :class:`Net10a`.
        context_head: :class:`PatchPairHead`; its inputs and outputs follow trunk and task.
        task: :class:`RelativePosition` or :class:`CoOccurrence`.
        decode_head: :class:`CentroidHead` with ``num_classes``.
        drop_colours: leave one colour band to each training image and put noise for the others
            (Doersch), so that colour fringes do not give the direction away.
        data_preprocessor: see :class:`ImagePreprocessor`.
        seed: of the pairs, of the pixels drawn and of the first centres.

    Source: IIC's copies of both methods, code/scripts/segmentation/baselines.
    """

    def __init__(
        self,
        backbone: Config,
        context_head: Config,
        task: Config,
        decode_head: Config,
        drop_colours: bool = False,
        data_preprocessor: Config | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__(decode_head, backbone, data_preprocessor=data_preprocessor, seed=seed)
        self.task = MODELS.build(task)
        self.context_head = build_part(
            "context_head",
            context_head,
            in_channels=self.head_channels,
            outputs=self.task.outputs,
            side=self.task.side,
        )
        self.drop_colours = drop_colours

    def loss(self, inputs: Tensor, mask: Tensor | None = None) -> dict[str, Tensor]:
        """One training step; a pair counts if either centre lies in ``mask``."""
        generator, _ = self.draws.next_step()
        size = (inputs.shape[2], inputs.shape[3])
        pairs = self.task.draw(len(inputs), size, generator)
        pairs = PatchPairs(*(part.to(inputs.device) for part in pairs))
        seen = drop_colours(inputs, generator) if self.drop_colours else inputs
        feature = self.backbone(seen)  # (B, D, h, w)
        first, second = (self.cut(feature, centres, size) for centres in pairs[:2])
        losses = self.task.losses(self.context_head(first, second), pairs.target)  # (B,)
        counts = losses.new_ones(len(losses))
        if mask is not None:
            image = torch.arange(len(mask), device=mask.device)
            inside = [mask[image, rows, columns] for rows, columns in (pairs[0].T, pairs[1].T)]
            counts = (inside[0] | inside[1]).to(losses.dtype)  # (B,)
        sums = torch.stack([(losses * counts).sum(), counts.sum()])
        total, counted = over_ranks(sums)  # masks leave every process another number of pairs
        return dict(loss_context=total / counted.clamp_min(1))

    def cut(self, feature: Tensor, centres: Tensor, size: tuple[int, int]) -> Tensor:
        """The feature (B, D, h, w) of images of ``size`` in windows around ``centres`` (B, 2).

        Returns:
            (B, D, side, side).
        """
        side = self.task.side
        pixels = at_pixels(feature, windows(centres, side), size)  # (B, D, side^2)
        return pixels.unflatten(2, (side, side))
