"""What is to be segmented: an image, a folder, a list of paths, or URIs of an object store."""

from __future__ import annotations

import logging
import os
from collections import Counter
from collections.abc import Sequence
from itertools import takewhile
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from mmengine.logging import print_log

from ..datasets.scan import scan
from ..io.images import IMAGE_SUFFIXES, read_list
from ..io.remote import Place, RemoteFile, files_at, files_below, is_uri, without_scheme

LIST = ".txt"
"""Suffix of a list: a path or URI a line, ``#`` for comments."""


class Images(NamedTuple):
    """The images of a source."""

    places: list[Place]
    root: Path | str
    """The folder, or URI, that they are named below."""
    described: str
    """The source, as the record of a prediction has it."""


def images_of(source: str | Path, out: str | Path) -> Images:
    """The images of a source; those in ``out`` are none.

    The log says what else was there, and why it was left out.

    Args:
        source: an image, a folder, a URI of either, or a ``.txt`` with a path or URI a line, which
            are relative to it.
        out: where the prediction goes.

    Raises:
        FileNotFoundError: for a missing source, one without images, or a listed image that is not
            there.
        ValueError: for an ``out`` whose label maps would become the source's own, a list of paths
            and URIs, or one that names an image twice.
        ConnectionError, ModuleNotFoundError: see :func:`.files_below`.
    """
    source = without_scheme(source)
    if is_uri(source):
        return _of_uri(str(source))
    if Path(source).is_file() and Path(source).suffix.lower() == LIST:
        return _of_list(Path(source), Path(out).resolve())
    seen = scan(source)
    out = Path(out).resolve()
    if not Path(source).is_file() and out in (Path(source).resolve(), seen.root.resolve()):
        raise ValueError(
            f"{out}: is the folder of the images; its labels/ would be taken for true labels. "
            "Give another --out"
        )
    places: list[Place] = [p for p in seen.paths if not p.resolve().is_relative_to(out)]
    if not places:
        raise FileNotFoundError(f"{source}: no image but what was written to {out}")
    if seen.left_out:
        print_log(seen.sentence(), logger="current", level=logging.WARNING)
    root = Path(source) if Path(source).is_dir() else seen.root
    return Images(places, root, str(Path(source).resolve()))


def image_name(place: Place, root: Path | str) -> str:
    """An image's path below ``root``, as tables have it."""
    if isinstance(place, RemoteFile):
        return place.uri.removeprefix(f"{root}/")
    return Path(os.path.relpath(place, root)).as_posix()


def _of_uri(uri: str) -> Images:
    """Of a folder its ``images/`` if there is one, as on a disk; hidden files are none."""
    root, found = files_below(uri)
    if [file.uri for file in found] == [root]:
        return Images([*found], root.rpartition("/")[0], root)
    inside = [file for file in found if file.uri.startswith(f"{root}/images/")]
    places: list[Place] = [file for file in inside or found if _is_image(file.uri, root)]
    if not places:
        raise FileNotFoundError(f"{uri}: no image in it; looked for {', '.join(IMAGE_SUFFIXES)}")
    if len(places) < len(found):
        said = f"{uri}: {len(places)} images; left out: {len(found) - len(places)} other files"
        print_log(said, logger="current", level=logging.WARNING)
    if not found[0].size and not found[0].version:
        said = f"{uri}: says neither sizes nor versions, so a file that changes is not done again"
        print_log(said, logger="current", level=logging.WARNING)
    return Images(places, root, root)


def _is_image(uri: str, root: str) -> bool:
    below = PurePosixPath(uri.removeprefix(f"{root}/"))
    hidden = any(part.startswith(".") for part in below.parts)
    return below.suffix.lower() in IMAGE_SUFFIXES and not hidden


def _of_list(path: Path, out: Path) -> Images:
    lines = [str(without_scheme(line)) for line in read_list(path)]
    if not lines:
        raise FileNotFoundError(f"{path}: lists nothing; wanted is a path or URI a line")
    remote = [line for line in lines if is_uri(line)]
    if remote and len(remote) < len(lines):
        raise ValueError(f"{path}: has {len(remote)} URIs and other paths; make two lists of it")
    places: list[Place] = [*files_at(remote)] if remote else [*_listed(path, lines, out)]
    named, count = Counter(map(str, places)).most_common(1)[0]
    if count > 1:
        raise ValueError(f"{path}: names {named} {count} times; each image once")
    folders = [str(place).rpartition("/")[0] for place in places]
    root = _common(folders) if remote else Path(os.path.commonpath([f or "/" for f in folders]))
    return Images(places, root, f"{path.resolve()}, below {root}")


def _listed(path: Path, lines: Sequence[str], out: Path) -> list[Path]:
    places = [Path(os.path.abspath(path.parent / line)) for line in lines]
    for line, place in zip(lines, places, strict=True):
        if place.is_dir():
            raise ValueError(f"{path}: lists {line}, a folder; list its images, or give it alone")
        if place.resolve().is_relative_to(out):
            raise ValueError(f"{path}: lists {line}, which lies in {out}; give another --out")
    missing = [line for line, place in zip(lines, places, strict=True) if not place.is_file()]
    if missing:
        more = f", and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise FileNotFoundError(
            f"{path}: lists {missing[0]}{more}: no such file; wanted is a path a line, without "
            "quotes, relative to the list"
        )
    return places


def _common(folders: Sequence[str]) -> str:
    """The deepest URI that all lie below."""
    levels = zip(*(folder.split("/") for folder in folders), strict=False)
    return "/".join(level[0] for level in takewhile(lambda level: len(set(level)) == 1, levels))
