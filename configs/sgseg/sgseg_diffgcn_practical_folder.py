"""The full model of the practical recipe on any folder of images, node features in from the start:
tools/train.py THIS --data FOLDER --num-classes K."""

from mmengine.config import read_base

with read_base():
    from .sgseg_diffgcn_folder import *  # noqa: F403

# As long as the head alone has in sgseg_diffgcn_folder, at four times the time a step.
default_hooks.stage.stages = [(0, "superpixel"), (2, "segmentation")]
default_hooks.pop("trial")
optim_wrapper.paramwise_cfg.lr.merge(dict(neck=1e-3, fusion=2e-3))
