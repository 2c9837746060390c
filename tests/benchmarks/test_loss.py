"""The benchmark of the losses: what it promises at a size that takes a second."""

from argparse import ArgumentParser

import pytest
import torch

from benchmarks import loss
from sgseg.ops.fused import fused_by

SMALL = "--batch 2 --superpixels 96 --side 24 --readings 3 --classes 4 --half-window 3 --repeats 1"


def test_memory_and_equality_at_a_small_size() -> None:
    """All losses together keep less than a third of what their plain forms keep.

    Memory is counted, not measured, so the ratios hold on every machine; that values and gradients
    agree is checked by the run itself.
    """
    parser = ArgumentParser()
    loss.add_arguments(parser)
    result = loss.run(parser.parse_args(SMALL.split()))
    rows = {row.name: row.values for row in result.rows}
    assert len(rows) == (4 + 1 + 1) * 2 + 4 + 1
    assert rows["Eq 9: nine numbers a pixel"]["sgseg / saved"] > 96 / 9 / 1.2
    assert rows["Eq 8, all four: nine numbers a pixel"]["sgseg / saved"] > 2
    assert rows["Eq 8, all four: plain"]["saved / sgseg"] > 3
    assert rows["Eq 9: plain"]["saved / sgseg"] > 1.9
    assert rows["Eq 10: plain"]["saved / sgseg"] > 2.5
    assert result.figures["largest gradient diff"] <= loss.TOLERANCE


@pytest.mark.parametrize("value, slope", [(1.001, 1.0), (1.0, 1.001)])
def test_forms_that_differ_end_the_run(value: float, slope: float) -> None:
    """A fast wrong answer is no result: value and gradient are both compared."""
    x = torch.ones(3, requires_grad=True)

    @fused_by(lambda x: (slope * (x - x.detach()) + value * x.detach()).sum())
    def total(x: torch.Tensor) -> torch.Tensor:
        return x.sum()

    with pytest.raises(RuntimeError, match="Eq 0: sgseg differs from its plain form by more than"):
        loss.compare("Eq 0", loss.Case(lambda: total(x), (x,), 1))
