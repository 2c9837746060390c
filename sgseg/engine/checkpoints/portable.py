"""Store config, units and scale in a checkpoint, so that it can be used without other files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from mmengine.config import Config
from mmengine.runner import Runner

from ...io.units import Units
from .loading import plain

INSTALLED = ("sgseg", "mmengine", "mmcv", "torch", "torch_geometric")
"""Packages whose classes are there wherever sgseg is."""


def full_name(value: Any) -> str:
    """A class or function by its dotted name, anything else as text."""
    name = getattr(value, "__qualname__", None)
    return f"{value.__module__}.{name}" if name else str(value)


def config_as_data(config: Config) -> dict[str, Any]:
    """A resolved config as values that ``torch.load(weights_only=True)`` reads.

    Classes become their dotted names; modules of a user's own classes join ``custom_imports``, so
    that they are found again. Tuples, numbers as keys and infinities stay what they are.
    """
    given = config.to_dict()
    own = sorted({module for module in _modules(given) if module.split(".")[0] not in INSTALLED})
    data: dict[str, Any] = _data(plain(given))
    if own:
        imports = data.get("custom_imports") or {}
        listed = imports.get("imports") or []
        listed = [listed] if isinstance(listed, str) else list(listed)
        listed += [name for name in own if name not in listed]
        data["custom_imports"] = dict(imports, imports=listed)
    return data


def add_origin(runner: Runner, checkpoint: dict[str, Any]) -> None:
    """Put the config of a run, and units and scale of its training images, into a checkpoint."""
    checkpoint["config"] = config_as_data(runner.cfg)
    dataset = runner.train_dataloader.dataset
    units = getattr(dataset, "units", None) or Units()
    checkpoint["meta"]["units"] = units.as_dict()
    checkpoint["meta"]["scale"] = getattr(dataset, "scale", 1.0)


def _modules(value: Any) -> Iterator[str]:
    """Modules of the classes and functions in a config, those of ``type="module.Class"`` too."""
    if isinstance(value, Mapping):
        kind = value.get("type")  # text where the config was read from a file
        if isinstance(kind, str) and "." in kind:
            yield kind.rpartition(".")[0]
        value = list(value.values())
    if isinstance(value, (list, tuple)):
        for item in value:
            yield from _modules(item)
    elif hasattr(value, "__qualname__"):
        yield value.__module__


def _data(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _data(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(_data(item) for item in value)
    if value is None or type(value) in (str, bool, int, float):
        return value
    return full_name(value)
