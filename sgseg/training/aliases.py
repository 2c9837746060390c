"""Second names in config files, of hooks and of learning rates, and the places they stand for."""

from __future__ import annotations

import ast
import copy
import logging
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.logging import print_log

from .sizes import type_name

HOOK_NAMES = dict(
    stage_hook="TrainingStageHook",
    turns_hook="AlternatingStageHook",
    statistics_hook="SetStatisticsHook",
    clustering_hook="ClusterFeaturesHook",
)
"""Names of hooks in the config files -> their classes."""
RATES_NAME = "learning_rates"
RATES = ("optim_wrapper", "paramwise_cfg", "lr")


def find_aliases(config: Config) -> dict[str, tuple[str, ...]]:
    """Names by which overrides reach a hook of ``custom_hooks`` or the rates -> their place."""
    hooks = config.get("custom_hooks") or []
    kinds = {place: type_name(hook) for place, hook in enumerate(hooks) if hook}
    found: dict[str, tuple[str, ...]]
    found = {kind: ("custom_hooks", str(place)) for place, kind in kinds.items()}
    found |= {name: found[kind] for name, kind in HOOK_NAMES.items() if kind in found}
    if isinstance(((config.get("optim_wrapper") or {}).get("paramwise_cfg") or {}).get("lr"), dict):
        found[RATES_NAME] = RATES
    return found


def settle_aliases(config: Config) -> None:
    """Let a second name that a config file changed take effect.

    A file that inherits ``stage_hook`` and merges something into it has a changed copy: the hook
    in ``custom_hooks`` is another object. So the change is taken there. Where a file changed the
    hook itself, that stands.

    Args:
        config: as read from its file, changed in place.

    Raises:
        ValueError: for a second name that stands for nothing, or one changed beside its place.
    """
    for name in (*HOOK_NAMES, RATES_NAME):
        if name in config:
            _settle(config, name)


def drop_aliases(config: Config) -> None:
    """Take a file's second names of hooks and rates out: what a run dumps has each once."""
    for name in (*HOOK_NAMES, RATES_NAME):
        config.pop(name, None)


def _settle(config: Config, name: str) -> None:
    stated, place = config[name], _place(config, name)
    where = "optim_wrapper.paramwise_cfg.lr" if name == RATES_NAME else "custom_hooks"
    if place is None:
        _demand_unused(config.filename, name, where)
        return
    if isinstance(stated, Mapping) and all(place.get(key) == stated[key] for key in stated):
        return
    changed, moved = _last_change(config, name, [config.filename] if config.filename else [])
    if not changed:
        return
    if moved or not isinstance(stated, Mapping):
        raise ValueError(
            f"{config.filename}: `{name}` differs from what {where} holds, and one of them would "
            f"do nothing; set it in {where} alone"
        )
    place.update(copy.deepcopy(stated))


def _place(config: Config, name: str) -> Any:
    """The part of a config that a second name stands for; None without one."""
    node: Any = config
    for key in find_aliases(config).get(name, (name, "")):
        node = node[int(key)] if isinstance(node, Sequence) else node.get(key)
        if not node:
            return None
    return node


def _last_change(config: Config, name: str, files: Sequence[str]) -> tuple[bool, bool]:
    """Whether the last file that changed the second name or its place changed the one, the other.

    Args:
        config: what may have been changed.
        name: the second name.
        files: those that it inherits from.
    """
    bases = [base for base in map(Config.fromfile, files) if name in base]
    if not bases:
        return True, True
    base = bases[-1]
    # mmengine's dictionaries define == alone: their != compares what they hide.
    kept, stays = base[name] == config[name], _place(base, name) == _place(config, name)
    if not (kept and stays):
        return not kept, not stays
    return _last_change(base, name, _inherited(Path(base.filename)))


def _inherited(path: Path) -> list[str]:
    """The files that a config file reads with ``read_base``."""
    blocks = [node for node in ast.parse(path.read_text()).body if isinstance(node, ast.With)]
    imports = [node for block in blocks for node in block.body if isinstance(node, ast.ImportFrom)]
    found = [
        path.resolve().parents[node.level - 1].joinpath(*node.module.split(".")).with_suffix(".py")
        for node in imports
        if node.level and node.module
    ]
    return [str(each) for each in found]


def _demand_unused(path: str | None, name: str, where: str) -> None:
    """ValueError for a second name that a file sets, not only inherits, and that does nothing."""
    if path is None or not Path(path).is_file():
        return
    if not re.search(rf"^{name}\s*[.\[=]", Path(path).read_text(), re.MULTILINE):
        return
    said = (
        f"{path}: `{name}` is set and nothing in {where} is made of it, so it does nothing; leave "
        f"it out, or set {where}"
    )
    if _inherited(Path(path)):
        raise ValueError(said)
    print_log(said, logger="current", level=logging.WARNING)  # a config that was written out whole
