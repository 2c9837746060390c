"""Hooks and optimiser construction around mmengine's Runner."""

from .atomic import AtomicLocalBackend
from .checkpoint import EvaluatedCheckpointHook, PlainCheckpointHook
from .distributed import EqualBuffersHook
from .monitor import PeakMemoryHook
from .optim import CPUAmpOptimWrapper, ModuleLRConstructor
from .record import EvaluationRecordHook
from .scalars import LateScalarsHook
from .stage import TrainingStageHook
from .statistics import SetStatisticsHook
from .visual import PictureHook

__all__ = [
    "AtomicLocalBackend",
    "CPUAmpOptimWrapper",
    "EqualBuffersHook",
    "EvaluatedCheckpointHook",
    "EvaluationRecordHook",
    "LateScalarsHook",
    "ModuleLRConstructor",
    "PeakMemoryHook",
    "PictureHook",
    "PlainCheckpointHook",
    "SetStatisticsHook",
    "TrainingStageHook",
]
