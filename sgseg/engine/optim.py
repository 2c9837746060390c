"""One absolute learning rate per part of the model (Table 12)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from mmengine.optim import OptimWrapper
from mmengine.registry import OPTIMIZERS
from torch import nn

from ..registry import OPTIM_WRAPPER_CONSTRUCTORS, OPTIM_WRAPPERS
from .distributed import unwrapped


@OPTIM_WRAPPERS.register_module()
class CPUAmpOptimWrapper(OptimWrapper):
    """Training under bfloat16 autocast on a CPU, which mmengine's own AMP wrapper refuses.

    bfloat16 has the exponents of float32, so nothing needs a loss scale.
    """

    @contextmanager
    def optim_context(self, model: nn.Module) -> Iterator[None]:
        """Autocast around the forward pass."""
        with super().optim_context(model), torch.autocast("cpu", dtype=torch.bfloat16):
            yield


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class ModuleLRConstructor:
    """Build the optimiser with one parameter group per part of the model.

    Config: ``optim_wrapper=dict(optimizer=dict(type=Adam), constructor=ModuleLRConstructor,
    paramwise_cfg=dict(lr=dict(backbone=1e-5, neck=5e-4, decode_head=5e-6)))``.

    Args:
        optim_wrapper_cfg: config of the wrapper with its ``optimizer``; ``fused="auto"`` there
            takes torch's fused step on a CPU or a GPU (a third of the time on one CPU core).
        paramwise_cfg: ``lr``: name of a direct child of the model -> learning rate. A rate for a
            part that the model does not have is allowed, so that ablations share one schedule.

    Raises:
        ValueError: for a trainable parameter without a rate, or another key than ``lr``.
    """

    def __init__(
        self, optim_wrapper_cfg: Mapping[str, Any], paramwise_cfg: Mapping[str, Any] | None = None
    ) -> None:
        if not (paramwise_cfg and isinstance(paramwise_cfg.get("lr"), Mapping)):
            raise ValueError(
                "ModuleLRConstructor: paramwise_cfg must hold lr, for example "
                "dict(lr=dict(backbone=1e-5, neck=5e-4, decode_head=5e-6))"
            )
        unread = sorted(set(paramwise_cfg) - {"lr"})
        if unread:
            raise ValueError(
                f"ModuleLRConstructor: paramwise_cfg holds {', '.join(unread)}, which it does not "
                "read; it takes lr alone, a rate for each part of the model"
            )
        self.wrapper = dict(optim_wrapper_cfg)
        self.optimizer = dict(self.wrapper.pop("optimizer"))
        self.rates = dict(paramwise_cfg["lr"])

    def __call__(self, model: nn.Module) -> OptimWrapper:
        """The optimiser wrapper for ``model``."""
        bare = unwrapped(model)
        groups: dict[str, list[nn.Parameter]] = {}
        for name, parameter in bare.named_parameters():
            if parameter.requires_grad:
                groups.setdefault(name.split(".")[0], []).append(parameter)
        missing = sorted(set(groups) - set(self.rates))
        if missing:
            raise ValueError(
                f"ModuleLRConstructor: no learning rate for {missing}; paramwise_cfg.lr has "
                f"{sorted(self.rates)}: add one entry per part"
            )
        config = dict(self.optimizer)
        if config.get("fused") == "auto":
            used = {p.device.type for group in groups.values() for p in group}
            config["fused"] = used <= {"cpu", "cuda"}
        config["params"] = [
            dict(params=parameters, lr=self.rates[part], name=part)
            for part, parameters in groups.items()
        ]
        wrapper = dict(type="OptimWrapper") | self.wrapper
        return OPTIM_WRAPPERS.build(wrapper | dict(optimizer=OPTIMIZERS.build(config)))
