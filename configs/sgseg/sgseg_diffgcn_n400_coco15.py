"""N = 400 superpixels (Table 4: 38.5 %)."""

from mmengine.config import read_base

with read_base():
    from .sgseg_diffgcn_coco15 import *  # noqa: F403

model.backbone.num_superpixels = 400
