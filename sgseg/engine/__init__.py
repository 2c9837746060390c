"""Hooks and optimiser construction around mmengine's Runner."""

from .atomic import AtomicLocalBackend
from .distributed import EqualBuffersHook
from .finite import FiniteLossHook
from .monitor import PeakMemoryHook
from .optim import CPUAmpOptimWrapper, ModuleLRConstructor
from .record import EvaluationRecordHook
from .resume import PlainCheckpointHook
from .saving import EvaluatedCheckpointHook
from .stage import TrainingStageHook
from .statistics import SetStatisticsHook
from .visual import PictureHook

__all__ = [
    "AtomicLocalBackend",
    "CPUAmpOptimWrapper",
    "EqualBuffersHook",
    "EvaluatedCheckpointHook",
    "EvaluationRecordHook",
    "FiniteLossHook",
    "ModuleLRConstructor",
    "PeakMemoryHook",
    "PictureHook",
    "PlainCheckpointHook",
    "SetStatisticsHook",
    "TrainingStageHook",
]
