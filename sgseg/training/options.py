"""Overrides of a config from the command line: each takes effect, or is refused by name."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Any

import torch
from mmengine.config import Config
from mmengine.runner import Runner
from mmengine.utils import import_modules_from_strings

from .aliases import HOOK_NAMES, RATES, RATES_NAME, find_aliases
from .arguments import drop_leftovers, known_arguments, value_at
from .sizes import type_name

_OWN_KEYS = (
    *("custom_imports", "find_unused_parameters", "model_wrapper_cfg", "predict_side", "sync_bn"),
    *("total_batch_size",),
)
# The model has a preprocessor of its own; the runner is given its config and itself elsewhere.
_UNREAD = frozenset({"self", "cfg", "data_preprocessor"})
_RUNNER_KEYS = frozenset({*inspect.signature(Runner.__init__).parameters, *_OWN_KEYS}) - _UNREAD
_FILES_OWN = frozenset({*HOOK_NAMES, RATES_NAME, "preset_reference", "data_preprocessor"})
"""Names in config files that are none of the keys."""
_LOADER_KEYS = frozenset(inspect.signature(torch.utils.data.DataLoader.__init__).parameters)
_MORE_LOADER_KEYS = frozenset({"num_batch_per_epoch", "disable_subprocess_warning"})
_GROUP_KEYS = frozenset(
    name
    for name in inspect.signature(torch.distributed.init_process_group).parameters
    if not name.startswith("_")
)
_KEYS_OF: dict[str, frozenset[str]] = {
    **dict.fromkeys(
        ("train_dataloader", "val_dataloader", "test_dataloader"),
        (_LOADER_KEYS | _MORE_LOADER_KEYS) - {"self"},
    ),
    "randomness": frozenset({"seed", "deterministic", "diff_rank_seed"}),
    "env_cfg": frozenset({"cudnn_benchmark", "mp_cfg", "dist_cfg", "resource_limit"}),
    "env_cfg.mp_cfg": frozenset({"mp_start_method", "opencv_num_threads"}),
    "env_cfg.dist_cfg": _GROUP_KEYS | {"init_backend", "port"},
    "custom_imports": frozenset({"imports", "allow_failed_imports"}),
    "auto_scale_lr": frozenset({"enable", "base_batch_size"}),
    "optim_wrapper.clip_grad": frozenset(
        {"type", "max_norm", "norm_type", "error_if_nonfinite", "foreach", "clip_value"}
    ),
}
"""Keys of the parts of a config that name no class."""
_ELSEWHERE = dict(
    seed="randomness.seed, or --seed",
    lr=f"{RATES_NAME}.PART",
    batch_size="total_batch_size, or train_dataloader.batch_size",
    epochs="--epochs",
    max_epochs="train_cfg.max_epochs, or --epochs",
    num_classes="--num-classes",
    data_root="--data",
    data_preprocessor="model.data_preprocessor",
    preset_reference="--preset",
)
"""Keys that people try -> where that is set."""
_DELETE = "_delete_"


def merge_options(config: Config, options: Mapping[str, Any]) -> None:
    """Set ``a.b.c=value`` overrides in a config.

    Hooks of ``custom_hooks`` are reached by their class, ``PictureHook.count=9``, or by their name
    in the config files, ``stage_hook.stages=...``, and left out by ``PictureHook=None``; rates by
    ``learning_rates.neck=...``. Where a ``type`` is replaced, what the new one does not take goes,
    with a warning; ``part._delete_=True`` drops all that a part had.

    Args:
        config: changed in place.
        options: dotted key -> value.

    Raises:
        ValueError: for a key that nothing reads, with the nearest one that something does; for one
            set twice, or inside a part that this config leaves out or a value that has no keys.
    """
    aliases = find_aliases(config)
    routed = _route(options, aliases)
    for key, (given, _) in routed.items():
        _demand_place(given, key.split("."), dict(config.items()))
    before = Config(config.to_dict())
    entries = {key: each for key, each in routed.items() if _is_entry(config, key, *each)}
    try:
        config.merge_from_dict({k: value for k, (_, value) in routed.items() if k not in entries})
    except (AttributeError, KeyError, IndexError, TypeError) as error:
        raise ValueError(
            f"--cfg-options: {dict(options)}: one of these sets a key inside a value that holds "
            f"none ({error})"
        ) from error
    if config.get("custom_imports"):  # mmengine looks at those of the file, not of the options
        _import(config.custom_imports)
    for key, (given, _) in routed.items():
        _demand_type(config, key, given)
        fault = _fault(key.split("."), dict(config.items()), dict(before.items()))
        if fault is not None:
            _refuse(given, key, *fault, sorted(aliases))
    drop_leftovers(dict(config.items()), dict(before.items()), list(routed))
    _set_entries(config, entries)


def _route(
    options: Mapping[str, Any], aliases: Mapping[str, Sequence[str]]
) -> dict[str, tuple[str, Any]]:
    """Key in the config -> the override as it was given, and its value."""
    routed: dict[str, tuple[str, Any]] = {}
    for given, value in options.items():
        head, _, rest = given.partition(".")
        place = aliases.get(head)
        if place and not rest and (value is not None or place == RATES):
            raise ValueError(
                f"--cfg-options {given}: set one key of it, {given}.KEY=..."
                + ("" if place == RATES else f", or leave it out by {given}=None")
            )
        key = ".".join((*place, *filter(None, [rest]))) if place else given
        if key in routed:
            raise ValueError(f"--cfg-options: {routed[key][0]} and {given} are one key: set one")
        routed[key] = given, value
    return routed


def _demand_type(config: Config, key: str, given: str) -> None:
    """ValueError for a part that was emptied and is given no type."""
    place, _, last = key.rpartition(".")
    if last == _DELETE and "type" not in value_at(dict(config.items()), place):
        raise ValueError(
            f"--cfg-options {given}: nothing of {place} is left; set {place}.type and what it "
            "takes beside it"
        )


def _is_entry(config: Config, key: str, given: str, value: Any) -> bool:
    """Whether an override is an entry of a list as a whole, which mmengine cannot set."""
    place, _, last = key.rpartition(".")
    old = value_at(dict(config.items()), place)
    if not isinstance(old, list) or isinstance(value, Mapping):
        return False
    if isinstance(old[int(last)], Mapping) and value is not None:
        raise ValueError(
            f"--cfg-options {given}: it has keys of its own; set one, {given}.KEY=..., or leave "
            f"it out by {given}=None"
        )
    return True


def _set_entries(config: Config, entries: Mapping[str, tuple[str, Any]]) -> None:
    """Set entries of lists; a part, a hook for example, that is set to None goes."""
    gone: list[tuple[list[Any], Any]] = []
    for key, (_, value) in entries.items():
        place, _, last = key.rpartition(".")
        values = value_at(dict(config.items()), place)
        if isinstance(values[int(last)], Mapping):
            gone.append((values, values[int(last)]))
        else:
            values[int(last)] = value
    for values, part in gone:
        values[:] = [each for each in values if each is not part]


def _import(stated: Mapping[str, Any]) -> None:
    try:
        import_modules_from_strings(**stated)
    except ImportError as error:
        raise ValueError(
            f"--cfg-options custom_imports.imports={stated.get('imports')}: {error}; give modules "
            "that this Python finds, for example with PYTHONPATH=. before the command"
        ) from error


def _demand_place(given: str, path: Sequence[str], config: Mapping[str, Any]) -> None:
    """ValueError for a key inside a part that is None or missing, or a value without keys."""
    node: Any = config
    for depth, key in enumerate(path):
        place = ".".join(path[:depth])
        if node is None:
            why = (
                " (nothing is scored without labels/)"
                if path[0].startswith(("val_", "test_"))
                else ""
            )
            raise ValueError(
                f"--cfg-options {given}: this config has no {place}{why}; leave the option out, or "
                f"set {place} as a whole"
            )
        if isinstance(node, Mapping):
            if key == _DELETE and "type" not in node:
                raise ValueError(f"--cfg-options {given}: {place or 'this'} is no part to replace")
            if key not in node:
                return
            node = node[key]
        elif isinstance(node, list):
            node = node[_index(given, place, key, len(node))]
            if path[depth + 1 :] == [_DELETE]:
                raise ValueError(
                    f"--cfg-options {given}: an entry of a list is not replaced in this way; "
                    f"set its type, or {place}.{key}=None and {place} in a config file"
                )
        else:
            raise ValueError(
                f"--cfg-options {given}: {place} is {node!r}, which has no keys; set {place}=... "
                "as a whole"
            )


def _index(given: str, place: str, key: str, length: int) -> int:
    if key.isdigit() and int(key) < length:
        return int(key)
    wanted = f"numbered 0 to {length - 1}" if length else "and has no entries to set"
    raise ValueError(f"--cfg-options {given}: {place} is a list, {wanted}, and has no {key!r}")


def check_names(config: Config) -> None:
    """ValueError for a top-level name of a config file that is one of ours but for a slip.

    Other names are variables of the file, and nobody's business; so are those that begin with an
    underscore, and all that it imports.
    """
    for name, value in config.items():
        if name in _RUNNER_KEYS | _FILES_OWN or name.startswith("_"):
            continue
        if inspect.isclass(value) or inspect.isroutine(value) or inspect.ismodule(value):
            continue
        near = get_close_matches(name, sorted(_RUNNER_KEYS | _FILES_OWN), 1, 0.83)
        if near:
            raise ValueError(
                f"{config.filename}: `{name}` is no key that anything reads; the nearest is "
                f"`{near[0]}`. Rename it, or begin it with _ if it is a variable of the file"
            )


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
            if key == _DELETE:  # taken out while merging
                break
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


def _known(place: str, node: Any, old: Any, config: Mapping[str, Any]) -> frozenset[str] | None:
    """Keys of a part of a config that something reads; None where all are free."""
    if not place:
        return _RUNNER_KEYS
    if place in _KEYS_OF:
        return _KEYS_OF[place]
    if place == ".".join(RATES[:2]) and _rates_alone(config["optim_wrapper"]):
        return frozenset({RATES[2]})
    if place == ".".join(RATES):
        parts = {k for k, v in config["model"].items() if isinstance(v, Mapping)}
        return frozenset({*(old or ()), *parts})
    if "type" in node:
        return known_arguments(place, node["type"])
    if isinstance(old, Mapping) and old and place in ("default_hooks", "model.losses"):
        # A collection of named parts: a new one brings its own type.
        added = (
            k for k, v in node.items() if v is None or (isinstance(v, Mapping) and "type" in v)
        )
        return frozenset({*old, *added})
    return None


def _rates_alone(wrapper: Mapping[str, Any]) -> bool:
    """Whether the constructor of the optimiser reads nothing but a rate for each part."""
    kind = wrapper.get("constructor")
    return kind is not None and type_name(dict(type=kind)) == "ModuleLRConstructor"


def _refuse(
    given: str, key: str, depth: int, known: frozenset[str], aliases: Sequence[str]
) -> None:
    path, said = key.split("."), given.split(".")
    names = {*known, *(aliases if not depth else ())}
    near = get_close_matches(path[depth], sorted(names), 1, 0.5)
    at = depth - len(path) + len(said)  # an alias stands for several parts
    nearest = ".".join([*said[:at], *near, *said[at + 1 :]])
    advice = f"did you mean {nearest}?" if near else f"it has {', '.join(sorted(known)[:12])}"
    if not depth and key == "compile":
        advice = "the training step cannot be compiled"
    elif not depth and path[0] in _ELSEWHERE:
        advice = f"set {_ELSEWHERE[path[0]]}"
    elif not depth and path[0] in (*HOOK_NAMES, RATES_NAME):
        advice = "this config has no such part"
    raise ValueError(
        f"--cfg-options {given}: {'.'.join(said[:at]) or 'the config'} has no key {said[at]!r} "
        f"that anything reads; {advice}"
    )
