"""Tasks without labels that features are learned by."""

from .context import CoOccurrence, RelativePosition

__all__ = ["CoOccurrence", "RelativePosition"]
