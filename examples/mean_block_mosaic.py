"""The demo's config with the block of mean_block.py, named by its class."""

from mean_block import MeanBlock
from mmengine.config import read_base

with read_base():
    from sgseg.configs.sgseg.sgseg_diffgcn_mosaic import *

model.neck.block = dict(type=MeanBlock)
