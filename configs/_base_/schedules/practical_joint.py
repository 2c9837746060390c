"""The practical recipe's length and rates for the paper's stages and standardisation."""

from mmengine.config import read_base

with read_base():
    from .practical import *  # noqa: F403

default_hooks.stage.stages = [(0, "superpixel"), (2, "joint")]
default_hooks.pop("statistics")
