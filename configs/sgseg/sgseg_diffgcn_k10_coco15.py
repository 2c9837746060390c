"""k = 10 neighbours (Table 6: 37.4 %)."""

from mmengine.config import read_base

with read_base():
    from .sgseg_diffgcn_coco15 import *  # noqa: F403

model.neck.knn = 10
