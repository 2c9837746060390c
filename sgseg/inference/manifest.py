"""Which images of a prediction are finished, and the arguments that made them.

``OUT/manifest.jsonl`` begins with the arguments; then a line says which images are begun, and one
what an image gave once its files are whole. A line that a killed run left unfinished counts for
nothing, so that run is gone on with, and loses no finished image.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from ..io.atomic import write_atomically
from ..io.remote import Place, RemoteFile
from .areas import Area
from .outputs import foreign_files, possible_files
from .strips import remove_all_strips

NAME = "manifest.jsonl"
Record = dict[str, Any]
Stamp = list[int | str]


class Manifest:
    """The record of one output folder.

    Args:
        out: the folder.
        arguments: name -> value of all that the files depend on.
        overwrite: remove the prediction of other arguments.

    Attributes:
        names: image -> its name in the folder, also of images that are only begun.
        finished: image -> what it gave, a line of the file: a third of a kilobyte each.

    Raises:
        FileExistsError: for a file in the place of the folder, a prediction by other arguments,
            or files in its folders that no prediction wrote.
        BlockingIOError: while another call writes to the folder.
    """

    def __init__(self, out: Path, arguments: Mapping[str, Any], overwrite: bool = False) -> None:
        if out.exists() and not out.is_dir():
            raise FileExistsError(f"{out}: is a file; name a folder (--out)")
        self.out = out
        self._arguments, self._lock = arguments, FileLock(out / ".lock")
        out.mkdir(parents=True, exist_ok=True)
        with self._locked():
            self._take_up(overwrite)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Let no other call write to the folder, from what it holds now on.

        Raises:
            BlockingIOError: while another one does.
        """
        again = self._lock.is_locked
        with self._locked():
            if not again:
                self._take_up(overwrite=False)
            yield

    @contextmanager
    def _locked(self) -> Iterator[None]:
        try:
            self._lock.acquire(timeout=0)
        except Timeout:
            raise BlockingIOError(
                f"{self.out}: another prediction is being written there; wait for it, end it, or "
                "give another --out"
            ) from None
        try:
            yield
        finally:
            self._lock.release()

    def _take_up(self, overwrite: bool) -> None:
        out = self.out
        self.names: dict[str, str] = {}
        self.finished: dict[str, bytes] = {}
        lines = _lines(out / NAME)
        first = json.loads(next(lines, b"null"))
        for line in lines:
            record = json.loads(line)
            self.names |= record.get("begun", {})
            if "image" in record:
                self.finished[record["image"]] = line
        plain = json.loads(json.dumps(self._arguments))
        ours = {file for name in self.names.values() for file in possible_files(name)}
        _refuse_foreign(out, ours)
        if first is not None and first != plain:
            if not overwrite:
                _refuse_other(out, first, plain)
            self._remove(ours)
        self.finished = {i: line for i, line in self.finished.items() if self._is_whole(line)}
        start = [_line(plain), _line({"begun": self.names}), *self.finished.values()]
        write_atomically(out / NAME, b"".join(start))

    def is_done(self, image: str, place: Place) -> bool:
        """Whether an image is finished, and its file the same as then."""
        line = self.finished.get(image)
        return line is not None and json.loads(line)["stamp"] == stamp_of(place)

    def begin(self, names: Mapping[str, str]) -> None:
        """Note which images, and under which names, are written next."""
        self.names |= names
        self._append(_line({"begun": dict(names)}))

    def finish(self, image: str, stamp: Stamp, files: Mapping[str, str], areas: list[Area]) -> None:
        """Note that all files of an image are whole; ``stamp`` is from before it was read."""
        rows = [list(area) for area in areas]
        record: Record = dict(image=image, stamp=stamp, files=dict(files), areas=rows)
        self.finished[image] = _line(record)
        self._append(self.finished[image])

    def areas(self) -> Iterator[tuple[str, list[Area]]]:
        """What each class covers of each finished image, in the order of their names."""
        for image, record in self._sorted():
            yield image, [Area(*row) for row in record["areas"]]

    def files(self, folder: str) -> dict[str, Path]:
        """Image -> its file in one of the folders."""
        return {image: self.out / r["files"][folder] for image, r in self._sorted()}

    def _sorted(self) -> Iterator[tuple[str, Record]]:
        return ((image, json.loads(self.finished[image])) for image in sorted(self.finished))

    def _append(self, line: bytes) -> None:
        with (self.out / NAME).open("ab") as file:
            file.write(line)
            file.flush()
            os.fsync(file.fileno())

    def _is_whole(self, line: bytes) -> bool:
        return all((self.out / file).is_file() for file in json.loads(line)["files"].values())

    def _remove(self, files: Iterable[str]) -> None:
        for file in files:
            (self.out / file).unlink(missing_ok=True)
        remove_all_strips(self.out)
        self.names, self.finished = {}, {}


def _line(record: Record) -> bytes:
    return json.dumps(record).encode() + b"\n"


def _lines(path: Path) -> Iterator[bytes]:
    """The whole lines of a manifest."""
    if path.is_file():
        with path.open("rb") as file:
            yield from (line for line in file if line.endswith(b"\n"))


def stamp_of(place: Place) -> Stamp:
    """Size and time of change of a file, which change with its content."""
    if isinstance(place, RemoteFile):
        return [place.size, place.version]
    state = place.stat()
    return [state.st_size, state.st_mtime_ns]


def _refuse_foreign(out: Path, ours: Iterable[str]) -> None:
    if foreign := foreign_files(out, set(ours)):
        more = f" and {len(foreign) - 1} more" if len(foreign) > 1 else ""
        raise FileExistsError(
            f"{out}: holds files that no prediction names ({foreign[0]}{more}), and the two would "
            "mix; give another --out"
        )


def _refuse_other(out: Path, before: Record, now: Record) -> None:
    keys = [key for key in now | before if before.get(key) != now.get(key)]
    first = keys[0]
    changed = f"{first} {before.get(first)}, now {now.get(first)}"
    if first == "model":
        changed = "another model"
    rest = f", and {', '.join(keys[1:])}" if keys[1:] else ""
    raise FileExistsError(
        f"{out}: holds a prediction by other arguments ({changed}{rest}), and the two would mix; "
        "give another --out, or --overwrite to remove that prediction"
    )
