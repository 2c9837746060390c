"""The paper's main model at full size, one training step."""

import os
import time

import pytest
import torch

from sgseg.engine.hooks.memory import peak_memory_mib
from sgseg.registry import MODELS
from sgseg.training import build_config
from tests.conftest import ROOT


@pytest.mark.slow
def test_one_step_at_paper_size(capsys: pytest.CaptureFixture[str]) -> None:
    """sgseg_diffgcn_coco15 trains a step at batch 1 on a CPU, all three parts."""
    torch.set_num_threads(os.cpu_count() or 1)
    config = build_config(ROOT / "configs/sgseg/sgseg_diffgcn_coco15.py")
    model = MODELS.build(config.model)
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-6)
    images = torch.randint(0, 256, (1, 3, 128, 128), dtype=torch.uint8)
    started = time.perf_counter()
    data = model.data_preprocessor(dict(inputs=images), True)
    terms = model(**data, mode="loss")
    sum(value for name, value in terms.items() if "loss" in name).backward()
    optimiser.step()
    seconds = time.perf_counter() - started
    with capsys.disabled():
        print(f"\npaper size, batch 1: {seconds:.1f} s a step, peak {peak_memory_mib():.0f} MiB")
    assert all(value.isfinite() for value in terms.values())
    assert all(parameter.grad is not None for parameter in model.parameters())
