"""Every config trains behind mmengine's conversion to synchronised batch normalisation."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.config import Config
from mmengine.model import convert_sync_batchnorm
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from tests.configs.steps import PATHS, batch, build, steps, take

_COMPARED: set[str] = set()
"""Steps that several configs share are taken once."""


def state(model: nn.Module) -> dict[str, Tensor | None]:
    """Everything that a step changes: gradients, statistics and their counts."""
    grads = {f"grad of {name}": weight.grad for name, weight in model.named_parameters()}
    return dict(model.named_buffers()) | grads


def compare(config: Config, stage: str | None) -> None:
    """A step with and without the conversion, as a launcher of several GPUs makes it."""
    plain, converted = build(config, stage), convert_sync_batchnorm(build(config, stage))
    norms = [type(m) for m in converted.modules() if isinstance(m, _BatchNorm)]
    assert set(norms) == {nn.SyncBatchNorm}
    counted: dict[str, Tensor] = {}

    def note(*_: Any) -> None:
        counted.update({name: buffer.clone() for name, buffer in converted.named_buffers()})

    losses = take(plain, batch(config)), take(converted, batch(config), between=note)
    assert torch.equal(*losses)
    torch.testing.assert_close(state(converted), state(plain), rtol=0, atol=0)
    # What is recomputed in the backward pass counts no batch and moves no running mean.
    torch.testing.assert_close(dict(converted.named_buffers()), counted, rtol=0, atol=0)
    assert max(int(n) for name, n in counted.items() if name.endswith("tracked")) in (1, 2)


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_a_converted_step_is_the_plain_step(path: Path) -> None:
    """In every stage: equal losses, gradients, running statistics and counts, to the last bit."""
    for key, config, stage in steps(path):
        if key not in _COMPARED:
            compare(config, stage)
            _COMPARED.add(key)
