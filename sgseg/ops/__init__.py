"""Pure functions of tensors (matching: of arrays); nothing here knows configs or batches."""

from .superpixel import coordinates, hard_image, pool, project, soft_image

__all__ = ["coordinates", "hard_image", "pool", "project", "soft_image"]
