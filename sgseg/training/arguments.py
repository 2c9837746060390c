"""Arguments of the classes that a config names, and of one that another replaces."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping
from difflib import get_close_matches
from typing import Any

from mmengine.logging import print_log

from ..registry import REGISTRIES, arguments_of, find

_BUILDERS_OWN: dict[str, tuple[int, tuple[str, ...]]] = dict(
    custom_hooks=(2, ("priority",)),
    default_hooks=(2, ("priority",)),
    param_scheduler=(2, ("convert_to_iter_based",)),
    optim_wrapper=(1, ("constructor", "paramwise_cfg")),
)
"""Part of a config -> depth of what is built there, keys that mmengine takes out before."""


def known_arguments(place: str, kind: Any) -> frozenset[str] | None:
    """Keys that a part of a config may have.

    Args:
        place: dotted, of the part.
        kind: its ``type``, a class or a name.

    Returns:
        None if the class is unknown or takes any.
    """
    built = find(kind)
    known, others = (frozenset[str](), True) if built is None else arguments_of(built)
    depth, own = _BUILDERS_OWN.get(place.split(".")[0], (0, ()))
    return None if others else known.union(own if place.count(".") < depth else (), ("type",))


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
        was, now = find(old.get("type")), find(new["type"])
        if was is not None and now is None:
            raise ValueError(f"--cfg-options {key}={new['type']}: {_nearest(was, new['type'])}")
        known = known_arguments(place, now)
        if known is None or was is now:
            continue
        stated = {f"{place}.{name}" for name in old if name in new and name not in known}
        kept = {each for each in stated if any(f"{g}.".startswith(f"{each}.") for g in given)}
        left = [name for name in old if f"{place}.{name}" in stated - kept]
        if parts := [name for name in left if isinstance(new[name], Mapping)]:
            raise ValueError(
                f"--cfg-options {key}: {now.__name__} takes no {', '.join(parts)}, which this "
                f"config has for {was.__name__}; start from a config of {now.__name__}"
            )
        for name in left:
            new.pop(name)  # type: ignore[attr-defined]
        if left:
            print_log(
                f"{key} = {now.__name__}: it takes no {', '.join(left)}, left out as settings of "
                f"{was.__name__}",
                logger="current",
                level=logging.WARNING,
            )


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


def _nearest(kind: Any, name: Any) -> str:
    """What to do about a name that no class has, in the place of a class."""
    beside = [
        each
        for group in REGISTRIES
        if kind in group.module_dict.values()
        for each in group.module_dict
    ]
    near = get_close_matches(str(name), beside, 3, 0.5)
    advice = f"did you mean {' or '.join(near)}?" if near else f"for example {kind.__name__}"
    return f"no class of that name is registered (custom_imports.imports loads yours); {advice}"
