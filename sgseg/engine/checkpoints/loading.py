"""Reading checkpoints safely, and the plain values that make it possible."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.logging import HistoryBuffer

_BUFFER = "sgseg_history"


def load_checkpoint(path: str | Path) -> dict[str, Any]:
    """Read a checkpoint on the CPU without running any code in it.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is not a plain checkpoint, truncated or malicious.
    """
    if not Path(path).is_file():
        folder = Path(path) if Path(path).is_dir() else Path(path).parent
        inside = ", ".join(sorted(each.name for each in folder.glob("epoch_*.pth"))[-5:])
        what = "it is a folder, with" if folder == Path(path) else f"{folder} has"
        hint = f"; {what} {inside}" if inside else ""
        raise FileNotFoundError(f"{path}: no such checkpoint{hint}")
    try:
        _check_sums(path)
        checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise ValueError(
            f"{path}: not a readable checkpoint ({type(error).__name__}: {str(error)[:200]}); "
            "sgseg reads tensors and plain values only"
        ) from error
    if not isinstance(checkpoint, dict) or "state_dict" not in checkpoint:
        raise ValueError(f"{path}: holds no state_dict, so it is not a checkpoint of sgseg")
    if "config" in checkpoint.get("meta", {}):
        raise ValueError(
            f"{path}: not read, for its meta holds `config`: text that mmengine would run as "
            "Python when resuming. Checkpoints of sgseg hold `cfg`, which nothing runs"
        )
    return checkpoint


def _check_sums(path: str | Path) -> None:
    """torch.load looks at no check sum: a flipped bit in a weight would pass (measured)."""
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as file:
            broken = file.testzip()
        if broken:
            raise ValueError(f"the check sum of {broken} is wrong")


def plain(value: Any) -> Any:
    """``value`` with history buffers, arrays and NumPy scalars as plain Python and tensors."""
    if isinstance(value, HistoryBuffer):
        history, counts = value.data
        return {_BUFFER: [history.tolist(), counts.tolist()]}
    if isinstance(value, np.ndarray):
        return torch.from_numpy(value.copy())
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(plain(item) for item in value)
    return value


def is_of_its_weights(record: Mapping[str, Any], meta: Mapping[str, Any]) -> bool:
    """Whether a record derived from weights is of those that ``meta`` stands beside.

    Args:
        record: with the step (``iter``) and the ``epoch`` that it was derived at; older ones name
            the epoch alone.
        meta: of a checkpoint.
    """
    key = "iter" if "iter" in record else "epoch"
    return record.get(key) == meta.get(key)


def restore_buffers(scalars: dict[str, Any]) -> dict[str, Any]:
    """Logged ``scalars`` with the history buffers that :func:`plain` took apart."""
    return {
        name: HistoryBuffer(*value[_BUFFER])
        if isinstance(value, dict) and _BUFFER in value
        else value
        for name, value in scalars.items()
    }
