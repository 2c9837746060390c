"""What timm imports of torchvision, for machines whose torch no torchvision was built for.

PyPI's torchvision is built for CUDA and cannot be imported beside a CPU build of torch. timm's
networks use none of it: names are enough. Tests find this folder when there is no torchvision.
"""

__version__ = "0+stand.in"


def _missing(name: str) -> type:
    """A class that stands for a name and does nothing."""
    if name.startswith("__"):
        raise AttributeError(name)
    return type(name, (), {})
