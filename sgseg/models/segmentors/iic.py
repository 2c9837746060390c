"""IIC: two clusterings of one trunk, each agreeing with itself over two views (Ji et al. 2019)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, get_args

from torch import Tensor

from ...registry import MODELS
from ...structures import SegState, View
from ..layers.diagnostics import diagnose
from .base import Config, UnsupervisedSegmentor, build_part

Stage = Literal["auxiliary_head", "decode_head"]


@MODELS.register_module()
class IIC(UnsupervisedSegmentor):
    r"""Invariant information clustering of pixels.

    .. math:: \min - \frac{1}{|T|} \sum_t I_\lambda(P_t), \quad
              P_t \propto \sum_{n,x} M_{n,x} M_{n,x+t}\, p_{n,x}\, q_{n,x+t}^\top

    symmetrised, with p and q the class probabilities of two views, q brought back to the first.
    Epochs alternate between an over-clustering head and the head that is scored; both train the
    trunk. The network without training is the Random CNN of the tables.

    Shapes: inputs (B, C, H, W) in [0, 1], mask (B, H, W) bool or none.

    Args:
        backbone: trunk with ``out_channels``, such as :class:`Net10a`.
        decode_head: classifier with ``num_classes``; it is the one that predicts.
        losses: head -> :class:`MutualInformationLoss`; ``decode_head`` and ``auxiliary_head``.
        views: two views, :class:`JitteredViews` or :class:`PhotometricViews`.
        overclustering: classes of the auxiliary head per class, 3 to 8 in IIC.
        data_preprocessor: see :class:`ImagePreprocessor`; IIC stops at [0, 1].
        seed: of the views; equal on all ranks.

    Attributes:
        stage: the head that trains now, set from the epoch by ``AlternatingStageHook``.
    """

    def __init__(
        self,
        backbone: Config,
        decode_head: Config,
        losses: Mapping[str, Config],
        views: Config,
        overclustering: int = 3,
        data_preprocessor: Config | None = None,
        seed: int = 0,
    ) -> None:
        stated = sorted(name for name, term in losses.items() if term is not None)
        if stated != sorted(get_args(Stage)):
            raise ValueError(
                f"IIC: losses has {stated}; one for each head is wanted: {get_args(Stage)}"
            )
        super().__init__(
            decode_head,
            backbone,
            losses=losses,
            views=views,
            data_preprocessor=data_preprocessor,
            seed=seed,
        )
        many = dict(decode_head, num_classes=overclustering * decode_head["num_classes"])
        self.auxiliary_head = build_part("decode_head", many, in_channels=self.head_channels)
        self._stage: Stage = "decode_head"

    @property
    def stage(self) -> Stage:
        """The head that trains now."""
        return self._stage

    @stage.setter
    def stage(self, stage: Stage) -> None:
        if stage not in get_args(Stage):
            raise ValueError(f"IIC: stage = {stage!r}; choose one of {get_args(Stage)}")
        self._stage = stage

    def loss(self, inputs: Tensor, mask: Tensor | None = None) -> dict[str, Tensor]:
        """One training step of the current head; pixels outside ``mask`` do not count."""
        generator, _ = self.draws.next_step()
        pair = self.views(inputs, generator)
        head = getattr(self, self.stage)
        # Each view has batch statistics of its own, as in IIC.
        first, second = (
            pair.align(number, head(self.backbone(image), image.shape[2:]))
            for number, image in enumerate(pair.images)
        )  # (B, K, H, W) each
        state = _state(inputs, first, second)
        counted = state
        if mask is not None:
            counted = _state(inputs, first * mask[:, None], second * mask[:, None])
        return {f"loss_{self.stage}": self.losses[self.stage](counted)} | diagnose(state)


def _state(inputs: Tensor, first: Tensor, second: Tensor) -> SegState:
    """Two readings without a reconstruction."""
    none = inputs[:, :0]
    return SegState(inputs, views=(View(first, none), View(second, none)))
