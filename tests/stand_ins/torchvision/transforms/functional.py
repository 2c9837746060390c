"""Names alone; see the package."""

from enum import Enum

from torchvision import _missing as __getattr__  # noqa: F401

InterpolationMode = Enum("InterpolationMode", "NEAREST BILINEAR BICUBIC BOX HAMMING LANCZOS")
