"""N = 50 superpixels (Table 4: 36.7 %)."""

from mmengine.config import read_base

with read_base():
    from .sgseg_diffgcn_coco15 import *  # noqa: F403

model.backbone.num_superpixels = 50
