"""The folder that a run writes to: its own, and empty again after a start that failed.

work_dirs/<config>/run_1, run_2, ...     by default the first that is not there yet
work_dirs/<config>/latest                points to the last of them that began
CHECKPOINT's folder/test_<checkpoint>    an evaluation
"""

from __future__ import annotations

import itertools
import json
import os
import shutil
import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mmengine.dist import all_gather_object, broadcast_object_list, is_main_process
from mmengine.hooks import Hook
from mmengine.runner import Runner

from ..io.atomic import write_atomically
from ..io.jsonfile import read_json_if_whole
from .checkpoints.newest import POINTER
from .distributed import failing_together

CARD = "run.json"
LATEST = "latest"
_TRAINING = (CARD, POINTER, "epoch_*.pth", "best_*.pth")
_RUN = (*_TRAINING, "eval.json", "eval_history.jsonl", "label_free.json", "guard.json")
_OF_A_START = (CARD, "????????_??????", "????????_??????.py")
"""What a start writes beside the config: the card, the log's folder, a config without a name."""


@dataclass
class Place:
    """The folder of a run.

    Args:
        folder: to write to; it is there.
        resume: whether the run goes on from what the folder holds.
        said: why it is this folder, for the log.
        made: folders that were made for it, the deepest first.
        claimed: whether this run put its card there, so that no other begins in the folder.
        latest: the link that is to point to the folder once the run has begun, if any.
    """

    folder: Path
    resume: bool = False
    said: list[str] = field(default_factory=list)
    made: list[Path] = field(default_factory=list)
    claimed: bool = False
    latest: Path | None = None


def launched_by() -> str:
    """The process that started this one: torchrun's stays the same over its restarts."""
    return f"{socket.gethostname()}:{os.getppid()}"


def launchers() -> list[str]:
    """:func:`launched_by` of all processes: torchrun's on each machine. Every process asks."""
    return sorted(set(all_gather_object(launched_by())))


def beside_config(config_file: str | Path) -> Path:
    """Where the resolved config goes if the run writes to the folder that its config lies in."""
    path = Path(config_file)
    return path.with_name(f"{path.stem}_resolved.py")


def decide_once(decide: Callable[[], Place]) -> Place:
    """What ``decide`` returns, or raises, on the first process; on the others as well.

    Raises:
        ValueError: that of the first process.
    """
    answer: list[Any] = [None]
    with failing_together():
        if is_main_process():
            answer[0] = decide()
    broadcast_object_list(answer)
    place = answer[0]
    if not is_main_process():
        place.made = []
    return place  # type: ignore[no-any-return]


def training_place(
    named: str | None,
    config_file: str | None,
    resume: bool,
    restarted: bool = False,
    agents: Sequence[str] = (),
) -> Place:
    """The folder of a training.

    Args:
        named: the folder that the user or the config names; None for the default.
        config_file: path of the config; a copy under its name goes to the folder.
        resume: whether to go on; without ``named`` in the newest of the default folders.
        restarted: by torchrun after a process died: the run goes on where it was.
        agents: :func:`launchers`. What one of them began and did not end goes on under torchrun
            as well: a machine that left or joined is no restart of any other's.

    Raises:
        ValueError: for a named folder that holds another run, without ``resume``.
    """
    base = Path("work_dirs") / Path(config_file or "run").stem
    folders = [Path(named)] if named else _runs(base)
    elastic = "TORCHELASTIC_RUN_ID" in os.environ
    cards = {folder: _card(folder) for folder in folders} if restarted or elastic else {}
    own = [
        folder
        for folder, card in cards.items()
        if set(card.get("launched_by", "").split()) & set(agents)
        and (restarted or card.get("ended") != "finished")
    ]
    if own:
        return Place(own[-1], resume=True)
    if named:
        _demand_free(folders[0], config_file, resume)
        made = _make(folders[0])
        return Place(folders[0], resume, made=made, claimed=not resume and _claim(folders[0]))
    if resume and folders:
        newest = max(folders, key=_changed)
        said = [f"--resume goes on in {newest}, the last run of this config"]
        return Place(newest, resume, said, latest=base / LATEST)
    place = _new(base / f"run_{number}" for number in itertools.count(1))
    place.resume, place.latest = resume, base / LATEST
    return place


def evaluation_place(named: str | None, checkpoint: str | Path) -> Place:
    """The folder of an evaluation: by default a new one beside its checkpoint.

    In a named one that holds a training, its last score is replaced, and the log says so.
    """
    if named is None:
        path = Path(checkpoint)
        return new_place(path.parent / f"test_{path.stem}")
    folder = Path(named)
    said = []
    if _holds(folder, _TRAINING):
        said = [f"{folder} holds a training: this evaluation replaces its eval.json and pictures"]
    return Place(folder, said=said, made=_make(folder))


