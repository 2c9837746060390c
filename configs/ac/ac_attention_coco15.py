"""AC with an attention block behind the residual blocks, at output stride 4."""

from mmengine.config import read_base

with read_base():
    from .ac_coco15 import *  # noqa: F403

model.decode_head.merge(dict(attention=True, output_stride=4))
