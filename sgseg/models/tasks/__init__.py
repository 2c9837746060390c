"""Pretext tasks, by which features are learned without labels."""

from .context import CoOccurrence, RelativePosition

__all__ = ["CoOccurrence", "RelativePosition"]
