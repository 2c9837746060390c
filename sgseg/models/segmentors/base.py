"""The contract between mmengine's Runner and a model that learns without labels."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any, ClassVar, Literal, TypedDict

import torch
from mmengine.model import BaseModel
from torch import Tensor, nn

from ...registry import MODELS, arguments_of, find
from ...structures import SegState
from ..backbones import FrozenFeatures
from ..layers.draws import StepDraws

Config = Mapping[str, Any]
Mode = Literal["loss", "predict", "tensor"]


class Prediction(TypedDict):
    """One image's result; ``gt`` is None where there are no labels."""

    pred: Tensor
    """Cluster of each pixel: (H, W) int64."""
    gt: Tensor | None
    index: int
    """Number of the image in its data set, -1 if unknown."""


def build_part(name: str, config: Config, **widths: int | None) -> nn.Module:
    """Build a part of a model whose widths follow from the parts before it.

    Args:
        name: of the part, for messages.
        config: of the part.
        widths: argument -> channels, given to the part where its class has such an argument and
            ``config`` does not state it, or states None. None for a width that nobody knows.

    Raises:
        ValueError: for a stated width that differs from the one that follows (a stated 0 leaves
            an output out), or one neither stated nor known.
    """
    accepted = arguments_of(find(config.get("type")))[0]
    derived = {}
    for argument, width in widths.items():
        stated = config.get(argument)
        if argument not in accepted:
            continue
        if stated is None and width is None:
            raise ValueError(
                f"{name}.{argument} follows from the part before it, which has no attribute "
                f"out_channels: give it one, or state {name}.{argument}"
            )
        if stated and width and stated != width:
            raise ValueError(
                f"{name}.{argument} = {stated}, but the parts before it give {width}: leave "
                f"{argument} out of the config"
            )
        if stated is None:
            derived[argument] = width
    return MODELS.build({**config, **derived})


