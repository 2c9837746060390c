"""PixelKMeans: what a pixel, or its superpixel, looks like is its class; nothing is trained."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from ...ops.superpixel import pool, project
from ...registry import MODELS
from .base import Config, UnsupervisedSegmentor, build_part


@MODELS.register_module()
class PixelKMeans(UnsupervisedSegmentor):
    """K-Means on single pixels, as in IIC's table; or on their superpixels' means.

    ``ClusterFeaturesHook`` fits the centres, ``UntrainedLoop`` leaves the steps out.

    Shapes: inputs (B, C, H, W).

    Args:
        decode_head: a :class:`CentroidHead` on the C bands, or on the features.
        data_preprocessor: see :class:`ImagePreprocessor`; one scale for all bands and images.
        seed: of the pixels drawn and of the first centres.
        backbone: features that are clustered instead of colours, :class:`FrozenFeatures`.
        superpixels: each pixel has the mean of its superpixel in the place of its own features,
            so large superpixels weigh more; :class:`FixedSuperpixels`.
    """

    needs_backbone = False

    def __init__(
        self,
        decode_head: Config,
        data_preprocessor: Config | None = None,
        seed: int = 0,
        backbone: Config | None = None,
        superpixels: Config | None = None,
    ) -> None:
        super().__init__(decode_head, backbone, data_preprocessor=data_preprocessor, seed=seed)
        self.superpixels = None
        if superpixels is not None:
            self.superpixels = build_part("superpixels", superpixels, in_channels=self.bands)

    def features(self, inputs: Tensor) -> Tensor:
        """What is clustered: (B, D, h, w), of superpixels (B, D, H, W)."""
        own = super().features(inputs)
        if self.superpixels is None:
            return own
        assignment = self.superpixels(inputs).assignment
        own = F.interpolate(own, inputs.shape[2:], mode="bilinear")  # (B, D, H, W)
        return project(assignment, pool(assignment, own))
