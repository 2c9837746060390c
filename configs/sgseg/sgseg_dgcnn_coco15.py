"""DGCNNBlock as the graph block (Table 5: 36.0 %)."""

from mmengine.config import read_base

from sgseg.models import DGCNNBlock

with read_base():
    from .sgseg_diffgcn_coco15 import *  # noqa: F403

model.neck.block.type = DGCNNBlock
