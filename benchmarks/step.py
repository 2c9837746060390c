"""A whole training step: seconds, arithmetic, where the time goes, and its memory at any batch.

The step is the runner's own, ``model.train_step``: normalisation, forward, backward, optimiser, in
stage ``joint`` on random images.

- ``GFLOP/s`` counts convolutions and matrix products alone; ``of product`` is its ratio to one
  large matrix product of the same type in the same run.
- ``in conv %`` is the wall time of a step inside kernels of convolutions and matrix products,
  forward and backward, by ``torch.profiler`` (self time of the operations in ``PRODUCTS``);
  everything else is the rest, Python included.
- Memory is counted on fake tensors, exact and without the memory: ``peak`` is the most that tensors
  of one forward and backward pass take at a time, gradients included; ``total`` adds weights and
  Adam's two moments.
"""

from __future__ import annotations

import time
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import torch
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.optim import OptimWrapper, build_optim_wrapper
from torch import Tensor, nn
from torch.profiler import ProfilerActivity, profile

from sgseg.cost.measure import (
    GIGA,
    as_fake,
    flops,
    matrix_product_rate,
    peak_bytes,
    saved_bytes,
    seconds,
    synchronise,
)
from sgseg.cost.result import Goal, Result, Row
from sgseg.cost.workload import countable, demand_sgseg, losses, noise, uses_amp
from sgseg.registry import MODELS
from sgseg.training import build_config

PRODUCTS = frozenset(
    f"aten::{name}"
    for name in [
        "mkldnn_convolution",
        "convolution_backward",
        "convolution_overrideable",
        "cudnn_convolution",
        "_slow_conv2d_forward",
        "_slow_conv2d_backward",
        "thnn_conv2d",
        "_conv_depthwise2d",
        "mm",
        "addmm",
        "bmm",
        "baddbmm",
        "addbmm",
        "mkldnn_linear",
    ]
)
CHECKPOINTS = {"none": (False, False), "backbone": (True, False), "both": (True, True)}
FORMATS = {"contiguous": torch.contiguous_format, "channels_last": torch.channels_last}


def add_arguments(parser: ArgumentParser) -> None:
    """Arguments of ``tools/benchmark.py step``."""
    parser.add_argument(
        "--config", default="configs/sgseg/sgseg_diffgcn_coco15.py", help="config file"
    )
    parser.add_argument("--batch", type=int, default=1, help="images of a timed step")
    parser.add_argument("--memory-batch", type=int, default=64, help="images of a counted step")
    parser.add_argument("--side", type=int, default=128, help="height and width in pixels")
    parser.add_argument(
        "--amp", choices=["off", "on", "both"], default="both", help="bfloat16 autocast on a CPU"
    )
    parser.add_argument(
        "--checkpoint", choices=CHECKPOINTS, help="parts to recompute; default: as the config says"
    )
    parser.add_argument("--repeats", type=int, default=3, help="timed turns; the median counts")
    parser.add_argument("--memory-only", action="store_true", help="count, time nothing")


def run(args: Namespace) -> Result:
    """Count memory at ``memory_batch``, time steps at ``batch``."""
    amps = {"off": [False], "on": [True], "both": [False, True]}[args.amp]
    figures: dict[str, float | str] = {}
    for amp in amps:
        found = memory(_config(args, amp), args.memory_batch, args.side)
        figures |= {f"{key}, GB, {_type(amp)}": value for key, value in found.items()}
    rows = [] if args.memory_only else _timed(args, amps, figures)
    title = f"{args.config}, {args.batch} x {args.side}^2 timed, {args.memory_batch} counted"
    return Result(title, rows, figures, list(_goals(rows, figures, args.memory_batch)))


def _goals(rows: list[Row], figures: dict[str, float | str], batch: int) -> Iterator[Goal]:
    """Time inside products in the fastest setting, and the memory of the paper's card."""
    if rows:
        fastest = min(rows, key=lambda row: row.values["s/step"])
        share = fastest.values["in conv %"]
        yield Goal(f"step, {fastest.name}, % of time inside products", share, ">=", 85.0)
    key = "total, GB, bfloat16"
    if key in figures:
        yield Goal(f"step, batch {batch}, bfloat16, GB", float(figures[key]), "<=", 24.0)


