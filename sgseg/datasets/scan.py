"""List the images of a folder: one rule for every command.

Images are the files of a known suffix in ``images/`` if the folder has one, else anywhere below it,
links followed. Left out, and counted by reason, is what is hidden, what belongs to the system, what
an earlier prediction wrote, what cannot be opened, what is a label map (:mod:`.label_maps`) unless
it has one itself or a list names it, and what is in a format that is not read.
"""

from __future__ import annotations

import os
import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..io.images import IMAGE_SUFFIXES, LABEL_SUFFIXES
from .label_maps import label_maps, painted_maps, says_label

HIDDEN, BROKEN, AGAIN = "hidden or of the system", "links to nothing", "links to a folder again"
LABELS, NAMED, OTHER = "label maps", "folders with the name of an image", "other files"
FORMATS = "images in a format that is not read"
BESIDE = "images beside images/"
PREDICTED, CLOSED = "files of an earlier prediction", "folders that may not be opened"

_SYSTEM = {"@eadir", "__macosx", "#recycle", "$recycle.bin", "system volume information"}
_SYSTEM |= {"lost+found", "thumbs.db", "desktop.ini", "ehthumbs.db"}
_UNREAD = re.compile(
    r"\.(heic|heif|avif|jp2|j2k|jxl|gif|apng|raw|cr2|cr3|nef|dng|arw|orf|rw2|psd|ppm|pgm|pnm|hdr|exr"
    r"|mat|svg|pdf|ico|tga|jpe|npz|h5|hdf|nc|vrt|ecw|sid|img)"
)


@dataclass(frozen=True)
class Scan:
    """The images of a folder, and what else was there.

    Attributes:
        paths: the images, sorted.
        root: the folder that they lie below: ``images/`` if there is one.
        left_out: reason -> files and folders that were passed over for it.
        linked: how many of the images were reached through a link.
    """

    paths: list[Path]
    root: Path
    left_out: Mapping[str, Sequence[Path]]
    linked: int = 0

    def sentence(self) -> str:
        """How many images are taken, how many files are left out and why."""
        taken = f"{self.root}: {len(self.paths)} images"
        taken += f", {self.linked} of them through links" if self.linked else ""
        parts = [_described(reason, paths) for reason, paths in self.left_out.items()]
        return f"{taken}; left out: {'; '.join(parts)}" if parts else taken


def _described(reason: str, paths: Sequence[Path]) -> str:
    """``3 label maps (masks/a.png, ...)``; formats and other files by suffix."""
    if reason in (FORMATS, OTHER):
        kinds = Counter(path.suffix.lower() or path.name for path in paths)
        shown = ", ".join(f"{kind} {count}" for kind, count in kinds.most_common(6))
        return f"{len(paths)} {reason} ({shown}{', ...' if len(kinds) > 6 else ''})"
    first = f"{paths[0].parent.name}/{paths[0].name}"
    return f"{len(paths)} {reason} ({first}{', ...' if len(paths) > 1 else ''})"


def image_folder(root: str | Path) -> Path:
    """``root/images`` if there is one, else ``root`` itself."""
    root = Path(root)
    return root / "images" if (root / "images").is_dir() else root


def find_labels(path: Path, root: Path) -> list[Path]:
    """The label maps of an image below ``root``, in ``labels/``; there should be one.

    As with images, a suffix may be in capitals.
    """
    stem = root / "labels" / path.relative_to(image_folder(root)).with_suffix("")
    spelt = (s for suffix in LABEL_SUFFIXES for s in (suffix, suffix.upper(), suffix.title()))
    found = [label for s in spelt if (label := stem.with_name(f"{stem.name}{s}")).is_file()]
    return list({label.stat().st_ino: label for label in reversed(found)}.values())[::-1]


def scan(root: str | Path, listed: Collection[str] = ()) -> Scan:
    """The images of a folder; of a file, that file.

    Args:
        root: the folder or file.
        listed: paths below the image folder, with or without suffix, that are images whatever
            they look like.

    Raises:
        FileNotFoundError: if there is no such folder, or no image in it.
    """
    root = Path(root)
    if root.is_file():
        return Scan([root], root.parent, {})
    if not root.is_dir():
        raise FileNotFoundError(f"{root}: no such folder")
    folder = image_folder(root)
    left_out: dict[str, list[Path]] = defaultdict(list)
    found = sorted(_walk(folder, left_out))
    maps = label_maps(found, folder)
    maps -= _known(maps, set(found) - maps, root, set(listed))
    images = [path for path in found if path not in maps]
    left_out[LABELS] += maps
    if folder != root:
        _count_beside(root, {path.resolve() for path in found}, left_out)
    linked = sum(_through_link(path, folder) for path in images)
    done = Scan(images, folder, {k: sorted(v) for k, v in left_out.items() if v}, linked)
    if not images:
        looked = ", ".join(IMAGE_SUFFIXES)
        what = f" ({done.sentence().partition('; ')[2]})" if done.left_out else ""
        raise FileNotFoundError(f"{folder}: no image in it; looked for {looked}{what}")
    return done


