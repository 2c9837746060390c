"""The config that a checkpoint carries, so that a model is used without the file it came from."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.logging import print_log
from mmengine.utils import get_object_from_string, import_modules_from_strings
from torch import nn

from ..engine.checkpoints.loading import load_checkpoint
from ..engine.checkpoints.portable import INSTALLED, config_as_data
from ..registry import MODELS, REGISTRIES, find
from .config import build_config, set_image_bands, set_num_classes
from .loaders import LOADERS

_OF_PREDICTION = ("model", "predict_side")
"""What label maps depend on, beside the weights."""
_BUILT_BY = ("type", "constructor")
"""Keys whose text mmengine turns into a class and calls."""


def saved_config(saved: Mapping[str, Any], path: str | Path = "checkpoint") -> Config:
    """The config that a checkpoint carries, its custom modules imported.

    The file decides which classes are built, so only those that are registered (or modules of
    torch) are taken: no other function is reached by a name in it. ``custom_imports`` names
    modules of this machine; they are imported as those of a config file are.

    Args:
        saved: from :func:`.load_checkpoint`.
        path: names it in errors.

    Raises:
        ValueError: without a config (older checkpoints), with a module that is missing, or with a
            class that is unknown.
    """
    if not isinstance(saved.get("config"), Mapping) or "model" not in saved["config"]:
        raise ValueError(
            f"{path}: carries no config (it is older than that): give the config it was trained "
            "with as well, CONFIG CHECKPOINT"
        )
    config = Config(dict(saved["config"]))
    listed = (config.get("custom_imports") or {}).get("imports") or []
    modules = [listed] if isinstance(listed, str) else list(listed)
    for module in modules:
        try:
            import_modules_from_strings(module)
        except ImportError as error:
            raise ValueError(
                f"{path}: needs the module {module!r} that it was trained with, which cannot be "
                f"imported here ({error}); put its folder into PYTHONPATH"
            ) from error
    for key, name in _built_names(config.to_dict()):
        if not _may_be_built(name, modules):
            raise ValueError(
                f"{path}: its config names {name!r} ({key}), which is no registered class here; "
                "install or import what it was trained with (custom_imports)"
            )
    config.update(load_from=None, resume=False, launcher="none")
    for key in ("model_wrapper_cfg", "work_dir"):  # of the processes and the run
        config.pop(key, None)
    return config


def config_for(
    checkpoint: str | Path,
    given: str | Path | Config | None = None,
    saved: Mapping[str, Any] | None = None,
    **overrides: Any,
) -> Config:
    """The config to use a checkpoint with.

    Where a config is given too, its data and evaluation are taken, and of its model what the
    checkpoint says: a difference is named in a warning. Overrides win over both.

    Args:
        checkpoint: its path.
        given: config file, or a config; needed only for checkpoints that carry none.
        saved: the loaded checkpoint, if it is at hand.
        **overrides: arguments of :func:`build_config`.

    Raises:
        ValueError: as :func:`saved_config` without ``given``; for a preset without it, or an
            override that this config has no place for.
    """
    saved = load_checkpoint(checkpoint) if saved is None else saved
    overrides = {"training": False, **overrides}
    own = saved_config(saved, checkpoint) if given is None or "config" in saved else None
    if given is None:
        if overrides.get("preset") is not None:
            raise ValueError(
                f"--preset {overrides['preset']}: {checkpoint} carries the sizes it was trained "
                "at; leave the preset out"
            )
        return build_config(own, **overrides)
    config = build_config(given, **overrides)
    if overrides.get("work_dir") is None:  # as in the config that a run dumps, a training's
        config.pop("work_dir", None)
    if own is not None:
        own = _with_model_overrides(own, overrides)
        if differing := sorted(_differences(_prediction(config), _prediction(own))):
            print_log(
                f"{checkpoint} was trained with another config than the one given; its own is "
                f"taken for {', '.join(differing)}",
                logger="current",
                level=logging.WARNING,
            )
        _take_model(config, own)
    return config


def trained_model(config: Config, saved: Mapping[str, Any], path: str | Path) -> nn.Module:
    """The model of a config with the weights of a checkpoint.

    Raises:
        ValueError: if the two do not fit.
    """
    model: nn.Module = MODELS.build(config.model)
    try:
        model.load_state_dict(saved["state_dict"])
    except RuntimeError as error:
        raise ValueError(
            f"{path} does not fit the model of this config (was it trained with other "
            f"--num-classes or another config?): {error}"
        ) from error
    return model


def _with_model_overrides(own: Config, overrides: Mapping[str, Any]) -> Config:
    """``own`` with those overrides that reach a model."""
    options = {
        key: value
        for key, value in (overrides.get("options") or {}).items()
        if key.split(".")[0] in (*_OF_PREDICTION, "custom_imports")
    }
    if overrides.get("bands") is not None:
        own.model.data_preprocessor.bands = overrides["bands"]
    classes = overrides.get("num_classes")
    return build_config(own, num_classes=classes, options=options, training=False)


def _prediction(config: Config) -> dict[str, Any]:
    data = config_as_data(config)
    return {key: data.get(key) for key in _OF_PREDICTION}


def _take_model(config: Config, own: Config) -> None:
    """Give ``config`` the model of ``own``, and the data and scores the sizes that follow."""
    for key in _OF_PREDICTION:
        config[key] = own.get(key)
    bands, clusters = own.model.data_preprocessor.bands, own.model.decode_head.num_classes
    datasets = [(config.get(name) or {}).get("dataset") for name in LOADERS]
    if any(dataset is not None and dataset.get("bands", bands) != bands for dataset in datasets):
        set_image_bands(config, bands)
    set_num_classes(config, clusters)


def _differences(given: Any, own: Any, place: str = "") -> Iterator[str]:
    """Dotted keys whose values differ; seeds do not count."""
    if isinstance(given, Mapping) and isinstance(own, Mapping):
        for key in given.keys() | own.keys():
            if key != "seed":
                inside = f"{place}.{key}" if place else str(key)
                yield from _differences(given.get(key), own.get(key), inside)
        return
    values = [find(v) if place.endswith("type") else v for v in (given, own)]
    given, own = (list(v) if isinstance(v, tuple) else v for v in values)
    if given != own:
        yield place


def _built_names(value: Any, place: str = "") -> Iterator[tuple[str, str]]:
    """Keys and texts by which mmengine would build something."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            inside = f"{place}.{key}" if place else str(key)
            if key in _BUILT_BY and isinstance(item, str):
                yield inside, item
            yield from _built_names(item, inside)
    elif isinstance(value, (list, tuple)):
        for number, item in enumerate(value):
            yield from _built_names(item, f"{place}.{number}")


def _may_be_built(name: str, custom: Sequence[str]) -> bool:
    """Whether a name is that of a registered class or function, or of a module of torch."""
    for registry in REGISTRIES:
        registry.import_from_location()
    if "." not in name:
        return any(name in registry.module_dict for registry in REGISTRIES)
    if name.split(".")[0] not in {*INSTALLED, *(module.split(".")[0] for module in custom)}:
        return False
    built = get_object_from_string(name)
    if inspect.isclass(built) and issubclass(built, nn.Module):
        return True
    return any(built is each for known in REGISTRIES for each in known.module_dict.values())
