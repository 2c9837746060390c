"""AC with displacements of up to 10 pixels, which its paper names and its table may have used."""

from mmengine.config import read_base

with read_base():
    from .ac_coco15 import *  # noqa: F403

model.losses.mutual_information.half_window = 10
