"""Learning rates as they act: of each named part of the model, 0 for a part that stands still."""

from __future__ import annotations

from typing import Any

from mmengine.optim import OptimWrapper, OptimWrapperDict
from torch.optim import Optimizer


class ActingRates:
    """Learning rate of each parameter group, read off the optimiser's last step.

    An optimiser passes over parameters without a gradient, so a group that had none at all in the
    last step has the rate 0, whatever stands in the optimiser: the head while the superpixels
    pre-train, a backbone that a stage freezes.

    Args:
        wrapper: of one optimiser, or of several by name.
    """

    def __init__(self, wrapper: OptimWrapper | OptimWrapperDict) -> None:
        several = isinstance(wrapper, OptimWrapperDict)
        wrappers = wrapper.items() if several else [("", wrapper)]
        self._optimizers: dict[str, Optimizer] = {n: w.optimizer for n, w in wrappers}
        self._moved: dict[Optimizer, list[bool]] = {}
        for optimizer in self._optimizers.values():
            optimizer.register_step_pre_hook(self._look)

    def forget(self) -> None:
        """Wait for the next step: what moves may be other from here on."""
        self._moved = {}

    def read(self) -> dict[str, float]:
        """``lr/NAME`` -> rate of each named group, ``lr`` of groups without a name.

        Several groups of one name that differ give ``.../lowest`` and ``.../highest``. Nothing is
        known of an optimiser before its first step.
        """
        rates: dict[str, list[float]] = {}
        for prefix, optimizer in self._optimizers.items():
            moved = self._moved.get(optimizer, [])
            for group, moves in zip(optimizer.param_groups, moved, strict=False):
                name = "/".join(filter(None, ("lr", prefix, group.get("name"))))
                rates.setdefault(name, []).append(float(group["lr"]) if moves else 0.0)
        acting = {}
        for name, values in rates.items():
            if len(set(values)) == 1:
                acting[name] = values[0]
            else:
                acting |= {f"{name}/lowest": min(values), f"{name}/highest": max(values)}
        return acting

    def _look(self, optimizer: Optimizer, args: Any, kwargs: Any) -> None:
        self._moved[optimizer] = [
            any(parameter.grad is not None for parameter in group["params"])
            for group in optimizer.param_groups
        ]
