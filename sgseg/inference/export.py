"""A trained model as one ONNX file: preprocessing, weights and class names in it.

The graph takes ``image`` (B, C, H, W) float32 in [0, 1] (bytes divided by 255) and gives
``probability`` (B, K, H, W). For a model that standardises each image, two optional inputs
``mean`` and ``deviation`` (1, C, 1, 1) replace the image's own statistics, for windows of it.
"""

from __future__ import annotations

import json
import logging
import os
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .. import __version__
from ..datasets import TextureMosaic
from ..io.rows import ArrayRows
from .images import ImageLike
from .network import TorchNetwork
from .runtime import ABOUT
from .segmenter import Segmenter
from .splits import SplitNetwork

LABELS_AGREE, LARGEST_DIFFERENCE = 0.9999, 1e-4
"""What an export has to reach: share of pixels with equal labels, difference of probability."""


class Agreement(NamedTuple):
    """How two ways of computing the same probabilities compare."""

    labels: float
    """Share of pixels with equal labels."""
    difference: float
    """Largest absolute difference of a probability."""
    images: int

    @property
    def enough(self) -> bool:
        """Whether an export may be used."""
        return self.labels >= LABELS_AGREE and self.difference <= LARGEST_DIFFERENCE

    def __str__(self) -> str:
        return (
            f"labels agree on {100 * self.labels:.4f} % of pixels, probabilities to "
            f"{self.difference:.1e}, over {self.images} images"
        )


def export_onnx(
    segmenter: Segmenter,
    out: str | Path,
    images: Iterable[ImageLike],
    size: tuple[int, int] | None = None,
    opset: int | None = None,
) -> Agreement:
    """Export, compare with torch, and keep the file only if both agree.

    Args:
        segmenter: on the CPU, in float32, not compiled.
        out: file to write.
        images: to compare on, as :class:`Segmenter` takes them, resized to the segmenter's side.
        size: height and width that the graph is fixed to; default any.
        opset: ONNX's version of its operators; default the one torch prefers.

    Raises:
        ValueError: if the two do not agree, with both figures, if ``images`` is empty, or for a
            model with a part that ONNX does not know.
        RuntimeError: without the packages of ``sgseg[export]``.
    """
    network = segmenter.network
    if isinstance(network, SplitNetwork):
        raise ValueError(
            "export: a split cluster stays with the checkpoint, for ONNX gives no features; give "
            "its parts one name (--names), or segment with the checkpoint"
        )
    if not isinstance(network, TorchNetwork) or network.half or network.device.type != "cpu":
        raise ValueError("export: give a Segmenter of a checkpoint, on the CPU and in float32")
    about = dict(
        bands=segmenter.bands,
        classes=segmenter.classes,
        mapping=segmenter.mapping.tolist(),
        named=segmenter.named,
        units=segmenter.units.as_dict(),
        side=segmenter.side,
        scale=segmenter.size.trained,
        size=size,
        standardise=network.model.data_preprocessor.standardise,
        input="float32 in [0, 1], bands as in training",
        sgseg=__version__,
    )
    out = Path(out)
    out.parent.mkdir(parents=True, exist_ok=True)
    part = out.with_name(f"{out.name}.part")
    try:
        _write(network, part, size, opset, about)
        exported = Segmenter.from_onnx(part, tile=0)
        agreement = compare(segmenter, exported, images, size)
        if not agreement.enough:
            raise ValueError(
                f"{out}: the exported model differs, {agreement}; wanted are "
                f"{100 * LABELS_AGREE} % and {LARGEST_DIFFERENCE:.0e}. Nothing was written"
            )
        os.replace(part, out)
    finally:
        part.unlink(missing_ok=True)
    return agreement


def compare(
    first: Segmenter,
    second: Segmenter,
    images: Iterable[ImageLike],
    size: tuple[int, int] | None = None,
) -> Agreement:
    """Probabilities and labels of two segmenters, image by image.

    ``size`` replaces the working size of ``first``, at which both see the images.
    """
    equal, pixels, difference, count = 0, 0, 0.0, 0
    for image in images:
        inputs = first.inputs(first.open(image))  # (1, C, h, w)
        if size is not None:
            inputs = F.interpolate(inputs, size, mode="bilinear", antialias=True)
        a, b = first.network(inputs).cpu(), second.network(inputs).cpu()  # (1, K, h, w)
        equal += int((a.argmax(1) == b.argmax(1)).sum())
        pixels += a[:, 0].numel()
        difference = max(difference, float((a - b).abs().max()))
        count += 1
    if not count:
        raise ValueError("compare: no image to compare on")
    return Agreement(equal / pixels, difference, count)


