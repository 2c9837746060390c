"""Overrides of a config: each takes effect, or is refused with the nearest key that would."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Any

import torch
from mmengine.config import Config, ConfigDict
from mmengine.runner import Runner
from mmengine.utils import import_modules_from_strings

from ..engine import ModuleLRConstructor
from ..registry import find
from .arguments import drop_leftovers, known_arguments, value_at

_OWN_KEYS = (
    *("custom_imports", "find_unused_parameters", "model_wrapper_cfg", "predict_side", "sync_bn"),
    *("total_batch_size",),
)
# The model has a preprocessor of its own; the runner is given its config and itself elsewhere.
_UNREAD = frozenset({"self", "cfg", "data_preprocessor"})
_RUNNER_KEYS = frozenset({*inspect.signature(Runner.__init__).parameters, *_OWN_KEYS}) - _UNREAD
_FILES_OWN = frozenset({"preset_reference", "data_preprocessor"})
"""Names in config files that no option sets."""
_LOADER_KEYS = frozenset(inspect.signature(torch.utils.data.DataLoader.__init__).parameters)
_GROUP_KEYS = frozenset(
    name
    for name in inspect.signature(torch.distributed.init_process_group).parameters
    if not name.startswith("_")
)
_RATES = "optim_wrapper.paramwise_cfg.lr"
_KEYS_OF: dict[str, frozenset[str]] = {
    **dict.fromkeys(
        ("train_dataloader", "val_dataloader", "test_dataloader"),
        (_LOADER_KEYS | {"num_batch_per_epoch", "disable_subprocess_warning"}) - {"self"},
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
_RENAMED = dict(
    learning_rates=f"set {_RATES}.PART",
    stage_hook="set default_hooks.stage.stages",
)
"""Keys of config files that have another name now -> what to do instead."""
_ADVICE = _RENAMED | dict(
    compile="the training step cannot be compiled",
    seed="set randomness.seed, or --seed",
    lr=f"set {_RATES}.PART",
    batch_size="set total_batch_size, or train_dataloader.batch_size",
    epochs="set --epochs",
    max_epochs="set train_cfg.max_epochs, or --epochs",
    num_classes="set --num-classes",
    data_root="set --data",
    data_preprocessor="set model.data_preprocessor",
    preset_reference="set --preset",
)
"""Keys that people try at the top -> what to do instead."""
_DELETE = "_delete_"


def merge_options(config: Config, options: Mapping[str, Any]) -> None:
    """Set ``a.b.c=value`` overrides in a config.

    A hook is left out by ``default_hooks.NAME=None``, an entry of a list by ``LIST.NUMBER=None``.
    Where a ``type`` is replaced, what the new one does not take goes, with a warning;
    ``part._delete_=True`` drops all that a part had.

    Args:
        config: changed in place.
        options: dotted key -> value.

    Raises:
        ValueError: for a key that nothing reads, with the nearest one that something does; for one
            inside a part that this config leaves out or a value that has no keys.
    """
    before = config.to_dict()
    for key in sorted(options, key=lambda key: not key.endswith(_DELETE)):  # emptied, then filled
        head, *rest = key.split(".")
        config[head] = _merged(config.get(head, {}), rest, options[key], key, head)
    if modules := config.get("custom_imports"):  # mmengine looks at those of the file alone
        try:
            import_modules_from_strings(**modules)
        except ImportError as error:
            raise ValueError(
                f"--cfg-options custom_imports.imports={modules.get('imports')}: {error}; give "
                "modules that this Python finds, for example with PYTHONPATH=. before the command"
            ) from error
    after = dict(config.items())
    for key, value in options.items():
        place, _, last = key.rpartition(".")
        if last == _DELETE and value and "type" not in value_at(after, place):
            raise ValueError(
                f"--cfg-options {key}: nothing of {place} is left; set {place}.type and what it "
                "takes beside it"
            )
        _demand_read(key, after, before)
    drop_leftovers(after, before, list(options))
    for key, value in options.items():
        entries = value_at(after, key.rpartition(".")[0])
        if value is None and isinstance(entries, list):  # a hook or a transform that is left out
            entries[:] = [entry for entry in entries if entry is not None]


def _merged(node: Any, path: Sequence[str], value: Any, given: str, place: str) -> Any:
    """A part of a config with ``value`` at a place in it; the part itself stays as it is.

    Parts may be shared (``test_dataloader = val_dataloader``), so nothing is changed in place.

    Args:
        node: the part.
        path: keys below it.
        value: a dictionary is merged into the one that is there.
        given: the override, for errors.
        place: dotted key of ``node``.

    Raises:
        ValueError: where the part has no such place.
    """
    if not path:
        if isinstance(node, Mapping) and "type" in node and not isinstance(value, Mapping | None):
            raise ValueError(
                f"--cfg-options {given}: it has keys of its own; set one, {given}.KEY=..., or "
                f"leave it out by {given}=None"
            )
        if not (isinstance(node, Mapping) and isinstance(value, Mapping)):
            return ConfigDict(value) if isinstance(value, Mapping) else value
        for key, each in value.items():
            node = _merged(node, [key], each, given, place)
        return node
    key, *rest = path
    if node is None:
        why = " (nothing is scored without labels/)" if place.startswith(("val_", "test_")) else ""
        raise ValueError(
            f"--cfg-options {given}: this config has no {place}{why}; leave the option out, or "
            f"set {place} as a whole"
        )
    if isinstance(node, Mapping):
        if key == _DELETE:
            if "type" not in node:
                raise ValueError(f"--cfg-options {given}: {place} is no part to replace")
            return ConfigDict() if value else node
        changed = ConfigDict(node)
        changed[key] = _merged(node.get(key, {}), rest, value, given, f"{place}.{key}")
        return changed
    if not isinstance(node, list):
        raise ValueError(
            f"--cfg-options {given}: {place} is {node!r}, which has no keys; set {place}=... "
            "as a whole"
        )
    return _with_entry(node, key, rest, value, given, place)


def _with_entry(
    node: list[Any], key: str, rest: Sequence[str], value: Any, given: str, place: str
) -> list[Any]:
    """:func:`_merged` for a list and the number of one of its entries."""
    if not (key.isdigit() and int(key) < len(node)):
        wanted = f"numbered 0 to {len(node) - 1}" if node else "and has no entries to set"
        raise ValueError(f"--cfg-options {given}: {place} is a list, {wanted}, and has no {key!r}")
    if list(rest) == [_DELETE]:
        raise ValueError(
            f"--cfg-options {given}: an entry of a list is not replaced in this way; "
            f"set its type, or {place}.{key}=None and {place} in a config file"
        )
    changed = list(node)
    changed[int(key)] = _merged(node[int(key)], rest, value, given, f"{place}.{key}")
    return changed


def check_names(config: Config) -> None:
    """ValueError for a top-level name of a config file that is one of ours but for a slip.

    Other names are variables of the file, and nobody's business; so are those that begin with an
    underscore, and all that it imports.
    """
    ours = sorted(_RUNNER_KEYS | _FILES_OWN)
    for name, value in config.items():
        imported = inspect.isclass(value) or inspect.isroutine(value) or inspect.ismodule(value)
        if name in ours or name.startswith("_") or imported:
            continue
        if name in _RENAMED:
            raise ValueError(
                f"{config.filename}: `{name}` is no key that anything reads; {_RENAMED[name]}, or "
                "begin it with _ if it is a variable of the file"
            )
        if near := get_close_matches(name, ours, 1, 0.83):
            raise ValueError(
                f"{config.filename}: `{name}` is no key that anything reads; the nearest is "
                f"`{near[0]}`. Rename it, or begin it with _ if it is a variable of the file"
            )


def _demand_read(given: str, config: Mapping[str, Any], before: Mapping[str, Any]) -> None:
    """ValueError for a dotted key that nothing reads, with the nearest that something does.

    Args:
        given: the key.
        config: with all overrides set.
        before: without them.
    """
    path = given.split(".")
    for depth, key in enumerate(path):
        place = ".".join(path[:depth])
        node = value_at(config, place)
        if key == _DELETE or not isinstance(node, (Mapping, list)):
            return
        known = _known(place, node, value_at(before, place), config)
        if known is None or key in known:
            continue
        near = get_close_matches(key, sorted(known), 1, 0.5)
        advice = f"it has {', '.join(sorted(known)[:12])}"
        if not depth and key in _ADVICE:
            advice = _ADVICE[key]
        elif near:
            advice = f"did you mean {'.'.join([*path[:depth], *near, *path[depth + 1 :]])}?"
        raise ValueError(
            f"--cfg-options {given}: {place or 'the config'} has no key {key!r} that anything "
            f"reads; {advice}"
        )


def _known(place: str, node: Any, old: Any, config: Mapping[str, Any]) -> frozenset[str] | None:
    """Keys of a part of a config that something reads; None where all are free."""
    if not place:
        return _RUNNER_KEYS
    if place in _KEYS_OF:
        return _KEYS_OF[place]
    if place == "optim_wrapper.paramwise_cfg":
        constructor = find(config["optim_wrapper"].get("constructor"))
        return frozenset({"lr"}) if constructor is ModuleLRConstructor else None
    if place == _RATES:
        parts = {key for key, part in config["model"].items() if isinstance(part, Mapping)}
        return frozenset({*(old or ()), *parts})
    if "type" in node:
        return known_arguments(place, node["type"])
    if isinstance(old, Mapping) and old and place in ("default_hooks", "model.losses"):
        # A collection of named parts: a new one brings its own type.
        added = (k for k, v in node.items() if isinstance(v, Mapping) and "type" in v)
        return frozenset({*old, *added})
    return None
