"""What a config file of one's own changes takes effect, or is refused by name."""

from pathlib import Path
from typing import Any

import pytest
from mmengine.config import Config

from sgseg.training import build_config
from sgseg.training.length import stages_of
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


@pytest.mark.parametrize("base", ["sgseg_diffgcn_mosaic", "sgseg_diffgcn_disjoint_coco15"])
def test_rates_and_stages_of_a_file_act(own: Any, base: str) -> None:
    """The other rates stay, and so does the other file."""
    before = build_config(ROOT / f"configs/sgseg/{base}.py")
    config = own(
        "optim_wrapper.paramwise_cfg.lr.neck = 9.0\n"
        "default_hooks.stage.stages = [(0, 'joint')]\ndefault_hooks.pictures = None",
        f"sgseg.{base}",
    )
    rates = before.optim_wrapper.paramwise_cfg.lr
    assert config.optim_wrapper.paramwise_cfg.lr == {**rates, "neck": 9.0} != rates
    assert stages_of(config) == [(0, "joint")] != stages_of(before)
    assert set(before.default_hooks) - set(config.default_hooks) == {"pictures"}


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ("compile = True", "the training step cannot be compiled"),
        ("optim_wrapper.optimizer.lr = 1e-3", "set optim_wrapper.paramwise_cfg.lr.PART"),
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
        ("preset_referense", "preset_reference"),
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
