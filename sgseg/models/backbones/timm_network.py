"""Networks of timm by name, with weights of a local file, of timm's hub if asked for, or random."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

NO_WEIGHTS = (
    "{name}: no weights are given, and none are fetched unasked: set weights to a file of this "
    "network's weights (.safetensors or .pth; docs/guide/features.md says where they are), or "
    "pretrained=True to let timm download them"
)


def import_timm() -> Any:
    """The package timm, which takes seconds to import.

    Raises:
        RuntimeError: if it is missing, or the torchvision that it imports fits no torch here.
    """
    try:
        import timm
    except ImportError as error:
        raise RuntimeError(
            f'Frozen features need timm ({error}): pip install "sgseg[features]"'
        ) from error
    except RuntimeError as error:
        raise RuntimeError(
            f"timm cannot be imported, for the torchvision here was built for another torch than "
            f"{torch.__version__} ({error}): install the torchvision that belongs to it, from "
            "where torch came from"
        ) from error
    return timm


def timm_network(
    name: str,
    weights: str | Path | None = None,
    pretrained: bool = False,
    model_args: Mapping[str, Any] | None = None,
) -> nn.Module:
    """A network of timm without its classifier, in evaluation mode, not trainable.

    Nothing is drawn from torch's global random state. On torch's device ``meta`` no weights are
    read.

    Args:
        name: as timm names it, ``vit_small_patch14_dinov2.lvd142m``.
        weights: a ``.safetensors`` or ``.pth`` file, read without running code in it, in timm's
            names or, where timm knows them, the authors' own; ``random`` for tests.
        pretrained: let timm fetch the weights, once, into the cache of its hub.
        model_args: further arguments of the network in timm, ``dict(img_size=64)``.

    Raises:
        RuntimeError: without timm, or if it cannot fetch the weights.
        ValueError: for an unknown name, no weights, or weights that do not fit.
        FileNotFoundError: for a missing file.
    """
    if pretrained and weights is not None:
        raise ValueError(f"{name}: weights = {weights} and pretrained=True; set one of them")
    if weights is None and not pretrained:
        raise ValueError(NO_WEIGHTS.format(name=name))
    timm = import_timm()
    if not timm.is_model(name):
        near = get_close_matches(name, timm.list_models() + timm.list_pretrained(), 3)
        hint = f"; near it are {', '.join(near)}" if near else ""
        raise ValueError(f"{name}: timm {timm.__version__} has no such network{hint}")
    arguments = dict(model_args or {})
    if weights == "random" or torch.get_default_device().type == "meta":
        return _build(timm, name, arguments)
    if pretrained:
        try:
            return _build(timm, name, arguments, pretrained=True)
        except Exception as error:  # of the hub, the network and timm
            raise RuntimeError(
                f"{name}: timm could not fetch its weights ({_first_line(error)}): download the "
                "file yourself (docs/guide/features.md) and set weights to it"
            ) from error
    path = Path(str(weights))
    if not path.is_file():
        raise FileNotFoundError(
            f"{name}: weights = {path}: no such file; set weights to where it lies now"
        )
    drawn = _build(timm, name, arguments)
    try:
        overlay = dict(file=str(path))
        network = _build(timm, name, arguments, pretrained=True, pretrained_cfg_overlay=overlay)
    except Exception as error:  # of torch, pickle, safetensors and timm
        raise ValueError(f"{name}: weights = {path} do not fit: {_first_line(error)}") from error
    _demand_read(network, drawn, name, path)
    return network


def _build(timm: Any, name: str, arguments: Mapping[str, Any], **source: Any) -> nn.Module:
    """The network, for images of any size where it has an option for that."""
    for sizes in (dict(dynamic_img_size=True), dict(strict_img_size=False), {}):
        try:
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(0)
                given = {"pretrained": False, "num_classes": 0, **sizes, **source, **arguments}
                network: nn.Module = timm.create_model(name, **given)
        except TypeError:  # an argument that it does not take
            if not sizes:
                raise
            continue
        return network.eval().requires_grad_(False)
    raise AssertionError  # the last try returns or raises


def _demand_read(network: nn.Module, drawn: nn.Module, name: str, path: Path) -> None:
    """ValueError for parameters that are as they were drawn: timm passes over what a file lacks."""
    before = dict(drawn.named_parameters())
    left = [
        key
        for key, value in network.named_parameters()
        if _is_random(before[key]) and torch.equal(value, before[key])
    ]
    if left:
        raise ValueError(
            f"{name}: weights = {path} lack {len(left)} of its parameters, {left[0]} first: is it "
            "a file of this network?"
        )


def _is_random(value: Tensor) -> bool:
    """Whether a parameter was drawn, not set to a constant."""
    return value.numel() > 1 and bool((value != value.flatten()[0]).any())


def _first_line(error: Exception) -> str:
    """The beginning of what an error says."""
    return " ".join(str(error).split())[:300]
