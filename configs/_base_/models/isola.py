"""Isola as IIC repeats it: are two windows neighbours, for RGB and 15 classes."""

from mmengine.config import read_base

from sgseg.models import CoOccurrence

with read_base():
    from .doersch import *  # noqa: F403

model.merge(dict(task=dict(_delete_=True, type=CoOccurrence, side=11), drop_colours=False))