def new_place(base: Path) -> Place:
    """``base``, made; or ``base_2``, ``base_3`` ... where that is there already."""
    further = (base.with_name(f"{base.name}_{number}") for number in itertools.count(2))
    place = _new(itertools.chain([base], further))
    if place.folder != base:
        place.said.append(f"{base} is taken: this run writes to {place.folder}")
    return place


def _new(folders: Iterator[Path]) -> Place:
    """The first of some folders that is not there yet, made: of two runs at once each has one."""
    while True:
        folder = next(folders)
        with suppress(FileExistsError):
            return Place(folder, made=_make(folder, new=True))


class BegunHook(Hook):
    """Note that a run got through its start: the first batch is read, nothing was refused.

    From then on the link of its place points to it.
    """

    priority = "HIGHEST"  # hooks that fail in the first step belong to the run

    def __init__(self, place: Place) -> None:
        self.place = place
        self.begun = False

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None) -> None:
        """A training begins to step."""
        self._begin()

    def after_train_epoch(self, runner: Runner) -> None:
        """An epoch of a method that takes no steps is over."""
        self._begin()

    def before_val_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None) -> None:
        """A resumed run begins with an evaluation."""
        self._begin()

    def before_test_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None) -> None:
        """An evaluation begins."""
        self._begin()

    def _begin(self) -> None:
        latest, self.begun = None if self.begun else self.place.latest, True
        if latest is not None and is_main_process():
            new = latest.with_name(f".{LATEST}_{self.place.folder.name}")
            new.unlink(missing_ok=True)
            new.symlink_to(self.place.folder.name)
            new.replace(latest)


@contextmanager
def clean_start(place: Place, config_file: str | None) -> Iterator[BegunHook]:
    """Leave the folder as it was if this block fails before the run has begun.

    Args:
        place: the folder.
        config_file: path of the config; a start writes a copy under its name.

    Yields:
        The hook to register with the runner.
    """
    names: tuple[str, ...] = _OF_A_START
    if config_file:
        names += (Path(config_file).name, beside_config(config_file).name)
    there = (path for path in _matching(place.folder, names))
    mine = place.folder / CARD if place.claimed else None
    hook, before = BegunHook(place), {path: _content(path) for path in there if path != mine}
    try:
        yield hook
    except BaseException:
        if not hook.begun:
            _undo(place, names, before)
        raise


def _undo(place: Place, names: Sequence[str], before: Mapping[Path, bytes | None]) -> None:
    if is_main_process():
        for path in set(_matching(place.folder, names)) - set(before):
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()
        for path, content in before.items():
            if content is not None and _content(path) != content:
                write_atomically(path, content)
    else:  # it may have made the folder of its log after the first process took it away
        for path in set(_matching(place.folder, names)) - set(before):
            with suppress(OSError):
                path.rmdir()
    for folder in place.made:
        with suppress(OSError):  # another run writes below it
            folder.rmdir()


def _matching(folder: Path, patterns: Sequence[str]) -> list[Path]:
    return [path for pattern in patterns for path in folder.glob(pattern)]


def _content(path: Path) -> bytes | None:
    return path.read_bytes() if path.is_file() else None


def _make(folder: Path, new: bool = False) -> list[Path]:
    """Make a folder; those that were made for it, the deepest first."""
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    folder.parent.mkdir(parents=True, exist_ok=True)
    folder.mkdir(exist_ok=not new)
    return missing


def _runs(base: Path) -> list[Path]:
    """``base/run_1``, ``run_2`` ... of those that hold a run, in this order."""
    numbered = [path for path in base.glob("run_*") if path.name[4:].isdigit()]
    return [p for p in sorted(numbered, key=lambda p: int(p.name[4:])) if _holds(p, _RUN)]


def _holds(folder: Path, patterns: Sequence[str]) -> bool:
    return bool(_matching(folder, patterns))


def _changed(folder: Path) -> float:
    return max(path.stat().st_mtime for path in _matching(folder, _RUN))


def _card(folder: Path) -> dict[str, Any]:
    """What the run that a folder holds says of itself; nothing where there is none."""
    return read_json_if_whole(folder / CARD) or {}


def _claim(folder: Path) -> bool:
    """Put a card into a folder that holds none, so that of two starts at once one is refused."""
    try:
        with (folder / CARD).open("x", encoding="utf-8") as file:
            json.dump(dict(ended="running", launched_by=launched_by()), file)
    except FileExistsError as error:
        raise ValueError(
            f"--work-dir {folder}: another run begins there just now. Name another folder"
        ) from error
    return True


def _demand_free(folder: Path, config_file: str | None, resume: bool) -> None:
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"--work-dir {folder}: is a file; name a folder")
    if resume:
        return
    if _holds(folder, _RUN):
        raise ValueError(
            f"--work-dir {folder} holds a run already. Go on with it by --resume, or name another "
            "folder"
        )
    copy = folder / Path(config_file or "").name
    if copy.is_file() and not copy.samefile(config_file or copy):
        raise ValueError(
            f"--work-dir {folder} holds another {copy.name}, which the resolved config of this run "
            "would replace. Name another folder"
        )
