"""Hooks and optimiser construction around mmengine's Runner."""

from .checkpoints.backend import AtomicLocalBackend
from .checkpoints.resume import PlainCheckpointHook
from .checkpoints.saving import EvaluatedCheckpointHook
from .distributed import EqualBuffersHook
from .hooks.clock import TrainingClockHook
from .hooks.clustering import ClusterFeaturesHook
from .hooks.evaluation_record import EvaluationRecordHook
from .hooks.finite import FiniteLossHook
from .hooks.guard import CollapseGuardHook
from .hooks.label_free import LabelFreeHook, LabelFreeStoppingHook
from .hooks.memory import PeakMemoryHook
from .hooks.pictures import PictureHook
from .hooks.scalars import LateScalarsHook
from .hooks.schedule import ResumedScheduleHook
from .hooks.share_check import ShareCheckHook
from .hooks.stage import AlternatingStageHook, TrainingStageHook
from .hooks.statistics import SetStatisticsHook
from .hooks.superpixel_pictures import SuperpixelPictureHook
from .hooks.trial import NodeTrialHook
from .log_lines import WindowLogProcessor
from .optim import CPUAmpOptimWrapper, ModuleLRConstructor
from .tracking import MLflowBackend, WandbBackend
from .untrained import UntrainedLoop

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
    "MLflowBackend",
    "ModuleLRConstructor",
    "NodeTrialHook",
    "PeakMemoryHook",
    "PictureHook",
    "PlainCheckpointHook",
    "ResumedScheduleHook",
    "SetStatisticsHook",
    "ShareCheckHook",
    "SuperpixelPictureHook",
    "TrainingClockHook",
    "TrainingStageHook",
    "UntrainedLoop",
    "WandbBackend",
    "WindowLogProcessor",
]
