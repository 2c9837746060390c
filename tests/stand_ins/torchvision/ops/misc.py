"""Names alone; see the package."""

from torchvision import _missing as __getattr__  # noqa: F401
