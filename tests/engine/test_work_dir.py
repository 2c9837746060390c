"""Where a run writes, by default and where a folder is named."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from sgseg.engine.work_dir import (
    CARD,
    BegunHook,
    Place,
    clean_start,
    evaluation_place,
    new_place,
    training_place,
)

CONFIG = "configs/x.py"


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Default folders are below the current one."""
    monkeypatch.chdir(tmp_path)


def run_in(folder: str, launched: str = "", age: int = 0) -> Path:
    """A folder that holds a run, so many seconds old."""
    Path(folder).mkdir(parents=True)
    card = Path(folder, CARD)
    card.write_text(json.dumps(dict(launched_by=launched)))
    os.utime(card, (1e9 - age, 1e9 - age))
    return Path(folder)


def test_every_training_has_a_folder_of_its_own() -> None:
    """Two at once never share one; the link points to the last that began."""
    places = [training_place(None, CONFIG, False, False) for _ in range(3)]
    names = ["work_dirs/x/run_1", "work_dirs/x/run_2", "work_dirs/x/run_3"]
    assert [str(place.folder) for place in places] == names
    for place in places[:2]:
        BegunHook(place).before_train_iter(None, 0)  # type: ignore[arg-type]
    assert os.readlink("work_dirs/x/latest") == "run_2"
    assert sorted(os.listdir("work_dirs/x")) == ["latest", "run_1", "run_2", "run_3"]


def test_resume_takes_the_last_run() -> None:
    """Of this config alone; without one it begins in a new folder."""
    assert str(training_place(None, CONFIG, True, False).folder) == "work_dirs/x/run_1"
    run_in("work_dirs/x/run_2", age=5)
    run_in("work_dirs/x/run_10", age=9)
    run_in("work_dirs/x_other/run_1")
    place = training_place(None, CONFIG, True, False)
    assert place.resume and str(place.folder) == "work_dirs/x/run_2" and "run_2" in place.said[0]


def test_a_named_folder_that_holds_a_run_is_refused() -> None:
    """Unless it is to be resumed; so is a folder whose config file would be replaced."""
    folder = run_in("mine")
    with pytest.raises(ValueError, match=r"mine holds a run already.*--resume"):
        training_place("mine", CONFIG, False, False)
    assert training_place("mine", CONFIG, True, False).folder == folder
    for name in ("configs", "other"):
        Path(name).mkdir()
        Path(name, "x.py").write_text("")
    with pytest.raises(ValueError, match=r"other holds another x\.py"):
        training_place("other", CONFIG, False, False)
    assert str(training_place("configs", CONFIG, False, False).folder) == "configs"
    with pytest.raises(ValueError, match="is a file"):
        training_place(CONFIG, CONFIG, False, False)


@pytest.mark.parametrize("named", [None, "mine"])
def test_a_restart_goes_on_in_its_own_folder_alone(named: str | None) -> None:
    """Torchrun's second start knows the first by its parents; another's run stays another's."""
    run_in(named or "work_dirs/x/run_1", "elsewhere:1")
    agents = ["here:1", "there:2"]
    if named:
        with pytest.raises(ValueError, match="holds a run"):
            training_place(named, CONFIG, False, True, agents)
        Path(named, CARD).write_text(json.dumps(dict(launched_by="there:2 third:3")))
    else:
        assert not training_place(None, CONFIG, False, True, agents).resume  # run_2, new
        run_in("work_dirs/x/run_3", "there:2 third:3", age=99)
    place = training_place(named, CONFIG, False, True, agents)
    assert place.resume and str(place.folder) == (named or "work_dirs/x/run_3")


def test_a_machine_that_joins_starts_nothing_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """No machine counts a restart then: what torchrun began and has not ended goes on."""
    run_in("mine", "here:1")
    with pytest.raises(ValueError, match="holds a run"):  # the same shell, without torchrun
        training_place("mine", CONFIG, False, False, ["here:1"])
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "job")
    assert training_place("mine", CONFIG, False, False, ["here:1", "new:2"]).resume
    Path("mine", CARD).write_text(json.dumps(dict(launched_by="here:1", ended="finished")))
    with pytest.raises(ValueError, match="holds a run"):  # the second training of one script
        training_place("mine", CONFIG, False, False, ["here:1"])


def test_of_two_starts_at_once_in_one_folder_one_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The second finds the card of the first even if it looked before that was there."""
    monkeypatch.setattr("sgseg.engine.work_dir._demand_free", lambda *_: None)
    first = training_place("here", CONFIG, False, False)
    with pytest.raises(ValueError, match="another run begins there"):
        training_place("here", CONFIG, False, False)
    with pytest.raises(OSError), clean_start(first, CONFIG):
        raise OSError
    assert not Path("here").exists()  # a failed start leaves no claim


def test_an_evaluation_damages_no_training() -> None:
    """By default it stands beside its checkpoint, the second of it apart from the first."""
    run_in("run")
    names = [str(evaluation_place(None, "run/epoch_4.pth").folder) for _ in range(2)]
    assert names == ["run/test_epoch_4", "run/test_epoch_4_2"]
    assert "run holds a training" in evaluation_place("run", "run/epoch_4.pth").said[0]
    assert str(evaluation_place("else", "run/epoch_4.pth").folder) == "else"


def failing(place: Place, error: BaseException, begins: bool = False) -> None:
    """A start that writes what a start writes, and fails."""
    with clean_start(place, CONFIG) as begun:
        (place.folder / "x.py").write_text("new")
        (place.folder / CARD).write_text("{}")
        (place.folder / "20260101_000000" / "vis_data").mkdir(parents=True)
        begun.begun = begins
        raise error


def test_a_failed_start_leaves_a_new_folder_gone_and_an_old_one_as_it_was(tmp_path: Path) -> None:
    """Files of others beside it stay; a run that has begun keeps what it wrote."""
    with pytest.raises(OSError, match="full"):
        failing(new_place(Path("work_dirs/x")), OSError("full"))
    assert not list(tmp_path.iterdir())
    with pytest.raises(OSError, match="full"):
        failing(training_place(None, CONFIG, False, False), OSError("full"))
    assert not list(tmp_path.iterdir())
    old = run_in("work_dirs/x/run_1", "old")
    (old / "x.py").write_text("old")
    (old / "notes.txt").write_text("of somebody")
    place = training_place(None, CONFIG, True, False)
    with pytest.raises(KeyboardInterrupt):
        failing(place, KeyboardInterrupt())
    assert sorted(path.name for path in old.iterdir()) == ["notes.txt", CARD, "x.py"]
    assert (old / "x.py").read_text() == "old" and "old" in (old / CARD).read_text()
    with pytest.raises(OSError, match="full"):
        failing(place, OSError("full"), begins=True)
    assert (old / "x.py").read_text() == "new"
