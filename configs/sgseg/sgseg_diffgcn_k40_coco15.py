"""k = 40 neighbours (Table 6: 39.0 %)."""

from mmengine.config import read_base

with read_base():
    from .sgseg_diffgcn_coco15 import *  # noqa: F403

model.neck.knn = 40
