"""SGSeg: superpixels, their graph, and two raster readings that must agree (Figure 2)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor

from ...ops.raster import NUM_ORDERS
from ...ops.superpixel import coordinates, pool, project
from ...registry import MODELS
from ...structures import SegState, View
from ..layers import recomputed
from ..layers.diagnostics import diagnose
from ..losses.base import Part
from ..views import ViewPair
from .base import Config, UnsupervisedSegmentor

Stage = Literal["superpixel", "head", "segmentation", "joint"]
FrozenTo = Literal["nodes", "head"]
_LOSSES: dict[Stage, tuple[Part, ...]] = dict(
    superpixel=("superpixel",),
    head=("segmentation",),
    segmentation=("segmentation",),
    joint=("superpixel", "segmentation"),
)
"""Stage -> parts whose losses it has."""


@MODELS.register_module()
class SGSeg(UnsupervisedSegmentor):
    r"""The whole model of the paper; every departure from it is a key.

    A part left out is simply not there: ``backbone=None`` lets the head see the image alone
    (Table 3, row 1), ``neck=None`` lets the pooled nodes through as they are (row 2).

    Shapes: inputs (B, C, H, W) of any size that the head can halve once.

    Args:
        backbone: superpixel network; its ``Superpixels`` record feeds the graph.
        neck: graph network on the nodes.
        decode_head: raster-order head.
        losses: name -> config; a term is logged as ``loss_<name>``, and is weighted by itself.
        data_preprocessor: see :class:`ImagePreprocessor`.
        views: None (the paper: both readings see the same image and the same superpixels) or
            :class:`PhotometricViews` (each reading has its own light, superpixels and graph; with
            ``shared`` both see the same jittered image).
        fusion: how node features join the image; None concatenates them (Eq 7), else
            :class:`GatedFusion`.
        predict_orders: raster orders averaged at inference; (0,) is the paper's unmasked pass,
            (1, ..., 8) reads as in training, at eight times the head's cost.
        detach_superpixels: keep the segmentation losses from reaching the backbone.
        roll_coordinates: in training, roll the coordinates that the backbone sees by other rows
            and columns for each image and reading. Superpixels with coordinates hand each pixel's
            place to the node features, which both readings share: the mutual information is then
            nearly full without any semantics. The backbone must accept ``(image, shift)``.
        seed: of the raster orders and views; equal on all ranks.
        frozen: :class:`FrozenFeatures` of each reading's image; None (the paper): there are none.
        frozen_to: who reads them: ``nodes`` (pooled, beside the backbone's features, Eq 3),
            ``head`` (beside the image, on every pixel), or both.

    Attributes:
        stage: ``superpixel`` (backbone alone), ``head`` (head alone, node features kept out until
            a later stage lets them in), ``segmentation`` (backbone frozen, its normalisation too)
            or ``joint``; set from the epoch by ``TrainingStageHook``.
    """

    needs_backbone = False

    def __init__(
        self,
        decode_head: Config,
        backbone: Config | None = None,
        neck: Config | None = None,
        losses: Mapping[str, Config | None] | None = None,
        data_preprocessor: Config | None = None,
        views: Config | None = None,
        fusion: Config | None = None,
        predict_orders: Sequence[int] = (0,),
        detach_superpixels: bool = False,
        roll_coordinates: bool = False,
        seed: int = 0,
        frozen: Config | None = None,
        frozen_to: Sequence[FrozenTo] = ("nodes",),
    ) -> None:
        if roll_coordinates and not (backbone or {}).get("with_coords"):
            raise ValueError(
                "SGSeg: roll_coordinates rolls the coordinates of the backbone, which has none: "
                "set backbone.with_coords or leave roll_coordinates off"
            )
        if neck is not None and backbone is None:
            raise ValueError("SGSeg: a neck refines superpixels, so it needs a backbone")
        if not predict_orders:
            raise ValueError("SGSeg: predict_orders is empty; (0,) is the paper's choice")
        self.frozen_to = _readers(frozen_to, backbone) if frozen is not None else ()
        super().__init__(
            decode_head, backbone, neck, losses, views, data_preprocessor, seed, frozen
        )
        self.fusion = None if fusion is None else MODELS.build(fusion)
        self.predict_orders = tuple(predict_orders)
        self.detach_superpixels = detach_superpixels
        self.roll_coordinates = roll_coordinates
        self._stage: Stage = "joint"
        # A step of the tiny preset took 4 to 20 % less so on two CPU cores.
        self.to(memory_format=torch.channels_last)

    @property
    def neck_channels(self) -> int | None:
        """Width of a pooled node (Eq 3): x, y, bands, the backbone's features and frozen ones."""
        features = super().neck_channels
        return None if features is None else 2 + self.bands + features + self._frozen_for("nodes")

    @property
    def head_channels(self) -> int | None:
        """Width of the head's input (Eq 7): bands, projected node features, frozen features."""
        image = self.bands + self._frozen_for("head")
        if self.backbone is None:
            return image
        nodes = self.neck_channels
        if self.neck is not None:
            nodes = getattr(self.neck, "out_channels", None)
        return None if nodes is None else image + nodes

    def _frozen_for(self, reader: FrozenTo) -> int:
        """Channels of frozen features that a part reads."""
        return self.frozen.out_channels if reader in self.frozen_to else 0

    @property
    def stage(self) -> Stage:
        """The part of the model that trains now."""
        return self._stage

    @stage.setter
    def stage(self, stage: Stage) -> None:
        if stage not in get_args(Stage):
            raise ValueError(f"SGSeg: stage = {stage!r}; choose one of {get_args(Stage)}")
        if stage == "superpixel" and self.backbone is None:
            raise ValueError("SGSeg: stage 'superpixel' trains the backbone, but there is none")
        if stage == "superpixel" and not any(True for _ in self.backbone.parameters()):
            raise ValueError(
                f"SGSeg: stage 'superpixel' trains the backbone, but {type(self.backbone).__name__}"
                " has nothing to learn: start with stages=[(0, 'segmentation')]"
            )
        if stage == "head":
            if self.backbone is None or not hasattr(self.fusion, "shut"):
                raise ValueError(
                    "SGSeg: stage 'head' keeps node features out of the head by the gate of "
                    "GatedFusion, and there is no backbone or no gate: set model.fusion = "
                    "dict(type='GatedFusion'), or leave this stage out"
                )
            self.fusion.shut()
        elif stage != "superpixel" and not self.reads_nodes and self.backbone is not None:
            self.fusion.admit()
        self._stage = stage

    @property
    def reads_nodes(self) -> bool:
        """Whether the head is given node features: there are some, and no gate is shut."""
        return self.backbone is not None and getattr(self.fusion, "is_open", True)

    def loss(self, inputs: Tensor) -> dict[str, Tensor]:
        """One training step: the terms of the current stage, and diagnostics beside them."""
        state = self.read_twice(inputs)
        terms = {
            f"loss_{name}": term(state)
            for name, term in self.losses.items()
            if term.part in _LOSSES[self.stage]
        }
        if not terms:
            raise ValueError(
                f"SGSeg: no loss trains stage {self.stage!r}; configured are {list(self.losses)}"
            )
        return terms | diagnose(state)

    def read_twice(self, image: Tensor) -> SegState:
        """The state of a training step on ``image`` (B, C, H, W): two readings in two orders."""
        if self.stage == "segmentation" and self.backbone is not None:
            self.backbone.eval()  # frozen statistics too (Table 2, disjoint)
        generator, orders = self.draws.next_step()
        pair = ViewPair((image, image))
        if self.views is not None:
            pair = self.views(image, generator)
        same = pair.images[0] is pair.images[1]
        seen = pair.images[0] if same else torch.cat(pair.images)  # (B or 2B, C, H, W)
        shift = None
        if self.roll_coordinates:
            shift = torch.randint(max(seen.shape[2:]), (len(seen), 2), generator=generator)
        state = self._begun(seen) if self.stage == "head" else self.describe(seen, shift)
        if self.stage == "superpixel":
            return state
        x = self.head_input(state)  # (B or 2B, C+D, H, W)
        readings = []
        for number, half in enumerate((x, x) if same else x.chunk(2)):
            view = self.decode_head(half, orders[number])  # Eq 7
            readings.append(View(pair.align(number, view.probability), view.reconstruction))
        state.views, state.view_images = (readings[0], readings[1]), pair.images
        return state

    def describe(self, image: Tensor, shift: Tensor | None = None) -> SegState:
        """Figure 2 up to the head: superpixels, nodes, graph, and back onto the pixels.

        In training, stage ``superpixel`` ends with the superpixels.

        Args:
            image: (B, C, H, W).
            shift: (B, 2) rows and columns by which the backbone's coordinates are rolled.
        """
        state = self._begun(image)
        if self.backbone is None:
            return state
        seen = (image,) if shift is None else (image, shift)
        with torch.set_grad_enabled(torch.is_grad_enabled() and self.stage != "segmentation"):
            state.superpixels = assignment, feature, _ = self.backbone(*seen)  # Eq 4
        if self.training and self.stage == "superpixel":
            return state
        if self.detach_superpixels:
            assignment, feature = assignment.detach(), feature.detach()
        xy = coordinates(*image.shape[2:], device=image.device, dtype=image.dtype)
        low_level = torch.cat([xy.expand(image.shape[0], -1, -1, -1), image], 1)  # (B, 2+C, H, W)
        # Pooled apart: joined first, they are a copy of the features in float32. Features in half
        # precision are pooled again in the backward pass, or such a copy would be kept for it.
        half = feature.dtype != assignment.dtype
        deep = recomputed(pool, assignment, feature) if half else pool(assignment, feature)
        state.nodes = torch.cat([pool(assignment, low_level), deep], 2)  # (B, N, 2+C+F)  Eq 3
        if "nodes" in self.frozen_to:
            pooled = pool(assignment, state.frozen)
            state.nodes = torch.cat([state.nodes, pooled], 2)  # (B, N, 2+C+F+G)
        state.refined = state.nodes if self.neck is None else self.neck(state.nodes)  # Eq 5
        state.projected = project(assignment, state.refined)  # (B, D, H, W)  Eq 6
        return state

    def head_input(self, state: SegState) -> Tensor:
        """What the head reads (Eq 7): the image joined with the node features, (B, C+D, H, W).

        Zeros stand for node features that are kept out. Frozen features, where the head reads them,
        come after both: (B, C+D+G, H, W).
        """
        x = state.image
        if self.backbone is not None and not self.reads_nodes:
            own = self.bands + self._frozen_for("head")
            x = F.pad(x, (0, 0, 0, 0, 0, (self.head_channels or own) - own))
        elif self.backbone is not None and self.fusion is not None:
            x = self.fusion(x, state.projected)
        elif state.projected is not None:
            x = torch.cat([x, state.projected], 1)
        return torch.cat([x, state.frozen.to(x.dtype)], 1) if "head" in self.frozen_to else x

    def probability(self, inputs: Tensor) -> Tensor:
        """Class probabilities averaged over the orders, (B, K, H, W).

        Superpixels and features are gone when the head runs.
        """
        return self._classify(self._read(inputs))

    def infer(self, inputs: Tensor) -> SegState:
        """The state of ``inputs`` with the class probabilities."""
        state = self.describe(inputs)
        state.probability = self._classify(self.head_input(state))  # (B, K, H, W)
        return state

    def readings(self, inputs: Tensor) -> Tensor:
        """Class probabilities in each of the eight raster orders: (8, B, K, H, W)."""
        x = self._read(inputs)
        orders = range(1, NUM_ORDERS + 1)
        return torch.stack([self.decode_head(x, order).probability for order in orders])

    def _read(self, image: Tensor) -> Tensor:
        """The head's input, without describing what it is not given."""
        return self.head_input(self.describe(image) if self.reads_nodes else self._begun(image))

    def _begun(self, image: Tensor) -> SegState:
        """The state before superpixels: the image, and frozen features where they are read."""
        state = SegState(image)
        if self.frozen is not None and not (self.training and self.stage == "superpixel"):
            state.frozen = self.frozen.on_pixels(image)  # (B, G, H, W)
        return state

    def _classify(self, x: Tensor) -> Tensor:
        if hasattr(self.decode_head, "probability"):  # shares work between the orders
            return self.decode_head.probability(x, self.predict_orders)
        readings = [self.decode_head(x, order).probability for order in self.predict_orders]
        return torch.stack(readings).mean(0)  # (B, K, H, W)


def _readers(frozen_to: Sequence[FrozenTo], backbone: Config | None) -> tuple[FrozenTo, ...]:
    """``frozen_to``, if there are such parts."""
    wrong = [reader for reader in frozen_to if reader not in get_args(FrozenTo)]
    if wrong or not frozen_to or ("nodes" in frozen_to and backbone is None):
        raise ValueError(
            f"SGSeg: frozen_to = {tuple(frozen_to)}; choose of {get_args(FrozenTo)}, and "
            "nodes only where a backbone makes superpixels"
        )
    return tuple(frozen_to)
