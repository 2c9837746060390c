"""Hooks and optimiser construction around mmengine's Runner."""

from .atomic import AtomicLocalBackend
from .checkpoint import EvaluatedCheckpointHook, PlainCheckpointHook
from .clustering import ClusterFeaturesHook
from .distributed import EqualBuffersHook
from .monitor import PeakMemoryHook
from .optim import CPUAmpOptimWrapper, ModuleLRConstructor
from .record import EvaluationRecordHook
from .stage import AlternatingStageHook, TrainingStageHook
from .statistics import SetStatisticsHook
from .untrained import UntrainedLoop
from .visual import PictureHook

__all__ = [
    "AlternatingStageHook",
    "AtomicLocalBackend",
    "CPUAmpOptimWrapper",
    "ClusterFeaturesHook",
    "EqualBuffersHook",
    "EvaluatedCheckpointHook",
    "EvaluationRecordHook",
    "ModuleLRConstructor",
    "PeakMemoryHook",
    "PictureHook",
    "PlainCheckpointHook",
    "SetStatisticsHook",
    "TrainingStageHook",
    "UntrainedLoop",
]
