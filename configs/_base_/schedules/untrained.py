"""K-Means of colours: one empty epoch, then the centres, evaluation and checkpoint."""

from mmengine.config import read_base

from sgseg.engine import ClusterFeaturesHook, UntrainedLoop

with read_base():
    from .adam import *  # noqa: F403

train_cfg = dict(type=UntrainedLoop, max_epochs=1, val_interval=1)
optim_wrapper.paramwise_cfg.lr = dict(decode_head=0.0)
# IIC's number of pixels is not public.
default_hooks.clustering = dict(type=ClusterFeaturesHook, pixels=1_000_000, interval=None)
