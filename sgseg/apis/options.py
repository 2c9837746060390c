"""Overrides of a config from the command line: each takes effect, or is refused by name."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Any

import torch
from mmengine.config import Config
from mmengine.hooks import CheckpointHook
from mmengine.registry import (
    DATA_SAMPLERS,
    FUNCTIONS,
    MODEL_WRAPPERS,
    OPTIMIZERS,
    PARAM_SCHEDULERS,
    VISBACKENDS,
    VISUALIZERS,
    Registry,
)
from mmengine.runner import Runner
from mmengine.utils import import_modules_from_strings

from .. import registry
from .sizes import type_name

_HOOK_NAMES = dict(
    stage_hook="TrainingStageHook",
    turns_hook="AlternatingStageHook",
    statistics_hook="SetStatisticsHook",
    clustering_hook="ClusterFeaturesHook",
)
"""Names of hooks in the config files -> their classes."""
RATES = ("optim_wrapper", "paramwise_cfg", "lr")
_OWN_KEYS = (
    *("custom_imports", "find_unused_parameters", "model_wrapper_cfg", "predict_side", "sync_bn"),
    *("compile", "preset_reference", "total_batch_size"),
)
_RUNNER_KEYS = frozenset({*inspect.signature(Runner.__init__).parameters, *_OWN_KEYS})
_LOADER_KEYS = frozenset(inspect.signature(torch.utils.data.DataLoader.__init__).parameters)
_MORE_LOADER_KEYS = frozenset({"num_batch_per_epoch", "disable_subprocess_warning"})
_KEYS_OF: dict[str, frozenset[str]] = {
    **dict.fromkeys(
        ("train_dataloader", "val_dataloader", "test_dataloader"), _LOADER_KEYS | _MORE_LOADER_KEYS
    ),
    "randomness": frozenset({"seed", "deterministic", "diff_rank_seed"}),
    "env_cfg": frozenset({"cudnn_benchmark", "mp_cfg", "dist_cfg", "resource_limit"}),
    "env_cfg.mp_cfg": frozenset({"mp_start_method", "opencv_num_threads"}),
    "custom_imports": frozenset({"imports", "allow_failed_imports"}),
    "auto_scale_lr": frozenset({"enable", "base_batch_size"}),
}
"""Keys of the parts of a config that name no class."""
_BUILDERS_OWN: dict[str, tuple[str, ...]] = dict(
    custom_hooks=("priority",),
    default_hooks=("priority",),
    param_scheduler=("convert_to_iter_based",),
    optim_wrapper=("constructor", "paramwise_cfg"),
)
"""Part of a config -> keys that mmengine takes out before it builds."""
REGISTRIES: tuple[Registry, ...] = (
    *(registry.MODELS, registry.DATASETS, registry.TRANSFORMS, registry.METRICS, registry.HOOKS),
    *(registry.LOOPS, registry.OPTIM_WRAPPERS, registry.DATA_SAMPLERS, DATA_SAMPLERS),
    *(OPTIMIZERS, PARAM_SCHEDULERS, VISUALIZERS, VISBACKENDS, registry.LOG_PROCESSORS, FUNCTIONS),
    *(registry.OPTIM_WRAPPER_CONSTRUCTORS, MODEL_WRAPPERS),
)
"""All that a config can name a class of."""


def merge_options(config: Config, options: Mapping[str, Any]) -> None:
    """Set ``a.b.c=value`` overrides in a config.

    Hooks of ``custom_hooks`` are reached by their class, ``PictureHook.count=9``, or by their name
    in the config files, ``stage_hook.stages=...``; rates by ``learning_rates.neck=...``.

    Args:
        config: changed in place.
        options: dotted key -> value.

    Raises:
        ValueError: for a key that nothing reads, with the nearest one that something does; for one
            set twice, or inside a part that this config leaves out.
    """
    aliases = _aliases(config)
    routed: dict[str, tuple[str, Any]] = {}
    for given, value in options.items():
        head, _, rest = given.partition(".")
        key = ".".join((*aliases[head], rest)) if rest and head in aliases else given
        if key in routed:
            raise ValueError(f"--cfg-options: {routed[key][0]} and {given} are one key: set one")
        routed[key] = given, value
        _demand_place(given, key.split("."), dict(config.items()))
    before = Config(config.to_dict())
    try:
        config.merge_from_dict({key: value for key, (_, value) in routed.items()})
    except (AttributeError, KeyError, IndexError, TypeError) as error:
        raise ValueError(
            f"--cfg-options: {dict(options)}: one of these sets a key inside a value that holds "
            f"none ({error})"
        ) from error
    if config.get("custom_imports"):  # mmengine looks at those of the file, not of the options
        import_modules_from_strings(**config.custom_imports)
    for key, (given, _) in routed.items():
        fault = _fault(key.split("."), dict(config.items()), dict(before.items()))
        if fault is not None:
            _refuse(given, key, *fault, sorted(aliases))


def _demand_place(given: str, path: Sequence[str], config: Mapping[str, Any]) -> None:
    """ValueError for a key inside a part that is None."""
    node: Any = config
    for depth, key in enumerate(path[:-1], 1):
        if not isinstance(node, Mapping) or key not in node:
            return
        node = node[key]
        if node is None:
            place = ".".join(path[:depth])
            why = (
                " (nothing is scored without labels/)" if key.startswith(("val_", "test_")) else ""
            )
            raise ValueError(
                f"--cfg-options {given}: this config has no {place}{why}; leave the option out, or "
                f"set {place} as a whole"
            )


def check_names(config: Config) -> None:
    """ValueError for a top-level name of a config file that is one of ours but for a slip.

    Other names are variables of the file, and nobody's business.
    """
    for name in config:
        near = get_close_matches(str(name), _RUNNER_KEYS, 1, 0.85)
        if name not in _RUNNER_KEYS and near and near[0] not in config:
            raise ValueError(
                f"{config.filename}: `{name}` is no key that anything reads; the nearest is "
                f"`{near[0]}`. Rename it"
            )


def drop_aliases(config: Config) -> None:
    """Take a file's second names of hooks and rates out: what a run dumps has each once."""
    for name in (*_HOOK_NAMES, "learning_rates"):
        config.pop(name, None)


