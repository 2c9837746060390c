"""K-Means on colours on any folder of images:
tools/train.py THIS --data FOLDER --num-classes K."""

from mmengine.config import read_base

with read_base():
    from .._base_.datasets.folder import *  # noqa: F403
    from .._base_.models.kmeans import *  # noqa: F403
    from .._base_.schedules.untrained import *  # noqa: F403

model.decode_head.num_classes = 4
train_dataloader.sampler.images = None  # nothing is learned of an image seen twice
