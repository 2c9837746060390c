"""Two epochs of superpixels, 26 of the head alone, six with node features on trial.

Node features stay only if scores without labels say that they help. For another length set
``--epochs``: stages and rates keep their proportions.
"""

from mmengine.config import read_base

from sgseg.engine import NodeTrialHook

with read_base():
    from .practical import *  # noqa: F403

default_hooks.stage.stages = [(0, "superpixel"), (2, "head"), (28, "segmentation")]
default_hooks.trial = dict(type=NodeTrialHook)
# The graph learns in the trial alone, where the common fall has come to a tenth and less.
optim_wrapper.paramwise_cfg.lr.merge(dict(neck=1e-2, fusion=2e-2))
