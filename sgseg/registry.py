"""Registries of sgseg, children of mmengine's.

A class becomes usable by name with ``@MODELS.register_module()``; naming the class itself in a
config works without registering. ``locations`` makes the first look-up import the package, so
nothing has to be imported by hand.
"""

from mmengine.registry import DATA_SAMPLERS as MMENGINE_DATA_SAMPLERS
from mmengine.registry import DATASETS as MMENGINE_DATASETS
from mmengine.registry import HOOKS as MMENGINE_HOOKS
from mmengine.registry import METRICS as MMENGINE_METRICS
from mmengine.registry import MODELS as MMENGINE_MODELS
from mmengine.registry import (
    OPTIM_WRAPPER_CONSTRUCTORS as MMENGINE_OPTIM_WRAPPER_CONSTRUCTORS,
)
from mmengine.registry import TRANSFORMS as MMENGINE_TRANSFORMS
from mmengine.registry import VISUALIZERS as MMENGINE_VISUALIZERS
from mmengine.registry import Registry

__all__ = [
    "DATASETS",
    "DATA_SAMPLERS",
    "HOOKS",
    "METRICS",
    "MODELS",
    "OPTIM_WRAPPER_CONSTRUCTORS",
    "TRANSFORMS",
    "VISUALIZERS",
]


def _child(parent: Registry, location: str) -> Registry:
    return Registry(parent.name, parent=parent, scope="sgseg", locations=[location])


MODELS = _child(MMENGINE_MODELS, "sgseg.models")
DATASETS = _child(MMENGINE_DATASETS, "sgseg.datasets")
DATA_SAMPLERS = _child(MMENGINE_DATA_SAMPLERS, "sgseg.datasets")
TRANSFORMS = _child(MMENGINE_TRANSFORMS, "sgseg.datasets")
METRICS = _child(MMENGINE_METRICS, "sgseg.evaluation")
HOOKS = _child(MMENGINE_HOOKS, "sgseg.engine")
OPTIM_WRAPPER_CONSTRUCTORS = _child(MMENGINE_OPTIM_WRAPPER_CONSTRUCTORS, "sgseg.engine")
VISUALIZERS = _child(MMENGINE_VISUALIZERS, "sgseg.visualization")
