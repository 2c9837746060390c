"""Settings of a config that follow from the machine: worker processes and devices."""

from __future__ import annotations

import torch
from mmengine.config import Config
from mmengine.logging import print_log

LOADERS = ("train_dataloader", "val_dataloader", "test_dataloader")
_OF_WORKERS = ("persistent_workers", "prefetch_factor", "timeout", "multiprocessing_context")
"""Settings that torch refuses where there is no worker process."""


def settle_workers(config: Config) -> None:
    """Drop what torch refuses or ignores: settings of workers without any, pinning without a GPU.

    The batches are the same: augmentations are drawn by index, whoever reads the image.

    Args:
        config: changed in place.
    """
    for name in LOADERS:
        loader = config.get(name)
        if not loader:
            continue
        if not torch.cuda.is_available():
            loader.pop("pin_memory", None)
        if loader.get("num_workers", 0):
            continue
        dropped = [key for key in _OF_WORKERS if loader.pop(key, None)]
        if dropped:
            print_log(
                f"{name}.num_workers = 0: this process reads the images itself, the same batches; "
                f"{', '.join(dropped)} of worker processes left out",
                logger="current",
            )


def settle_device(config: Config) -> None:
    """Set gloo, no device ids and no synchronised statistics where there are no GPUs.

    mmengine supposes a GPU per process, and torch synchronises statistics on GPUs only.

    Args:
        config: changed in place.
    """
    if torch.cuda.is_available():
        return
    config.pop("sync_bn", None)
    if config.launcher != "none":
        config.env_cfg.dist_cfg.backend = "gloo"
        config.model_wrapper_cfg = dict(
            type="MMDistributedDataParallel",
            device_ids=None,
            broadcast_buffers=False,
            find_unused_parameters=config.get("find_unused_parameters", False),
        )