def memory(config: Config, batch: int, side: int) -> dict[str, float]:
    """GB of one training step in stage ``joint``, counted on fake tensors.

    ``without losses`` is the peak when every output only has its mean taken.
    """
    found, amp = {}, uses_amp(config)
    for name, forward in (("peak", losses), ("peak without losses", _bare)):
        model = countable(config.model)
        weights = 4 * sum(parameter.numel() for parameter in model.parameters())
        with as_fake(model):
            call = partial(forward, model, noise(config, batch, (side, side)), "joint", amp)
            found[name] = peak_bytes(lambda c=call: c().backward()) / GIGA
            if forward is losses:
                found["kept for backward"] = saved_bytes(call)[0] / GIGA
                found["total"] = found["peak"] + 3 * weights / GIGA
    return found


def _bare(model: Any, images: Tensor, stage: str, amp: bool) -> Tensor:
    model.stage = stage
    data = model.data_preprocessor(dict(inputs=images), True)
    with torch.autocast(images.device.type, torch.bfloat16, enabled=amp):
        state = model.read_twice(data["inputs"])
    outputs = [t for view in state.views for t in view]
    if state.superpixels is not None:
        assignment = state.superpixels.assignment
        outputs += [getattr(assignment, "weight", assignment), state.superpixels.reconstruction]
    return sum((out.mean() for out in outputs), start=data["inputs"].new_zeros(()))


def _config(args: Namespace, amp: bool) -> Config:
    config = build_config(args.config, amp=amp)
    demand_sgseg(config)
    if args.checkpoint:
        backbone, head = CHECKPOINTS[args.checkpoint]
        config.model.decode_head.checkpoint = head
        if config.model.get("backbone"):
            config.model.backbone.checkpoint = backbone
    return config


def _timed(args: Namespace, amps: list[bool], figures: dict[str, float | str]) -> list[Row]:
    steps: dict[str, Callable[[], None]] = {}
    for amp in amps:
        for layout in FORMATS:
            steps[f"{_type(amp)}, {layout}"] = _step(args, amp, layout)
    work = flops(next(iter(steps.values())))
    figures["GFLOP of a step"] = work / GIGA
    taken = seconds(steps, args.repeats, warm=1)
    rates = {_type(amp): matrix_product_rate(_dtype(amp), device=get_device()) for amp in amps}
    figures |= {f"matrix product, {name}, GFLOP/s": rate / GIGA for name, rate in rates.items()}
    rows = []
    for name, step in steps.items():
        rate = work / taken[name]
        values = {
            "s/step": taken[name],
            "s/image": taken[name] / args.batch,
            "GFLOP/s": rate / GIGA,
            "of product": rate / rates[name.split(",")[0]],
            "in conv %": 100 * share_in_products(step),
        }
        rows.append(Row(name, values))
    return rows


def _step(args: Namespace, amp: bool, layout: str) -> Callable[[], None]:
    """A real training step: model, data and optimiser as the runner has them."""
    torch.manual_seed(0)
    config = _config(args, amp)
    model: Any = MODELS.build(config.model).train().to(get_device())
    model = model.to(memory_format=FORMATS[layout])
    wrapper: OptimWrapper = build_optim_wrapper(model, config.optim_wrapper)
    bands = model.data_preprocessor.bands
    size = (args.batch, bands, args.side, args.side)
    data = dict(inputs=torch.randint(0, 256, size, dtype=torch.uint8))
    return partial(_train, model, data, wrapper)


def _train(model: nn.Module, data: dict[str, Tensor], wrapper: OptimWrapper) -> None:
    model.train_step(data, wrapper)


def share_in_products(step: Callable[[], Any]) -> float:
    """Share of a step's wall time inside convolutions and matrix products, 0 to 1.

    On a GPU: the time of the kernels that these operations launched.
    """
    on_gpu = torch.cuda.is_available()
    activities = [ProfilerActivity.CPU] + [ProfilerActivity.CUDA] * on_gpu
    with profile(activities=activities) as found:
        started = time.perf_counter()
        step()
        synchronise()
        wall = time.perf_counter() - started
    kind = "self_device_time_total" if on_gpu else "self_cpu_time_total"
    inside = sum(getattr(e, kind) for e in found.key_averages() if e.key in PRODUCTS)
    return inside / 1e6 / wall


def _dtype(amp: bool) -> torch.dtype:
    return torch.bfloat16 if amp else torch.float32


def _type(amp: bool) -> str:
    return "bfloat16" if amp else "float32"
