"""SGSeg: superpixels, their graph, and two raster readings that must agree (Figure 2)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, get_args

import torch
from torch import Tensor

from ...ops.raster import NUM_ORDERS
from ...ops.superpixel import coordinates, pool, project
from ...registry import MODELS
from ...structures import SegState, Superpixels, View
from ..layers import recomputed
from ..layers.diagnostics import diagnose
from ..views.photometric import ViewPair
from .base import Config, UnsupervisedSegmentor

Stage = Literal["superpixel", "segmentation", "joint"]


def _pool_without_copy(assignment: Tensor, feature: Tensor) -> Tensor:
    """Eq 3; of features in half precision no wider copy is kept for the backward pass."""
    if feature.dtype == assignment.dtype:
        return pool(assignment, feature)
    return recomputed(pool, assignment, feature)


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
        fusion: how node features join the image; default plain concatenation (Eq 7).
        predict_orders: raster orders averaged at inference; (0,) is the paper's unmasked pass,
            (1, ..., 8) reads as in training, at eight times the head's cost.
        detach_superpixels: keep the segmentation losses from reaching the backbone.
        roll_coordinates: in training, roll the coordinates that the backbone sees by other rows
            and columns for each image and reading. Superpixels with coordinates hand each pixel's
            place to the node features, which both readings share: the mutual information is then
            nearly full without any semantics. The backbone must accept ``(image, shift)``.
        seed: of the raster orders and views; equal on all ranks.

    Attributes:
        stage: ``superpixel`` (backbone alone), ``segmentation`` (backbone frozen, its
            normalisation too) or ``joint``; set from the epoch by ``TrainingStageHook``.
    """

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
        super().__init__(decode_head, backbone, neck, losses, views, data_preprocessor, seed)
        self.fusion = MODELS.build(fusion or dict(type="ConcatFusion"))
        self.predict_orders = tuple(predict_orders)
        self.detach_superpixels = detach_superpixels
        self.roll_coordinates = roll_coordinates
        self._stage: Stage = "joint"
        # A step of the tiny preset took 4 to 20 % less so on two CPU cores.
        self.to(memory_format=torch.channels_last)

    @property
    def neck_channels(self) -> int | None:
        """Width of a pooled node (Eq 3): x, y, bands and the backbone's features."""
        features = super().neck_channels
        return None if features is None else 2 + self.bands + features

    @property
    def head_channels(self) -> int | None:
        """Width of the head's input (Eq 7): bands and projected node features."""
        if self.backbone is None:
            return self.bands
        nodes = self.neck_channels
        if self.neck is not None:
            nodes = getattr(self.neck, "out_channels", None)
        return None if nodes is None else self.bands + nodes

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
        self._stage = stage

    def loss(self, inputs: Tensor) -> dict[str, Tensor]:
        """One training step: the terms of the current stage, and diagnostics beside them."""
        if self.stage == "segmentation" and self.backbone is not None:
            self.backbone.eval()  # frozen statistics too (Table 2, disjoint)
        state = self._read_twice(inputs)
        self.draws.advance()
        terms = {
            f"loss_{name}": term(state)
            for name, term in self.losses.items()
            if self.stage in ("joint", term.part)
        }
        if not terms:
            raise ValueError(
                f"SGSeg: no loss trains stage {self.stage!r}; configured are {list(self.losses)}"
            )
        return terms | diagnose(state)

    def infer(self, inputs: Tensor) -> SegState:
        """The state of ``inputs`` with the class probabilities, averaged over the orders."""
        state = self.describe(inputs)
        state.probability = self._classify(self._head_input(state))  # (B, K, H, W)
        return state

    def probability(self, inputs: Tensor) -> Tensor:
        """Class probabilities alone: superpixels and features are gone when the head runs."""
        return self._classify(self._head_input(self.describe(inputs)))  # (B, K, H, W)

    def readings(self, inputs: Tensor) -> Tensor:
        """Class probabilities in each of the eight raster orders: (8, B, K, H, W)."""
        x = self._head_input(self.describe(inputs))
        orders = range(1, NUM_ORDERS + 1)
        return torch.stack([self.decode_head(x, order).probability for order in orders])

    def _classify(self, x: Tensor) -> Tensor:
        if hasattr(self.decode_head, "probability"):  # shares work between the orders
            return self.decode_head.probability(x, self.predict_orders)
        readings = [self.decode_head(x, order).probability for order in self.predict_orders]
        return torch.stack(readings).mean(0)  # (B, K, H, W)

    def describe(self, image: Tensor, shift: Tensor | None = None) -> SegState:
        """Figure 2 up to the head: superpixels, nodes, graph, and back onto the pixels.

        ``shift`` (B, 2) rolls the coordinates that the backbone sees.
        """
        superpixels = self._superpixels(image, shift)
        if superpixels is None:
            return SegState(image)
        assignment, feature, _ = superpixels
        if self.detach_superpixels:
            assignment, feature = assignment.detach(), feature.detach()
        xy = coordinates(*image.shape[2:], device=image.device, dtype=image.dtype)
        low_level = torch.cat([xy.expand(image.shape[0], -1, -1, -1), image], 1)  # (B, 2+C, H, W)
        # Pooled apart: joined first, they are a copy of the features in float32.
        deep = _pool_without_copy(assignment, feature)  # (B, N, F)
        nodes = torch.cat([pool(assignment, low_level), deep], 2)  # (B, N, 2+C+F)  Eq 3
        refined = nodes if self.neck is None else self.neck(nodes)  # (B, N, D)  Eq 5
        projected = project(assignment, refined)  # (B, D, H, W)  Eq 6
        return SegState(image, superpixels, nodes, refined, projected)

    def _superpixels(self, image: Tensor, shift: Tensor | None) -> Superpixels | None:
        if self.backbone is None:
            return None
        seen = (image,) if shift is None else (image, shift)
        with torch.set_grad_enabled(torch.is_grad_enabled() and self.stage != "segmentation"):
            return self.backbone(*seen)  # Eq 4

    def _head_input(self, state: SegState) -> Tensor:
        if state.projected is None:
            return state.image
        return self.fusion(state.image, state.projected)  # (B, C+D, H, W)  Eq 7

    def _read_twice(self, image: Tensor) -> SegState:
        """The state of a training batch, the head's two readings included."""
        generator = self.draws.generator()
        pair = self._pair(image, generator)
        once = pair.images[0] is pair.images[1]
        state = self._train_state(pair.images[0] if once else torch.cat(pair.images), generator)
        if self.stage == "superpixel":
            return state
        x = self._head_input(state)
        inputs = (x, x) if once else x.chunk(2)
        readings = []
        for number, (half, order) in enumerate(zip(inputs, self.draws.orders(), strict=True)):
            view = self.decode_head(half, order)
            readings.append(View(pair.align(number, view.probability), view.reconstruction))
        state.views, state.view_images = (readings[0], readings[1]), pair.images
        return state

    def _pair(self, image: Tensor, generator: torch.Generator) -> ViewPair:
        if self.views is None:
            return ViewPair((image, image), ((0, 0), (0, 0)))
        return self.views(image, generator)

    def _train_state(self, image: Tensor, generator: torch.Generator) -> SegState:
        shift = None
        if self.roll_coordinates:
            shift = torch.randint(max(image.shape[2:]), (len(image), 2), generator=generator)
        if self.stage == "superpixel":
            return SegState(image, self._superpixels(image, shift))
        return self.describe(image, shift)