class ExportedModel(nn.Module):
    """Preprocessing and model as the graph that is traced.

    Shapes: image (B, C, H, W) in [0, 1], mean and deviation (1, C, 1, 1), nan: the image's own;
    output (B, K, H, W).
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(
        self, image: Tensor, mean: Tensor | None = None, deviation: Tensor | None = None
    ) -> Tensor:
        """Class probabilities."""
        statistics = None
        if mean is not None and deviation is not None:
            own_deviation, own_mean = torch.std_mean(image, (2, 3), keepdim=True, correction=0)
            statistics = (
                torch.where(mean.isnan(), own_mean, mean),
                torch.where(deviation.isnan(), own_deviation, deviation),
            )
        return self.model.probability(self.model.data_preprocessor.normalise(image, statistics))


def _write(
    network: TorchNetwork,
    path: Path,
    size: tuple[int, int] | None,
    opset: int | None,
    about: dict[str, Any],
) -> None:
    try:
        import onnx
        import onnxscript
    except ImportError as error:
        raise RuntimeError('Exporting needs onnx: pip install "sgseg[export]"') from error
    names, unknown = ["image"], torch.full((1, network.bands, 1, 1), torch.nan)
    # Two images, and sides that differ: a dimension of the example that is one, or equal to
    # another, may be taken for a constant.
    example: tuple[Tensor, ...] = (torch.rand(2, network.bands, *(size or (48, 64))),)
    any_size = torch.export.Dim.DYNAMIC
    free: list[dict[int, Any]] = [{0: any_size} if size else dict.fromkeys((0, 2, 3), any_size)]
    if network.standardises:
        names += ["mean", "deviation"]
        example, free = (*example, unknown, unknown.clone()), [*free, {}, {}]
    try:
        with _quietly(), torch.no_grad():
            program = torch.onnx.export(
                ExportedModel(network.model).eval(),
                example,
                input_names=names,
                output_names=["probability"],
                opset_version=opset,
                dynamo=True,
                dynamic_shapes=tuple(free),
                custom_translation_table=_translations(onnxscript.opset18),
                # Its patterns take more than ten minutes over the 8,000 nodes of superpixels that
                # are joined; ONNX Runtime optimises when it opens the file.
                optimize=False,
                verbose=False,
            )
    except torch.onnx.OnnxExporterError as error:
        raise ValueError(
            "export: this model has a part that ONNX cannot express, for example superpixels "
            f"computed outside torch (FixedSuperpixels); use its checkpoint. {error}"
        ) from error
    assert program is not None  # with dynamo=True
    proto = program.model_proto
    for name in names[1:]:  # an input with a value of its own may be left out
        proto.graph.initializer.append(onnx.numpy_helper.from_array(unknown.numpy(), name))
    for node in proto.graph.node:  # tracebacks of the tracing, with this machine's paths
        node.ClearField("metadata_props")
    onnx.helper.set_model_props(proto, {ABOUT: json.dumps(about)})
    onnx.save(proto, str(path))


def _translations(op: Any) -> dict[Any, Callable[..., Any]]:
    """What torch's exporter lacks (distances, stable sorts), or leaves too coarse (moments)."""

    def distances(a: Any, b: Any, p: float, compute_mode: int | None = None) -> Any:
        transposed = op.Transpose(b, perm=[0, 2, 1])  # (B, C, N)
        own = op.ReduceSumSquare(a, op.Constant(value_ints=[2]))  # (B, N, 1)
        other = op.ReduceSumSquare(transposed, op.Constant(value_ints=[1]))  # (B, 1, N)
        cross = op.MatMul(a, transposed)  # (B, N, N)
        square = op.Sub(op.Add(own, other), op.Add(cross, cross))
        return op.Sqrt(op.Relu(square))  # rounding may leave a little below zero

    def mean(x: Any, dim: Sequence[int]) -> Any:
        # ONNX Runtime adds one number after the other, in float32: over all pixels at once its
        # mean is wrong by 1e-5, and a neighbour in the graph becomes another.
        for axis in dim:
            x = op.ReduceMean(x, op.Constant(value_ints=[axis]), keepdims=1)
        return x

    def var_mean(
        x: Any, dim: Sequence[int], *, correction: float | None = None, keepdim: bool = False
    ) -> Any:
        average = mean(x, dim)
        centred = op.Sub(x, average)
        variance = mean(op.Mul(centred, centred), dim)
        if correction != 0:
            count = op.Cast(op.Div(op.Size(x), op.Size(average)), to=1)
            free = op.Sub(count, op.Constant(value_float=1.0 if correction is None else correction))
            variance = op.Div(op.Mul(variance, count), free)
        if keepdim:
            return variance, average
        axes = op.Constant(value_ints=list(dim))
        return op.Squeeze(variance, axes), op.Squeeze(average, axes)

    def sort(x: Any, *, stable: bool | None = None, dim: int = -1, descending: bool = False) -> Any:
        along = op.Slice(op.Shape(x), [dim], [dim + 1] if dim != -1 else [2**31])
        # Of equal values the first comes first: TopK is stable as it is.
        return op.TopK(x, along, axis=dim, largest=int(descending))

    aten = torch.ops.aten
    return {
        aten._cdist_forward.default: distances,
        aten.var_mean.correction: var_mean,
        aten.sort.stable: sort,
    }


@contextmanager
def _quietly() -> Iterator[None]:
    """Leave out the exporter's remarks on packages that are not needed."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "onnxscript", "onnx_ir")]
    levels = [logger.level for logger in loggers]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        try:
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)


def sample_images(bands: int, count: int = 20, size: int = 96) -> list[ArrayRows]:
    """Mosaics of real textures in [0, 1], for a comparison where no images are given."""
    mosaics = TextureMosaic(length=count, size=size, bands=bands)
    images = (mosaics.load(index)["img"] for index in range(count))
    # As rows in [0, 1], which a model of any units takes.
    return [ArrayRows(image / np.float32(255)) for image in images]
