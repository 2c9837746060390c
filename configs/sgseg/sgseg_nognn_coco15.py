"""No graph: the pooled nodes go straight back onto the pixels (Tables 3 and 5: 35.7 %)."""

from mmengine.config import read_base

with read_base():
    from .sgseg_diffgcn_coco15 import *  # noqa: F403

model.neck = None
# Total variation is the graph network's own loss; the pooled features have no such loss.
model.losses.total_variation = None