def _known(maps: set[Path], images: set[Path], root: Path, listed: set[str]) -> set[Path]:
    """Those of ``maps`` that are images: a list names them, or they have a label map of their own.

    A name without suffix means the image of that name, if there is one.
    """
    folder = image_folder(root)
    stems = {path.with_suffix("") for path in images}
    known = {path for path in maps if path.relative_to(folder).as_posix() in listed}
    for path in maps:
        stem = path.with_suffix("")
        named = stem.relative_to(folder).as_posix() in listed or find_labels(path, root)
        if stem not in stems and named:
            known.add(path)
    return known


def _count_beside(root: Path, taken: set[Path], left_out: dict[str, list[Path]]) -> None:
    """Images and label maps beside ``images/``, ``labels/`` apart, which is in use."""
    for path in root.iterdir():
        if path.is_file() and path.suffix.lower() in IMAGE_SUFFIXES and not _hidden(path.name):
            left_out[BESIDE].append(path)
        if path.name in ("images", "labels") or _hidden(path.name) or not path.is_dir():
            continue
        inside = [file for file in _images_in(path) if file.resolve() not in taken]
        maps = painted_maps(inside) if inside and says_label(path.name) else set()
        predicted = _predicted(path)
        left_out[PREDICTED if predicted else LABELS] += inside if predicted else maps
        left_out[BESIDE] += [] if predicted else [file for file in inside if file not in maps]


def _predicted(folder: Path) -> bool:
    """Whether an earlier prediction wrote a folder."""
    return all(os.path.isfile(folder / name) for name in ("manifest.jsonl", "classes.json"))


def _walk(folder: Path, left_out: dict[str, list[Path]]) -> Iterator[Path]:
    """Files with an image's suffix below a folder; links to folders come last, once each."""
    seen = {os.path.realpath(folder)}
    waiting, links = [folder], list[Path]()
    while waiting or links:
        current = waiting.pop() if waiting else links.pop(0)
        for path, is_folder in _entries(current, left_out):
            if _hidden(path.name):
                left_out[HIDDEN] += _images_in(path)
            elif not is_folder:
                yield from _taken(path, left_out)
            elif _predicted(path):
                left_out[PREDICTED] += _images_in(path)
            elif path.is_symlink():
                links.append(path)
            else:
                if path.suffix.lower() in IMAGE_SUFFIXES:
                    left_out[NAMED].append(path)
                waiting.append(path)
                seen.add(os.path.realpath(path))
        while links and not waiting and _seen_before(links[0], folder, seen):
            left_out[AGAIN].append(links.pop(0))


def _entries(folder: Path, left_out: dict[str, list[Path]]) -> list[tuple[Path, bool]]:
    """What a folder holds, sorted, and whether each is a folder; nothing where it is closed."""
    try:
        if os.access(folder, os.X_OK):  # else its names can be read, but no file
            return [(path, os.path.isdir(path)) for path in sorted(folder.iterdir())]
    except PermissionError:
        pass  # counted as the other
    left_out[CLOSED].append(folder)
    return []


def _taken(path: Path, left_out: dict[str, list[Path]]) -> Iterator[Path]:
    """The file itself if it can be an image; else the reason gets it."""
    suffix = path.suffix.lower()
    if not os.path.exists(path):
        left_out[BROKEN].append(path)
    elif suffix in IMAGE_SUFFIXES and path.is_file():
        yield path
    else:
        left_out[FORMATS if _UNREAD.fullmatch(suffix) else OTHER].append(path)


def _seen_before(link: Path, folder: Path, seen: set[str]) -> bool:
    """Whether a link leads to a folder that was walked, or back above the one that is."""
    target = os.path.realpath(link)
    above = Path(os.path.realpath(folder)).is_relative_to(target)
    if above or target in seen:
        return True
    seen.add(target)
    return False


def _hidden(name: str) -> bool:
    return name.startswith(".") or name.lower() in _SYSTEM


def _images_in(path: Path) -> list[Path]:
    """A hidden file, or the images of a hidden folder."""
    if not path.is_dir():
        return [path]
    return [p for p in path.rglob("*") if p.suffix.lower() in IMAGE_SUFFIXES and os.path.isfile(p)]


def _through_link(path: Path, folder: Path) -> bool:
    if path.is_symlink():
        return True
    parents = path.relative_to(folder).parents
    return any((folder / parent).is_symlink() for parent in parents if parent.name)
