"""Find the label maps among the image files of a folder, by their names and their pixels.

A file is a label map if its name or folder says so and its pixels look painted, or if they do and
a photograph of the same name, label words apart, lies beside it or in another folder. Only files
that a name or a partner makes candidates are opened, and of many of one kind a few.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from ..io.images import read_stored
from ..io.tiff import TIFF_SUFFIXES

Array = npt.NDArray[Any]
Words = tuple[str, ...]
_Key = TypeVar("_Key", bound=Hashable)

_LABEL_WORDS = {
    *("label", "labels", "labelmap", "labelmaps", "labelids", "labeltrainids", "instanceids"),
    *("lbl", "lbls", "labeled", "labelled", "mask", "masks", "segmask", "segmasks", "trimap"),
    *("anno", "annos", "annot", "annots", "annotation", "annotations", "ann", "anns"),
    *("gt", "gts", "gtfine", "gtcoarse", "truth", "groundtruth", "manual1", "stuffthingmaps"),
    *("seg", "segs", "segmentation", "segmentations", "segmentationclass", "segmentationobject"),
    *("segmentationclassaug", "trainannot", "valannot", "testannot"),
}
"""Words of a folder's or file's name that say it holds label maps."""
_PARTNER_WORDS = _LABEL_WORDS | {
    *("l", "color", "colour", "polygons", "class", "classes", "object", "target", "targets"),
    *("semantic", "semantics", "parsing", "matte", "mattes", "alpha", "map", "maps", "instance"),
    *("tgt", "segm", "cls", "id", "ids", "annotated", "pred", "preds", "prediction", "output"),
    *("rgb", "img", "image", "images", "photo", "sat", "input", "leftimg8bit"),
}
"""Words by which the names of a label map and its photograph may differ: CamVid's ``a_L``."""
_FEW = 64
"""More values or colours than that hold photographs alone ..."""
_COMMON, _COVERED = 16, 0.9
"""... or grey maps with soft or lossy edges: these so many values cover this share of them."""
_FLAT = 0.97
"""Share of equal neighbours in a map of many instance numbers."""
_OF_A_FOLDER, _OF_A_NAME = 3, 32
"""Files looked at where a folder's name speaks of all of them, or each file's own."""
_HUMPS = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=\w)(?=(?:mask|label)s?\d*$)")
"""Places where a name's words meet without a sign between them."""
_JPEG = (".jpg", ".jpeg", ".jfif")
_SIDE = 256
"""Rows and columns looked at."""


class Look(NamedTuple):
    """What the pixels of a file look like."""

    bands: int = 0
    """0 where the file cannot be read here."""
    painted: bool | None = None
    """Whether a hand or a program painted them in a few values; None where it is not known."""
    plain: bool = False
    """Whether they are of one value: a map of one class, or a black frame."""


def label_maps(found: Sequence[Path], folder: Path) -> set[Path]:
    """The label maps among the image files ``found`` below ``folder``."""
    looks = _Looks()
    maps = _named_maps(found, folder, looks)
    rest = [path for path in found if path not in maps]
    maps |= _maps_beside(rest, looks)
    rest = [path for path in rest if path not in maps]
    return maps | _maps_in_another_folder(rest, looks)


def painted_maps(found: Sequence[Path]) -> set[Path]:
    """Those of the files of one folder that look painted, a few speaking for all."""
    return _Looks().painted(found, _OF_A_FOLDER, unknown=True)


def says_label(name: str) -> bool:
    """Whether a folder's name, or a file's stem, has a word for label maps."""
    return any(_is_label_word(word) for word in (name.lower(), *_words(name)))


