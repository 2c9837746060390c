"""AC at the widths of the practical recipe on mosaics of real textures."""

from mmengine.config import read_base

with read_base():
    from .._base_.datasets.mosaic import *  # noqa: F403
    from .._base_.models.ac_practical import *  # noqa: F403
    from .._base_.schedules.falling import *  # noqa: F403

# Light is a nuisance here by construction.
model.data_preprocessor.standardise = "image"
model.views.merge(dict(contrast=0.6, brightness=0.6))
model.decode_head.num_classes = 3
optim_wrapper.paramwise_cfg.lr = dict(decode_head=2e-3)
