"""Adam, and K-Means on the features before every evaluation (Doersch, Isola)."""

from mmengine.config import read_base

from sgseg.engine import ClusterFeaturesHook

with read_base():
    from .adam import *  # noqa: F403

default_hooks.clustering = dict(type=ClusterFeaturesHook, pixels=500_000, interval=1)
# IIC's default is 1e-2, its rates per set are not public.
optim_wrapper.paramwise_cfg.lr = dict(backbone=1e-3, context_head=1e-3, decode_head=1e-3)
