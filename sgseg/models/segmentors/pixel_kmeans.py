"""PixelKMeans: the colour of a pixel is its feature, and nothing is trained."""

from __future__ import annotations

from ...registry import MODELS
from .base import Config, UnsupervisedSegmentor


@MODELS.register_module()
class PixelKMeans(UnsupervisedSegmentor):
    """K-Means on single pixels, as in IIC's table.

    ``ClusterFeaturesHook`` fits the centres, ``UntrainedLoop`` leaves the steps out.

    Shapes: inputs (B, C, H, W).

    Args:
        decode_head: a :class:`CentroidHead` on the C bands.
        data_preprocessor: see :class:`ImagePreprocessor`; one scale for all bands and images.
        seed: of the pixels drawn and of the first centres.
    """

    needs_backbone = False

    def __init__(
        self,
        decode_head: Config,
        data_preprocessor: Config | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__(decode_head, data_preprocessor=data_preprocessor, seed=seed)
