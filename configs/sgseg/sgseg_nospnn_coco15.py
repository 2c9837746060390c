"""The head alone on the image (Table 3: 31.1 %)."""

from mmengine.config import read_base

with read_base():
    from .sgseg_diffgcn_coco15 import *  # noqa: F403

model.backbone = None
model.neck = None
model.losses.merge(
    dict(
        clustering=None,
        smoothness=None,
        superpixel_reconstruction=None,
        edge=None,
        total_variation=None,
    )
)
default_hooks.stage.stages = [(0, "joint")]
train_cfg.merge(dict(max_epochs=10, val_begin=1))
