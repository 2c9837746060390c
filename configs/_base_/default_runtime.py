"""Hooks, logging and environment of every run; `default_hooks.NAME=None` leaves a hook out."""

from mmengine.hooks import DistSamplerSeedHook, IterTimerHook, LoggerHook, ParamSchedulerHook
from mmengine.visualization import LocalVisBackend, Visualizer

from sgseg.engine import (
    CollapseGuardHook,
    EqualBuffersHook,
    EvaluatedCheckpointHook,
    EvaluationRecordHook,
    FiniteLossHook,
    LabelFreeHook,
    LateScalarsHook,
    PeakMemoryHook,
    PictureHook,
    PlainCheckpointHook,
    ResumedScheduleHook,
    TrainingClockHook,
    WindowLogProcessor,
)

default_scope = "sgseg"

default_hooks = dict(
    runtime_info=dict(type=LateScalarsHook),
    timer=dict(type=IterTimerHook),
    # Every step is in one line, the last of an epoch too; scores stand at the step they are of.
    logger=dict(type=LoggerHook, interval=20, ignore_last=False, log_metric_by_epoch=False),
    param_scheduler=dict(type=ParamSchedulerHook),
    checkpoint=dict(
        type=EvaluatedCheckpointHook,
        interval=1,
        every_iters=0,  # set it where an epoch takes longer than you would like to lose
        # Two at least: the old file goes before the new one is whole.
        max_keep_ckpts=2,
        save_best="accuracy",  # kept apart as best_*.pth: it is selected with labels
        rule="greater",
        backend_args=dict(backend="sgseg_atomic"),
    ),
    sampler_seed=dict(type=DistSamplerSeedHook),
    finite=dict(type=FiniteLossHook),
    guard=dict(type=CollapseGuardHook),
    label_free=dict(type=LabelFreeHook, images=16),
    clock=dict(type=TrainingClockHook),
    schedule=dict(type=ResumedScheduleHook),
    plain_checkpoint=dict(type=PlainCheckpointHook),
    record=dict(type=EvaluationRecordHook),
    pictures=dict(type=PictureHook, count=6, interval=1),
    memory=dict(type=PeakMemoryHook),
    buffers=dict(type=EqualBuffersHook),
)
custom_hooks = []  # those of a file of one's own

visualizer = dict(type=Visualizer, vis_backends=[dict(type=LocalVisBackend)])
log_processor = dict(type=WindowLogProcessor)
log_level = "INFO"

randomness = dict(seed=0)
env_cfg = dict(
    cudnn_benchmark=True,
    mp_cfg=dict(mp_start_method="fork", opencv_num_threads=0),
    dist_cfg=dict(backend="nccl"),
)
sync_bn = "torch"  # several GPUs: one batch, one set of statistics
find_unused_parameters = True  # the head does not run while the superpixels pre-train
load_from = None
resume = False
