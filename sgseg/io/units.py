"""Units of an image: the type of its samples, and the values that stand for 0 and 1.

The one place that turns samples into [0, 1]: for files and arrays, training and prediction.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

_USUAL = {"uint8": 255.0, "uint16": 65535.0, "float": 1.0}
"""Type of sample -> the value that stands for 1 where nobody says another."""
_STATED = ("int16", "int32", "uint32")
"""Types of elevations, counts and the like, whose ends somebody has to state."""


@dataclass(frozen=True)
class Units:
    """Type of the samples, and the values that stand for 0 and 1.

    Args:
        dtype: ``uint8``, ``uint16`` or ``float`` (of any width); ``int16``, ``int32``, ``uint32``.
        low, high: values that become 0 and 1.

    Raises:
        ValueError: for another type, an end that is infinite or nan, or ``high`` not above ``low``.
    """

    dtype: str = "uint8"
    low: float = 0.0
    high: float = 255.0

    def __post_init__(self) -> None:
        finite = math.isfinite(self.low) and math.isfinite(self.high)
        if self.dtype not in (*_USUAL, *_STATED) or not finite or not self.low < self.high:
            raise ValueError(
                f"Units: {self.dtype} from {self.low:g} to {self.high:g}; wanted is one of "
                f"{', '.join((*_USUAL, *_STATED))}, from a value to a larger one, both finite"
            )

    def __str__(self) -> str:
        return f"{self.dtype} from {self.low:g} to {self.high:g}"

    @property
    def usual(self) -> bool:
        """Whether the whole range of the type is meant (of floats: 0 to 1)."""
        return (self.low, self.high) == (0.0, _USUAL.get(self.dtype))

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for a checkpoint or an exported model."""
        return asdict(self)

    @classmethod
    def of(cls, given: Units | Mapping[str, Any] | None) -> Units | None:
        """The units that :meth:`as_dict` described; None stays None."""
        return given if given is None or isinstance(given, Units) else cls(**given)


def kind_of(dtype: npt.DTypeLike) -> str:
    """A type of :class:`Units`; ValueError for samples of another."""
    given = np.dtype(dtype)
    name = "float" if given.kind == "f" else given.name
    if name not in _USUAL and name not in _STATED:
        raise ValueError(
            f"holds {given}; expected {', '.join((*_USUAL, *_STATED))}: convert it, two values to "
            "8 bits of 0 and 255"
        )
    return name


def units_of(dtype: npt.DTypeLike, value_range: tuple[float, float] | None = None) -> Units:
    """Units of samples of a type: its whole range, or the one that somebody states.

    Raises:
        ValueError: for a type in no known unit, or one whose ends have to be stated and are not.
    """
    kind = kind_of(dtype)
    if value_range is None and kind in _STATED:
        raise ValueError(
            f"holds {kind}, which has no usual ends: state which of its values stand for 0 and 1 "
            "(value_range, --value-range LOW HIGH), or convert it to 8 or 16 bits without sign"
        )
    low, high = value_range or (0.0, _USUAL[kind])
    return Units(kind, float(low), float(high))


def to_unit_range(image: Array, units: Units | None = None) -> Array:
    """Samples as the network's pipeline takes them.

    Args:
        image: samples, any shape.
        units: what they mean; default the usual ones of their type.

    Returns:
        uint8 as they are where 0 to 255 is meant, else float32 in [0, 1]. Values of stated units
        beyond their ends are cut off there (reflectances above one are everyday); those of usual
        floats are refused.

    Raises:
        ValueError: for samples of another type than ``units``, nan or infinity, or floats outside
            [0, 1] of which nobody said what they mean.
    """
    units = units or units_of(image.dtype)
    if units.dtype != kind_of(image.dtype):
        raise ValueError(
            f"holds {describe(image)}; expected {units}, the data set's or the model's: convert "
            "it, or state what its values mean (value_range, --value-range LOW HIGH)"
        )
    if units.dtype == "uint8" and units.usual:
        return np.ascontiguousarray(image)
    if units.dtype == "float" and (bad := int((~np.isfinite(image)).sum())):
        raise ValueError(
            f"holds {bad} values of {image.size} that are nan or infinite: give finite ones, or "
            "declare them as nodata in the file"
        )
    if units.dtype == "float" and units.usual and image.size:
        if image.min() < 0 or image.max() > 1:
            raise ValueError(
                f"holds {describe(image)}; floats are taken in [0, 1]: scale them, or state their "
                "range (value_range, --value-range LOW HIGH)"
            )
    scaled = (image.astype(np.float32) - np.float32(units.low)) / np.float32(units.high - units.low)
    return np.clip(scaled, 0.0, 1.0)


def unit_floats(image: Array) -> npt.NDArray[np.float32]:
    """uint8 samples, or floats in [0, 1], as float32 in [0, 1]; any shape."""
    scaled = image.astype(np.float32)
    return scaled / np.float32(255) if image.dtype == np.uint8 else scaled


def describe(image: Array) -> str:
    """Type and extremes of samples, for a message."""
    if not image.size:
        return str(image.dtype)
    return f"{image.dtype} from {float(image.min()):g} to {float(image.max()):g}"
