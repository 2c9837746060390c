"""Two epochs of superpixels, 29 of the head alone, three with node features on trial.

Node features stay only if scores without labels say that they help. For another length set
``--epochs``: stages and rates keep their proportions.
"""

from mmengine.config import read_base

from sgseg.engine import NodeTrialHook

with read_base():
    from .practical import *  # noqa: F403

default_hooks.stage.stages = [(0, "superpixel"), (2, "head"), (31, "segmentation")]
default_hooks.trial = dict(type=NodeTrialHook)
# By then the head has all but ended: where the trial fails, and without labels it mostly does, the
# head has lost a tenth of its epochs. The graph learns in the trial alone, where the common fall
# has come to a 25th and less.
optim_wrapper.paramwise_cfg.lr.merge(dict(neck=3e-2, fusion=6e-2))
