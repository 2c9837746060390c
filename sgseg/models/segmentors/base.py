"""The contract between mmengine's Runner and a model that learns without labels."""

from __future__ import annotations

from typing import Any, ClassVar, Literal, TypedDict

import torch
from mmengine.model import BaseModel
from torch import Tensor

from ...structures import SegState

Mode = Literal["loss", "predict", "tensor"]


class Prediction(TypedDict):
    """One image's result; ``gt`` is None where there are no labels."""

    pred: Tensor
    """Cluster of each pixel: (H, W) int64."""
    gt: Tensor | None
    index: int
    """The image's place in its data set, -1 if unknown."""


class UnsupervisedSegmentor(BaseModel):
    """Dispatch of a batch. Labels are handed to ``predict``'s records and nowhere else."""

    guides: ClassVar[frozenset[str]] = frozenset()
    """What of ``mask`` and ``regions`` this method's ``loss`` takes."""

    def forward(
        self,
        inputs: Tensor,
        gt: Tensor | None = None,
        index: Tensor | None = None,
        mode: Mode = "tensor",
        mask: Tensor | None = None,
        regions: Tensor | None = None,
    ) -> Any:
        """Run one mode.

        Args:
            inputs: images as the preprocessor gives them, (B, C, H, W).
            gt: labels, (B, H, W); only copied into the records of ``predict``.
            index: (B,) places in the data set.
            mode: ``loss`` -> named scalars, ``predict`` -> list of :class:`Prediction`,
                ``tensor`` -> :class:`SegState` with the prediction.
            mask: (B, H, W) bool, pixels that the loss counts; only in a batch whose pipeline
                asks for it (``PackInputs(loss_mask="labelled")``).
            regions: (B, H, W), regions of each image (``SLICRegions``).
        """
        if mode == "loss":
            return self.loss(inputs, **self._guides(mask=mask, regions=regions))
        if mode == "tensor":
            return self.infer(inputs)
        if mode != "predict":
            raise ValueError(f"mode = {mode!r}; choose loss, predict or tensor")
        return self.predict(inputs, gt, index)

    def loss(self, *args: Any, **kwargs: Any) -> dict[str, Tensor]:
        """Named scalars of one training step; keys with ``loss`` in them are summed.

        A method defines ``loss(inputs)``, with those of its ``guides`` as further arguments that
        are None where the batch has none.
        """
        raise NotImplementedError

    def _guides(self, **found: Tensor | None) -> dict[str, Tensor]:
        """The guides in the batch; ValueError for one that this method would leave unused."""
        given = {name: value for name, value in found.items() if value is not None}
        unused = sorted(given.keys() - self.guides)
        if unused:
            raise ValueError(
                f"{type(self).__name__} makes no use of {unused}, which the training pipeline "
                "packs: take loss_mask or SLICRegions out of its transforms"
            )
        return given

    def infer(self, inputs: Tensor) -> SegState:
        """Everything known of the images, ``probability`` included."""
        raise NotImplementedError

    def probability(self, inputs: Tensor) -> Tensor:
        """Class probabilities alone, (B, K, H, W); what only :meth:`infer` shows need not live."""
        probability = self.infer(inputs).probability
        if probability is None:
            raise RuntimeError(f"{type(self).__name__}.infer gave no probability")
        return probability

    def readings(self, inputs: Tensor) -> Tensor:
        """Class probabilities of readings that should agree: (R, B, K, H, W); here one alone."""
        return self.probability(inputs)[None]  # (1, B, K, H, W)

    @torch.no_grad()
    def predict(
        self, inputs: Tensor, gt: Tensor | None = None, index: Tensor | None = None
    ) -> list[Prediction]:
        """Most probable cluster of every pixel, one record an image."""
        clusters = self.probability(inputs).argmax(1)  # (B, H, W)
        places = [-1] * len(clusters) if index is None else index.tolist()
        truths = [None] * len(clusters) if gt is None else gt
        return [
            Prediction(pred=pred, gt=truth, index=place)
            for pred, truth, place in zip(clusters, truths, places, strict=True)
        ]
