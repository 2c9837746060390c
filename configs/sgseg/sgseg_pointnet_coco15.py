"""PointNetBlock as the graph block (Table 5: 36.2 %)."""

from mmengine.config import read_base

from sgseg.models import PointNetBlock

with read_base():
    from .sgseg_diffgcn_coco15 import *  # noqa: F403

model.neck.block.type = PointNetBlock
