"""GPU-hours of a table's rows: counted arithmetic, a stated utilisation, no data."""

from pathlib import Path

import pytest

from sgseg.cli import main
from sgseg.comparison import Data, Request, load_table, row_configs
from sgseg.cost import budget
from sgseg.cost.plan import GIBI
from sgseg.cost.runtimes import arithmetic
from sgseg.cost.workload import countable
from sgseg.training.length import stage_lengths
from tests.conftest import ROOT, tiny_config


@pytest.mark.slow
def test_a_run_is_its_steps_and_its_evaluations(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As Table 11 counts a step and a prediction; memory is the plan's at the config's batch."""
    monkeypatch.setattr(budget, "step_peak", lambda *given: (10.0, 2.0))
    config = tiny_config(tmp_path)
    made = budget.run_budget(config, images=1000, scored=100)
    counted = arithmetic(config)
    read = 1e9 * counted["inference GFLOP"] * 100 * budget._evaluations(config)
    last = 1e9 * counted["training GFLOP"] * 1000 * list(stage_lengths(config).values())[-1]
    assert made.flop > read + last and made.flop < 20 * (read + last)
    weights = sum(4 * p.numel() for p in countable(config.model).parameters())
    assert made.single == made.half == 3 * weights + 10 + 2 * made.batch


def test_hours_follow_from_rate_and_utilisation() -> None:
    """A petaflop at 10 TFLOP/s and 50 % is 200 s; what does not fit has no hours."""
    made = budget.Budget(1e15, 8, single=20 * GIBI, half=5 * GIBI)
    card = budget.Card("x", 16, single=10, half=20)
    assert made.hours(card, 0.5, amp=True) == pytest.approx(100 / 3600)
    assert made.hours(card, 0.5, amp=False) is None
    assert made.hours(card._replace(memory=24), 0.5, amp=False) == pytest.approx(200 / 3600)
    with pytest.raises(ValueError, match="--utilisation 20"):
        budget.budget_table("t", [], 1, 1, 20.0)


def test_rows_are_counted_without_data(capsys: pytest.CaptureFixture[str]) -> None:
    """Every row of Table 1 on Potsdam has a config; sizes are the published ones."""
    asked = Request(
        load_table("table1", ROOT / "configs"),
        Data("potsdam", elsewhere=True),
        ROOT / "configs",
        preset="paper",
        recipes=("paper",),
    )
    names = [name for name, _ in row_configs(asked)]
    assert names[0] == "Random CNN" and names[-1] == "SGSeg (paper)" and len(names) == 9
    assert budget.SETS["coco15"] == (51_804, 51_804) and budget.SETS["potsdam"] == (8_550, 5_400)
    given = ("tables", "table1", "--data", "potsdam", "--rows", "K-Means", "--preset", "paper")
    assert main([*given, "--budget"]) == 0
    assert "K-Means" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        main(["tables", "table5", "--data", "mosaic", "--budget"])
