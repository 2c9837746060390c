"""N = 50 superpixels (Table 4: 73.4 %)."""

from mmengine.config import read_base

with read_base():
    from .sgseg_diffgcn_coco3 import *  # noqa: F403

model.backbone.num_superpixels = 50
