"""Views: differently lit, mirrored or moved copies of an image that must be read alike."""

from .jittered import JitteredViews
from .pair import ViewPair
from .photometric import PhotometricViews

__all__ = ["JitteredViews", "PhotometricViews", "ViewPair"]
