"""SGSeg as the paper has it on Potsdam: RGBIR, N = 100 and the weights of Table 12."""

from mmengine.config import read_base

with read_base():
    from .sgseg import *  # noqa: F403

model.merge(
    dict(
        data_preprocessor=dict(bands=4),
        backbone=dict(num_superpixels=100),
        losses=dict(smoothness=dict(weight=1.0), edge=dict(weight=0.5)),
    )
)
