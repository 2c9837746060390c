"""What a config file of one's own changes takes effect, or is refused by name."""

from pathlib import Path
from typing import Any

import pytest
from mmengine.config import Config

from sgseg.training import build_config
from sgseg.training.length import stage_hook_of
from tests.conftest import ROOT

ALL = sorted(p for p in (ROOT / "configs").glob("[a-z]*/*.py") if p.parent.name != "tables")


@pytest.fixture
def own(tmp_path: Path) -> Any:
    """Build a file that inherits from a shipped one and adds lines to it."""
    for folder in (ROOT / "configs").iterdir():
        (tmp_path / folder.name).symlink_to(folder)
    (tmp_path / "mine").mkdir()

    def build(lines: str, base: str = "sgseg.sgseg_diffgcn_mosaic") -> Config:
        path = tmp_path / "mine" / "own.py"
        head = "from mmengine.config import read_base\nwith read_base():\n"
        path.write_text(f"{head}    from ..{base} import *\n{lines}\n")
        return build_config(path)

    return build


@pytest.mark.parametrize(
    "line",
    [
        "learning_rates.merge(dict(neck=9.0))",
        "learning_rates = dict(neck=9.0)",
        "learning_rates.neck = 9.0",
        "optim_wrapper.paramwise_cfg.lr.neck = 9.0",
    ],
)
def test_rates_of_a_file_act_by_either_name(own: Any, line: str) -> None:
    """The other rates stay."""
    assert own(line).optim_wrapper.paramwise_cfg.lr == {
        **build_config(
            ROOT / "configs/sgseg/sgseg_diffgcn_mosaic.py"
        ).optim_wrapper.paramwise_cfg.lr,
        "neck": 9.0,
    }


@pytest.mark.parametrize(
    "line",
    [
        "stage_hook.merge(dict(stages=[(0, 'joint')]))",
        "stage_hook = dict(stages=[(0, 'joint')])",
        "custom_hooks[-1].merge(dict(stages=[(0, 'joint')]))",
    ],
)
@pytest.mark.parametrize("base", ["sgseg_diffgcn_mosaic", "sgseg_diffgcn_disjoint_coco15"])
def test_stages_of_a_file_act_by_either_name(own: Any, line: str, base: str) -> None:
    """So they do where the file inherited from has changed the hook itself."""
    assert stage_hook_of(own(line, f"sgseg.{base}")).stages == [(0, "joint")]


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ("stage_hook = None", "`stage_hook` differs from what custom_hooks holds"),
        ("statistics_hook.images = 3", "nothing in custom_hooks is made of it"),
        (
            "learning_rates.neck = 9.0\noptim_wrapper.paramwise_cfg.lr.neck = 8.0",
            "`learning_rates` differs from what optim_wrapper.paramwise_cfg.lr holds",
        ),
        ("compile = True", "the training step cannot be compiled"),
        ("optim_wrapper.optimizer.lr = 1e-3", "set learning_rates.PART"),
    ],
)
def test_what_would_do_nothing_is_refused(own: Any, lines: str, said: str) -> None:
    """The sentence names the place that acts."""
    with pytest.raises(ValueError, match=said):
        own(lines)


@pytest.mark.parametrize(
    ("slip", "key"),
    [
        ("train_cgf", "train_cfg"),
        ("optim_wraper", "optim_wrapper"),
        ("log_levell", "log_level"),
        ("default_hook", "default_hooks"),
        ("val_datalaoder", "val_dataloader"),
        ("train_loader", "train_dataloader"),
        ("val_loader", "val_dataloader"),
        ("stage_hok", "stage_hook"),
    ],
)
def test_a_slip_beside_the_inherited_key_is_refused(own: Any, slip: str, key: str) -> None:
    """The right key is always there, inherited: that is no sign that the name is another's."""
    with pytest.raises(ValueError, match=f"`{slip}` is no key.*`{key}`"):
        own(f"{slip} = dict(max_epochs=5)")


def test_a_files_own_variables_and_imports_stay(own: Any) -> None:
    """A key taken out leaves its class, which differs by a capital."""
    assert "visualizer" not in own("del visualizer")
    assert own("_model = 3\nnotes = 4").notes == 4


@pytest.mark.parametrize("path", ALL, ids=lambda path: path.stem)
def test_shipped_files_mean_what_they_hold(path: Path) -> None:
    """No second name of a shipped file overrules a hook or a rate."""
    stated, built = Config.fromfile(path), build_config(path)
    assert built.custom_hooks == stated.custom_hooks
    assert built.optim_wrapper.paramwise_cfg == stated.optim_wrapper.paramwise_cfg
