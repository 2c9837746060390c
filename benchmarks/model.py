"""The parts of a model: seconds and arithmetic of inference, and of forward and backward.

Parts are measured on what the part before them gives, in turn, in one run. ``head alone`` is the
head on the bare image with its own two losses, the baseline of Table 11; ``whole`` is inference,
and the loss with its backward pass. GFLOP counts convolutions and matrix products; ``of product``
is their rate against one large matrix product of the same run.
"""

from __future__ import annotations

import copy
from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from mmengine.config import Config
from mmengine.device import get_device
from torch import Tensor

from sgseg.cost.measure import GIGA, flops, matrix_product_rate, seconds
from sgseg.cost.result import Result, Row
from sgseg.cost.workload import demand_sgseg
from sgseg.registry import MODELS
from sgseg.training import build_config

Output = Callable[[], Any]


def add_arguments(parser: ArgumentParser) -> None:
    """Arguments of ``tools/benchmark.py model``."""
    parser.add_argument(
        "--config", default="configs/sgseg/sgseg_diffgcn_coco15.py", help="config file"
    )
    parser.add_argument("--batch", type=int, default=1, help="images")
    parser.add_argument("--side", type=int, default=128, help="height and width in pixels")
    parser.add_argument("--repeats", type=int, default=3, help="timed turns; the median counts")


def run(args: Namespace) -> Result:
    """Measure every part, and the head alone against the whole."""
    torch.manual_seed(0)
    config = build_config(args.config)
    demand_sgseg(config)
    device = get_device()
    model: Any = MODELS.build(config.model).to(device)
    alone: Any = MODELS.build(head_alone(config)).to(device)
    bands = model.data_preprocessor.bands
    image = torch.randn(args.batch, bands, args.side, args.side, device=device)
    parts = _parts(model, alone, image)
    infer = seconds({name: partial(_quiet, out) for name, (out, _) in parts.items()}, args.repeats)
    train = {name: partial(_train, out) for name, (_, out) in parts.items()}
    learn = seconds(train, args.repeats, warm=1)
    rate = matrix_product_rate(device=device)
    rows = []
    for name, (out, _) in parts.items():
        work, work_back = flops(partial(_quiet, out)), flops(train[name])
        values = {
            "inference s": infer[name] / args.batch,
            "GFLOP": work / args.batch / GIGA,
            "of product": work / infer[name] / rate,
            "fwd+bwd s": learn[name] / args.batch,
            "GFLOP f+b": work_back / args.batch / GIGA,
            "of product f+b": work_back / learn[name] / rate,
        }
        rows.append(Row(name, values))
    figures: dict[str, float | str] = {
        "matrix product, GFLOP/s": rate / GIGA,
        "whole / head alone, inference": infer["whole"] / infer["head alone"],
        "whole / head alone, training": learn["whole"] / learn["head alone"],
    }
    return Result(f"{args.config}, {args.batch} x {args.side}^2, an image", rows, figures)


def head_alone(config: Config) -> dict[str, Any]:
    """The model's config without superpixels and graph: the head reads the image."""
    model = copy.deepcopy(config.model)
    own = ("mutual_information", "image_reconstruction")
    model.update(backbone=None, neck=None, fusion=None, roll_coordinates=False)
    model.decode_head.in_channels = model.data_preprocessor.bands
    model.losses = {name: model.losses[name] for name in own if name in model.losses}
    return model


def _parts(model: Any, alone: Any, image: Tensor) -> dict[str, tuple[Output, Output]]:
    """Part -> its call at inference, and in training; the part sets its own mode."""
    with torch.no_grad():
        state = model.eval().describe(image)
        x = model.head_input(state)
    given = {
        "backbone": (model.backbone, image, ()),
        "neck": (model.neck, state.nodes, ()),
        "head, order 0": (model.decode_head, x, (0,)),
        "head, order 1": (model.decode_head, x, (1,)),
    }
    parts: dict[str, tuple[Output, Output]] = {}
    for name, (module, tensor, options) in given.items():
        # The image needs no gradient, the tensors between the parts do.
        learning = tensor if tensor is image else tensor.clone().requires_grad_()
        parts[name] = (
            partial(_in_mode, module, False, partial(module, tensor, *options)),
            partial(_in_mode, module, True, partial(module, learning, *options)),
        )
    for name, whole in (("head alone", alone), ("whole", model)):
        parts[name] = (
            partial(_in_mode, whole, False, lambda m=whole: m.infer(image).probability),
            partial(_in_mode, whole, True, lambda m=whole: m.parse_losses(m.loss(image))[0]),
        )
    return parts


def _in_mode(module: Any, training: bool, call: Output) -> Any:
    module.train(training)
    return call()


def _quiet(call: Output) -> Any:
    with torch.no_grad():
        return call()


def _train(call: Output) -> None:
    out = call()
    outputs = [out] if isinstance(out, Tensor) else list(out)
    torch.autograd.backward([o.sum() for o in outputs if o.requires_grad])
