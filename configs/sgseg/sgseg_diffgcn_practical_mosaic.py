"""The full model of the practical recipe on mosaics of real textures, node features in from the
start."""

from mmengine.config import read_base

with read_base():
    from .sgseg_diffgcn_mosaic import *  # noqa: F403

default_hooks.stage.stages = [(0, "superpixel"), (2, "segmentation")]
default_hooks.pop("trial")
optim_wrapper.paramwise_cfg.lr.merge(dict(neck=1e-3, fusion=2e-3))
