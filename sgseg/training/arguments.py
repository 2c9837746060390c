"""What the classes that a config names take, and what is left of one when another replaces it."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Collection, Mapping, Sequence
from difflib import get_close_matches
from typing import Any

from mmengine.hooks import CheckpointHook
from mmengine.logging import print_log
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

from .. import registry

_BUILDERS_OWN: dict[str, tuple[int, tuple[str, ...]]] = dict(
    custom_hooks=(2, ("priority",)),
    default_hooks=(2, ("priority",)),
    param_scheduler=(2, ("convert_to_iter_based",)),
    optim_wrapper=(1, ("constructor", "paramwise_cfg")),
)
"""Part of a config -> depth of what is built there, keys that mmengine takes out before."""
REGISTRIES: tuple[Registry, ...] = (
    *(registry.MODELS, registry.DATASETS, registry.TRANSFORMS, registry.METRICS, registry.HOOKS),
    *(registry.LOOPS, registry.OPTIM_WRAPPERS, registry.DATA_SAMPLERS, DATA_SAMPLERS),
    *(OPTIMIZERS, PARAM_SCHEDULERS, VISUALIZERS, VISBACKENDS, registry.LOG_PROCESSORS, FUNCTIONS),
    *(registry.OPTIM_WRAPPER_CONSTRUCTORS, MODEL_WRAPPERS),
)
"""All that a config can name a class of."""


def known_arguments(place: str, kind: Any) -> frozenset[str] | None:
    """Keys that a part of a config may have.

    Args:
        place: dotted, of the part.
        kind: its ``type``, a class or a name.

    Returns:
        None if the class is unknown or takes any.
    """
    known = _arguments(kind)
    depth, own = _BUILDERS_OWN.get(place.split(".")[0], (0, ()))
    if known is None:
        return None
    return known.union(own if place.count(".") < depth else (), ("type",))


def drop_leftovers(
    config: Mapping[str, Any], before: Mapping[str, Any], given: Collection[str]
) -> None:
    """Drop what an override of a ``type`` leaves of the old one and the new one does not take.

    Args:
        config: with the overrides, changed in place.
        before: without them.
        given: dotted keys of the overrides; they are never dropped.

    Raises:
        ValueError: where a whole part of the old type has no place in the new one, or no class
            has that name.
    """
    for key in given:
        place, _, last = key.rpartition(".")
        old, new = value_at(before, place), value_at(config, place)
        if last != "type" or not isinstance(old, Mapping) or not isinstance(new, Mapping):
            continue
        if find(old.get("type")) is not None and find(new["type"]) is None:
            raise ValueError(f"--cfg-options {key}={new['type']}: {_nearest(old, new['type'])}")
        known = known_arguments(place, new["type"])
        if known is None or find(old.get("type")) is find(new["type"]):
            continue
        left = [name for name in old if name in new and name not in known]
        left = [name for name in left if not any(_inside(f"{place}.{name}", g) for g in given)]
        _drop(place, old, new, left)


def find(kind: Any) -> Any:
    """The class or function of a ``type``; None for an unknown name."""
    if not isinstance(kind, str):
        return kind
    found = (each.get(kind) for each in REGISTRIES)
    return next((each for each in found if each is not None), None)


def value_at(config: Mapping[str, Any], place: str) -> Any:
    """The part of a config at a dotted place; None without one."""
    node: Any = config
    for key in filter(None, place.split(".")):
        if isinstance(node, Mapping):
            node = node.get(key)
        elif isinstance(node, list) and key.isdigit() and int(key) < len(node):
            node = node[int(key)]
        else:
            return None
    return node


def _nearest(old: Mapping[str, Any], name: Any) -> str:
    """What to do about a name that no class has."""
    kind = find(old["type"])
    beside = [
        each
        for group in REGISTRIES
        if kind in group.module_dict.values()
        for each in group.module_dict
    ]
    near = get_close_matches(str(name), beside, 3, 0.5)
    advice = f"did you mean {' or '.join(near)}?" if near else f"for example {kind.__name__}"
    return f"no class of that name is registered (custom_imports.imports loads yours); {advice}"


def _drop(place: str, old: Mapping[str, Any], new: Any, left: Sequence[str]) -> None:
    if not left:
        return
    names = [getattr(find(each["type"]), "__name__", str(each["type"])) for each in (old, new)]
    parts = [name for name in left if isinstance(new[name], Mapping)]
    if parts:
        raise ValueError(
            f"--cfg-options {place}.type: {names[1]} takes no {', '.join(parts)}, which this "
            f"config has for {names[0]}; start from a config of {names[1]}"
        )
    for name in left:
        new.pop(name)
    print_log(
        f"{place}.type = {names[1]}: it takes no {', '.join(left)}, left out as settings of "
        f"{names[0]}",
        logger="current",
        level=logging.WARNING,
    )


def _inside(key: str, given: str) -> bool:
    return given == key or given.startswith(f"{key}.")


def _arguments(kind: Any) -> frozenset[str] | None:
    """Names of the arguments of a class or function; None if it is unknown or takes any."""
    built = find(kind)
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
