"""IIC on Potsdam3, RGBIR, 3 classes (Table 1: 65.1 %)."""

from mmengine.config import read_base

with read_base():
    from .._base_.datasets.potsdam3 import *  # noqa: F403
    from .._base_.models.iic import *  # noqa: F403
    from .._base_.schedules.alternate_heads import *  # noqa: F403

model.merge(
    dict(
        data_preprocessor=dict(bands=4),
        backbone=dict(sobel=False),
        decode_head=dict(num_classes=3),
        overclustering=8,
        views=dict(brightness=0.1, contrast=0.1, saturation=0.1, hue=0.1),
        losses=dict(decode_head=dict(balance=1.5)),
    )
)
total_batch_size = 75
train_dataloader.dataset.transforms.pop(-2)  # only the second view is mirrored
optim_wrapper.paramwise_cfg.lr = dict(backbone=1e-5, auxiliary_head=1e-5, decode_head=1e-5)
