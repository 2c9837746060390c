"""Registries of sgseg, children of mmengine's.

A class becomes usable by name with ``@MODELS.register_module()``; naming the class itself in a
config works without registering. ``locations`` makes the first look-up import the package, so
nothing has to be imported by hand.
"""

import inspect
from collections.abc import Mapping
from typing import Any

from mmengine import registry as mmengine_registry
from mmengine.hooks import CheckpointHook
from mmengine.registry import Registry

__all__ = [
    "DATASETS",
    "DATA_SAMPLERS",
    "HOOKS",
    "LOG_PROCESSORS",
    "LOOPS",
    "METRICS",
    "MODELS",
    "OPTIM_WRAPPERS",
    "OPTIM_WRAPPER_CONSTRUCTORS",
    "REGISTRIES",
    "TRANSFORMS",
    "VISBACKENDS",
    "arguments_of",
    "find",
    "is_a",
]


def _child(name: str, *locations: str) -> Registry:
    parent = getattr(mmengine_registry, name)
    return Registry(parent.name, parent=parent, scope="sgseg", locations=list(locations))


MODELS = _child("MODELS", "sgseg.models")
DATASETS = _child("DATASETS", "sgseg.datasets")
DATA_SAMPLERS = _child("DATA_SAMPLERS", "sgseg.datasets")
TRANSFORMS = _child("TRANSFORMS", "sgseg.datasets")
METRICS = _child("METRICS", "sgseg.evaluation")
HOOKS = _child("HOOKS", "sgseg.engine")
LOG_PROCESSORS = _child("LOG_PROCESSORS", "sgseg.engine")
LOOPS = _child("LOOPS", "sgseg.engine")
OPTIM_WRAPPERS = _child("OPTIM_WRAPPERS", "sgseg.engine")
VISBACKENDS = _child("VISBACKENDS", "sgseg.engine")
OPTIM_WRAPPER_CONSTRUCTORS = _child("OPTIM_WRAPPER_CONSTRUCTORS", "sgseg.engine")

# Nothing of ours is in these yet; they exist so that a name given as text is looked up in
# mmengine without a warning for every kind.
_INHERITED = [
    _child(name)
    for name in (
        "EVALUATOR",
        "FUNCTIONS",
        "INFERENCERS",
        "MODEL_WRAPPERS",
        "OPTIMIZERS",
        "PARAM_SCHEDULERS",
        "RUNNERS",
        "RUNNER_CONSTRUCTORS",
        "STRATEGIES",
        "VISUALIZERS",
        "WEIGHT_INITIALIZERS",
    )
]
_CHILDREN = (
    *(MODELS, DATASETS, DATA_SAMPLERS, TRANSFORMS, METRICS, HOOKS, LOG_PROCESSORS, LOOPS),
    *(OPTIM_WRAPPERS, OPTIM_WRAPPER_CONSTRUCTORS, VISBACKENDS, *_INHERITED),
)
REGISTRIES: tuple[Registry, ...] = (*_CHILDREN, *(each.parent for each in _CHILDREN))
"""All that a config can name a class of, mmengine's included."""


def find(kind: Any) -> Any:
    """The class or function of a config's ``type``: itself, by name or by dotted path.

    None for a name that no registry knows.
    """
    if not isinstance(kind, str):
        return kind
    built = (registry.get(kind) for registry in _CHILDREN)
    return next((each for each in built if each is not None), None)


def is_a(part: Mapping[str, Any] | None, base: type | tuple[type, ...]) -> bool:
    """Whether the ``type`` of a part of a config is a class, or of several, or one derived."""
    kind = find((part or {}).get("type"))
    return inspect.isclass(kind) and issubclass(kind, base)


def arguments_of(kind: Any) -> tuple[frozenset[str], bool]:
    """Names of the arguments of a class or function, and whether it takes others too.

    A class that hands ``**kwargs`` on to its base takes the base's too.
    """
    whole = inspect.isclass(kind) and issubclass(kind, CheckpointHook)
    names: set[str] = set()
    for layer in inspect.getmro(kind) if inspect.isclass(kind) else (kind,):
        call = layer.__init__ if inspect.isclass(layer) else layer
        if inspect.isclass(layer) and "__init__" not in vars(layer):
            continue
        try:
            parameters = inspect.signature(call).parameters.values()
        except (TypeError, ValueError):
            return frozenset(names - {"self"}), True
        names |= {p.name for p in parameters if p.kind in (p.KEYWORD_ONLY, p.POSITIONAL_OR_KEYWORD)}
        # The rest that CheckpointHook takes goes to a call that knows no other.
        closed = all(p.kind is not p.VAR_KEYWORD for p in parameters)
        if closed or (whole and layer is CheckpointHook):
            return frozenset(names - {"self"}), False
    return frozenset(names - {"self"}), True
