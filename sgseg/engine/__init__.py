"""Hooks and optimiser construction around mmengine's Runner."""

from .atomic import AtomicLocalBackend
from .clock import TrainingClockHook
from .clustering import ClusterFeaturesHook
from .distributed import EqualBuffersHook
from .finite import FiniteLossHook
from .guard import CollapseGuardHook
from .label_free import LabelFreeHook, LabelFreeStoppingHook
from .log_lines import WindowLogProcessor
from .monitor import PeakMemoryHook
from .optim import CPUAmpOptimWrapper, ModuleLRConstructor
from .record import EvaluationRecordHook
from .resume import PlainCheckpointHook
from .saving import EvaluatedCheckpointHook
from .scalars import LateScalarsHook
from .schedule import ResumedScheduleHook
from .stage import AlternatingStageHook, TrainingStageHook
from .statistics import SetStatisticsHook
from .untrained import UntrainedLoop
from .visual import PictureHook

__all__ = [
    "AlternatingStageHook",
    "AtomicLocalBackend",
    "CPUAmpOptimWrapper",
    "ClusterFeaturesHook",
    "CollapseGuardHook",
    "EqualBuffersHook",
    "EvaluatedCheckpointHook",
    "EvaluationRecordHook",
    "FiniteLossHook",
    "LabelFreeHook",
    "LabelFreeStoppingHook",
    "LateScalarsHook",
    "ModuleLRConstructor",
    "PeakMemoryHook",
    "PictureHook",
    "PlainCheckpointHook",
    "ResumedScheduleHook",
    "SetStatisticsHook",
    "TrainingClockHook",
    "TrainingStageHook",
    "UntrainedLoop",
    "WindowLogProcessor",
]
