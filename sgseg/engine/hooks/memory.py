"""Log the peak memory beside the losses."""

from __future__ import annotations

import resource
import sys
from pathlib import Path
from typing import Any

import torch
from mmengine.hooks import Hook
from mmengine.runner import Runner

from ...registry import HOOKS


def peak_memory_mib() -> float:
    """Peak memory so far in MiB: of the GPU where there is one, else of the process."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated() / 2**20
    return process_peak_mib()


def process_peak_mib() -> float:
    """Largest resident memory of this process so far, in MiB."""
    status = Path("/proc/self/status")
    if status.is_file():
        # Not getrusage: its maximum is inherited from the parent, which may have been larger.
        return int(status.read_text(encoding="ascii").split("VmHWM:")[1].split()[0]) / 2**10
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)


@HOOKS.register_module()
class PeakMemoryHook(Hook):
    """Log ``peak_memory_mib`` with the step time that mmengine logs itself."""

    priority = "NORMAL"

    def after_train_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: Any = None,
        outputs: dict[str, Any] | None = None,
    ) -> None:
        """Record the peak for the log's next line."""
        runner.message_hub.update_scalar("train/peak_memory_mib", peak_memory_mib())