class _Looks:
    """Looks at files, each once."""

    def __init__(self) -> None:
        self._seen: dict[Path, Look] = {}

    def __call__(self, path: Path) -> Look:
        if path not in self._seen:
            self._seen[path] = look(path)
        return self._seen[path]

    def painted(self, paths: Sequence[Path], few: int, unknown: bool = False) -> set[Path]:
        """Those that look painted; beyond ``few`` paths, so many speak for all if they agree.

        ``unknown`` is what is thought of files that cannot be looked at.
        """

        def answer(path: Path) -> bool:
            found = self(path).painted
            return unknown if found is None else found

        sample = paths[:: -(-len(paths) // few) or 1]
        answers = {answer(path) for path in sample}
        if len(answers) == 1:
            return set(paths) if answers.pop() else set()
        return {path for path in paths if answer(path)}


def _named_maps(found: Sequence[Path], folder: Path, looks: _Looks) -> set[Path]:
    """Painted files whose folder or name says label map."""
    maps: set[Path] = set()
    inside = {p for p in found if any(map(says_label, p.relative_to(folder).parent.parts))}
    for paths in _grouped(sorted(inside), lambda path: path.parent).values():
        maps |= looks.painted(paths, _OF_A_FOLDER, unknown=True)
    own = [path for path in found if path not in inside and says_label(path.stem)]
    for paths in _grouped(own, _kind).values():
        maps |= looks.painted(paths, _OF_A_NAME, unknown=True)
    return maps


def _maps_beside(found: Sequence[Path], looks: _Looks) -> set[Path]:
    """Painted files beside a photograph of their name; of two painted ones, that of one band."""
    named = _grouped(found, lambda path: (path.parent, _base(path)))
    groups = [group for group in named.values() if len(group) > 1]
    painted: set[Path] = set()
    for paths in _grouped((p for group in groups for p in group), _kind).values():
        painted |= looks.painted(paths, _OF_A_NAME)
    maps: set[Path] = set()
    for group in groups:
        if set(group) <= painted:
            bands = {path: looks(path).bands for path in group}
            maps |= {p for p in group if bands[p] == 1 and max(bands.values()) > 1}
        else:
            maps |= painted & set(group)
    return maps


def _maps_in_another_folder(found: Sequence[Path], looks: _Looks) -> set[Path]:
    """Painted files of painted folders, most of whose names are those of photographs elsewhere.

    A few painted files in a folder of photographs are black frames and the like.
    """
    by_base = _grouped(found, _base)
    elsewhere = {base for base, paths in by_base.items() if len({p.parent for p in paths}) > 1}
    maps: set[Path] = set()
    for folder, paths in _grouped(found, lambda path: path.parent).items():
        shared = [path for path in paths if _base(path) in elsewhere]
        if 2 * len(shared) < len(paths) or paths[0].suffix.lower() in _JPEG:
            continue
        painted = looks.painted(shared, _OF_A_FOLDER)
        few = sorted(painted)[:_OF_A_FOLDER]
        if 2 * len(painted) <= len(shared) or all(looks(path).plain for path in few):
            continue
        partners = [q for p in sorted(painted) for q in by_base[_base(p)] if q.parent != folder]
        photographs = {_base(path) for path in _photographs(partners, looks)}
        maps |= {path for path in painted if _base(path) in photographs}
    return maps


def _photographs(paths: Sequence[Path], looks: _Looks) -> set[Path]:
    """Those that do not look painted, by folder."""
    painted: set[Path] = set()
    for group in _grouped(paths, lambda path: path.parent).values():
        painted |= looks.painted(group, _OF_A_FOLDER)
    return set(paths) - painted


def _grouped(paths: Iterable[Path], key: Callable[[Path], _Key]) -> dict[_Key, list[Path]]:
    groups: dict[_Key, list[Path]] = defaultdict(list)
    for path in paths:
        groups[key(path)].append(path)
    return groups


@lru_cache(2**18)
def _words(name: str) -> Words:
    """Words in small letters: ``yMask(2)`` and ``ymask(2)`` are y, mask, 2; ``gtFine`` is one."""
    words: list[str] = []
    for piece in re.split(r"[\W_]+", name):
        humps = _HUMPS.sub(" ", piece).lower().split()
        words += [piece.lower()] if piece.lower() in _LABEL_WORDS else humps
    return tuple(words)


def _is_label_word(word: str) -> bool:
    return word in _LABEL_WORDS or word.rstrip("0123456789") in _LABEL_WORDS


def _is_extra(word: str) -> bool:
    """Whether a word may be what a label map's name has more than its photograph's."""
    return word in _PARTNER_WORDS or _is_label_word(word) or bool(re.fullmatch(r"v\d+", word))


def _base(path: Path) -> Words:
    """The words that a label map's name shares with its photograph's."""
    words = _words(path.stem)
    return tuple(word for word in words if not _is_extra(word)) or words


def _kind(path: Path) -> tuple[Path, Words, str]:
    """Files of one kind: of a folder, with the same extra words and suffix."""
    extra = tuple(word for word in _words(path.stem) if _is_extra(word))
    return path.parent, extra, path.suffix.lower()


def look(path: Path) -> Look:
    """Look at a part of a file's pixels."""
    from PIL import Image

    try:
        pixels = _pixels(path)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        return Look()  # named when it is read
    if pixels.ndim not in (2, 3) or not pixels.size:
        return Look()
    bands = 1 if pixels.ndim == 2 else pixels.shape[-1]
    height, width = pixels.shape[:2]
    rows = np.asarray(pixels[:: max(1, height // _SIDE)]).reshape(-1, width, bands)
    return Look(bands, _painted(rows), bool((rows == rows[:1, :1]).all()))


def _pixels(path: Path) -> Array:
    """(H, W) or (H, W, bands); palette files as indices, large JPEG files reduced."""
    from PIL import Image

    if path.suffix.lower() == ".npy":
        return np.asarray(np.load(path, mmap_mode="r", allow_pickle=False))
    if path.suffix.lower() in TIFF_SUFFIXES:
        return read_stored(path).image
    with Image.open(path) as file:
        file.draft(None, (2 * _SIDE, 2 * _SIDE))
        return np.asarray(file)


def _painted(rows: Array) -> bool:
    """Whether rows (h, W, bands) look painted."""
    _, width, bands = rows.shape
    seen = rows[:, :: max(1, width // _SIDE)].reshape(-1, bands)
    colours, counts = np.unique(seen, axis=0, return_counts=True)
    if len(colours) <= _FEW:
        return True
    values = colours[:, : 3 if bands == 4 else max(1, bands - (bands == 2))]
    if (values != values[:, :1]).any():
        return False
    covered = np.sort(counts)[-_COMMON:].sum() / counts.sum()
    flat = (rows[:, 1:] == rows[:, :-1]).all(2).mean() if width > 1 else 0.0
    return bool(covered >= _COVERED or flat >= _FLAT)