class UnsupervisedSegmentor(BaseModel):
    """Base of all methods: builds the parts and dispatches a batch; a method adds ``loss``.

    Widths need not be stated: the backbone's ``in_channels`` are the preprocessor's bands, the
    head's are the ``out_channels`` of what stands before it, its ``image_channels`` are the bands.
    Labels are handed to ``predict``'s records and nowhere else.

    Args:
        decode_head: gives the class probabilities.
        backbone: what reads the image; None: the head sees the image alone.
        neck: what refines the backbone's output.
        losses: name -> config; None instead of a config leaves the term out.
        views: makes the two views of an image that a method compares.
        data_preprocessor: see :class:`ImagePreprocessor`.
        seed: of all draws; equal on all ranks.
        frozen: a :class:`FrozenFeatures` beside the backbone, for a method that reads one.

    Raises:
        ValueError: for a stated width that differs from the one that follows, or a method without
            the backbone that it needs.
    """

    needs_backbone: ClassVar[bool] = True

    def __init__(
        self,
        decode_head: Config,
        backbone: Config | None = None,
        neck: Config | None = None,
        losses: Mapping[str, Config | None] | None = None,
        views: Config | None = None,
        data_preprocessor: Config | None = None,
        seed: int = 0,
        frozen: Config | None = None,
    ) -> None:
        if self.needs_backbone and backbone is None:
            raise ValueError(
                f"{type(self).__name__}: backbone = None, but this method reads the features of "
                "one: leave the backbone of its config"
            )
        preprocessor = dict(data_preprocessor or dict(type="ImagePreprocessor"))
        super().__init__(MODELS.build(preprocessor))
        self.bands: int = self.data_preprocessor.bands
        self.backbone: Any = None
        self.neck: Any = None
        self.frozen: Any = None
        if backbone is not None:
            self.backbone = build_part("backbone", backbone, in_channels=self.bands)
        if frozen is not None:
            self.frozen = build_part("frozen", frozen, in_channels=self.bands)
        if neck is not None:
            self.neck = build_part("neck", neck, in_channels=self.neck_channels)
        self.decode_head: Any = build_part(
            "decode_head", decode_head, in_channels=self.head_channels, image_channels=self.bands
        )
        terms = {name: term for name, term in (losses or {}).items() if term is not None}
        self.losses = nn.ModuleDict({name: MODELS.build(term) for name, term in terms.items()})
        self.views = None if views is None else MODELS.build(views)
        self.draws = StepDraws(seed)
        for part in self.modules():
            if isinstance(part, FrozenFeatures):
                part.read_from(self.data_preprocessor)

    @property
    def neck_channels(self) -> int | None:
        """Channels that the neck sees, None if the backbone does not say its own."""
        return getattr(self.backbone, "out_channels", None)

    @property
    def head_channels(self) -> int | None:
        """Channels that the head sees, None if the part before it does not say its own."""
        if self.backbone is None:
            return self.bands
        return getattr(self.neck or self.backbone, "out_channels", None)

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
            index: (B,) numbers of the images in the data set.
            mode: ``loss`` -> named scalars, ``predict`` -> list of :class:`Prediction`,
                ``tensor`` -> :class:`SegState` with the prediction.
            mask: (B, H, W) bool, pixels that the loss counts; only in a batch whose pipeline
                asks for it (``PackInputs(loss_mask="labelled")``).
            regions: (B, H, W), regions of each image (``SLICRegions``).

        Raises:
            ValueError: for an unknown mode, or a mask or regions that this method's ``loss`` has
                no argument for.
        """
        if mode == "tensor":
            return self.infer(inputs)
        if mode == "predict":
            return self.predict(inputs, gt, index)
        if mode != "loss":
            raise ValueError(f"mode = {mode!r}; choose loss, predict or tensor")
        extra = {"mask": mask, "regions": regions}
        given = {name: value for name, value in extra.items() if value is not None}
        unused = sorted(given.keys() - inspect.signature(self.loss).parameters.keys())
        if unused:
            raise ValueError(
                f"{type(self).__name__} makes no use of {unused}, which the training pipeline "
                "packs: take loss_mask or SLICRegions out of its transforms"
            )
        return self.loss(inputs, **given)

    def loss(self, *args: Any, **kwargs: Any) -> dict[str, Tensor]:
        """Named scalars of one training step; keys with ``loss`` in them are summed.

        A method defines ``loss(inputs)``; with ``mask=None`` or ``regions=None`` as a further
        argument it is given what the batch has of these.
        """
        raise NotImplementedError(f"{type(self).__name__} must define loss(inputs)")

    def features(self, inputs: Tensor) -> Tensor:
        """What the head reads and K-Means clusters: (B, D, h, w); without a backbone the image."""
        return inputs if self.backbone is None else self.backbone(inputs)

    def probability(self, inputs: Tensor) -> Tensor:
        """Class probabilities: (B, K, H, W)."""
        return self.decode_head(self.features(inputs), inputs.shape[2:])

    def infer(self, inputs: Tensor) -> SegState:
        """Everything known of the images, ``probability`` included."""
        return SegState(inputs, probability=self.probability(inputs))

    def readings(self, inputs: Tensor) -> Tensor:
        """Class probabilities of readings that should agree: (R, B, K, H, W); here a single one."""
        return self.probability(inputs)[None]  # (1, B, K, H, W)

    @torch.no_grad()
    def predict(
        self, inputs: Tensor, gt: Tensor | None = None, index: Tensor | None = None
    ) -> list[Prediction]:
        """Most probable cluster of every pixel, one record an image."""
        clusters = self.probability(inputs).argmax(1)  # (B, H, W)
        numbers = [-1] * len(clusters) if index is None else index.tolist()
        truths = [None] * len(clusters) if gt is None else gt
        return [
            Prediction(pred=pred, gt=truth, index=number)
            for pred, truth, number in zip(clusters, truths, numbers, strict=True)
        ]