def _aliases(config: Config) -> dict[str, tuple[str, ...]]:
    """Names by which overrides reach a hook of ``custom_hooks`` or the rates -> their place."""
    kinds = [type_name(hook) for hook in config.get("custom_hooks") or []]
    found: dict[str, tuple[str, ...]]
    found = {kind: ("custom_hooks", str(place)) for place, kind in enumerate(kinds)}
    found |= {name: found[kind] for name, kind in _HOOK_NAMES.items() if kind in found}
    if isinstance(((config.get("optim_wrapper") or {}).get("paramwise_cfg") or {}).get("lr"), dict):
        found["learning_rates"] = RATES
    return found


def _fault(
    path: Sequence[str], config: Mapping[str, Any], before: Mapping[str, Any]
) -> tuple[int, frozenset[str]] | None:
    """Place in ``path`` of a key that nothing reads, and what is read there; None without one.

    Args:
        path: the parts of a dotted key.
        config: with all overrides set.
        before: without them.
    """
    node: Any = config
    old: Any = before
    for depth, key in enumerate(path):
        if isinstance(node, Mapping):
            known = _known(".".join(path[:depth]), node, old, config)
            if known is not None and key not in known:
                return depth, known
            node = node.get(key)
            old = old.get(key) if isinstance(old, Mapping) else None
        elif isinstance(node, Sequence) and not isinstance(node, str) and key.isdigit():
            node = node[int(key)]
            inside = isinstance(old, Sequence) and int(key) < len(old)
            old = old[int(key)] if inside else None
        else:
            break
    return None


def _known(place: str, node: Any, old: Any, config: Config) -> frozenset[str] | None:
    """Keys of a part of a config that something reads; None where all are free."""
    if not place:
        return _RUNNER_KEYS
    if place in _KEYS_OF:
        return _KEYS_OF[place]
    if place == ".".join(RATES):
        parts = {k for k, v in config["model"].items() if isinstance(v, Mapping)}
        return frozenset({*(old or ()), *parts})
    if "type" in node:
        known = _arguments(node["type"])
        own = _BUILDERS_OWN.get(place.split(".")[0], ())
        return None if known is None else known.union(own, ("type",))
    if isinstance(old, Mapping) and old and place in ("default_hooks", "model.losses"):
        # A collection of named parts: a new one brings its own type.
        added = (
            k for k, v in node.items() if v is None or (isinstance(v, Mapping) and "type" in v)
        )
        return frozenset({*old, *added})
    return None


def _arguments(kind: Any) -> frozenset[str] | None:
    """Names of the arguments of a class or function; None if it is unknown or takes any."""
    built = _find(kind) if isinstance(kind, str) else kind
    if built is None:
        return None
    whole = inspect.isclass(built) and issubclass(built, CheckpointHook)
    names: set[str] = set()
    layers = inspect.getmro(built) if inspect.isclass(built) else (built,)
    for layer in layers:
        call = layer.__init__ if inspect.isclass(layer) else layer
        if inspect.isclass(layer) and "__init__" not in vars(layer):
            continue
        try:
            parameters = inspect.signature(call).parameters.values()
        except (TypeError, ValueError):
            return None
        names |= {p.name for p in parameters if p.kind in (p.KEYWORD_ONLY, p.POSITIONAL_OR_KEYWORD)}
        # The rest that CheckpointHook takes goes to a call that knows no other.
        closed = all(p.kind is not p.VAR_KEYWORD for p in parameters)
        if closed or (whole and layer is CheckpointHook):
            return frozenset(names - {"self"})
    return None


def _find(name: str) -> Any:
    for each in REGISTRIES:
        found = each.get(name)
        if found is not None:
            return found
    return None


def _refuse(
    given: str, key: str, depth: int, known: frozenset[str], aliases: Sequence[str]
) -> None:
    path, said = key.split("."), given.split(".")
    names = {*known, *(aliases if not depth else ())}
    near = get_close_matches(path[depth], sorted(names), 1, 0.5)
    at = depth - len(path) + len(said)  # an alias stands for several parts
    nearest = ".".join([*said[:at], *near, *said[at + 1 :]])
    advice = f"did you mean {nearest}?" if near else f"it has {', '.join(sorted(known)[:12])}"
    raise ValueError(
        f"--cfg-options {given}: {'.'.join(said[:at]) or 'the config'} has no key {said[at]!r} "
        f"that anything reads; {advice}"
    )
