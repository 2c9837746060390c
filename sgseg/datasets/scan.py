"""Which files of a folder are its images: one rule for every command.

Images are the files of a known suffix in ``images/`` if the folder has one, else anywhere below it,
links followed. Left out, and counted by reason, is what is hidden, what belongs to the system, what
is a label map by its folder (``masks/``, ``SegmentationClass/``, ``gtFine/`` ...), by its name
beside its image (``a_mask.png``) or by its one band or few colours beside a photograph of the same
name, and what is in a format that is not read.
"""

from __future__ import annotations

import os
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from .files import IMAGE_SUFFIXES

HIDDEN, BROKEN, AGAIN = "hidden or of the system", "links to nothing", "links to a folder again"
LABELS, NAMED, OTHER = "label maps", "folders with the name of an image", "other files"
FORMATS = "images in a format that is not read"
BESIDE = "images beside images/"

_SYSTEM = {"@eadir", "__macosx", "#recycle", "$recycle.bin", "system volume information"}
_SYSTEM |= {"lost+found", "thumbs.db", "desktop.ini", "ehthumbs.db"}
_UNREAD = re.compile(
    r"\.(heic|heif|avif|jp2|j2k|jxl|gif|apng|raw|cr2|cr3|nef|dng|arw|orf|rw2|psd|ppm|pgm|pnm|hdr|exr"
    r"|mat|svg|pdf|ico|tga|jpe|npz|h5|hdf|nc|vrt|ecw|sid|img)"
)
_LABEL_WORDS = {
    *("label", "labels", "labelmap", "labelmaps", "labelids", "labeltrainids", "instanceids"),
    *("mask", "masks", "anno", "annos", "annot", "annots", "annotation", "annotations", "ann_dir"),
    *("gt", "gts", "gtfine", "gtcoarse", "truth", "groundtruth", "manual1", "stuffthingmaps"),
    *("seg", "segs", "segmentation", "segmentations", "segmentationclass", "segmentationobject"),
    *("segmentationclassaug", "trainannot", "valannot", "testannot"),
}
"""Words of a folder's or file's name that say it holds label maps, not photographs."""
_FEW = 64
"""More values or colours than that hold photographs alone."""
_LAST_WORDS = _LABEL_WORDS | {"l", "color", "polygons", "class", "object"}
"""Words that end a label map's name: CamVid's ``a_L``, Cityscapes' ``a_gtFine_color``."""


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


def scan(root: str | Path) -> Scan:
    """The images of a folder; of a file, that file.

    Raises:
        FileNotFoundError: if there is no such place, or no image in it.
    """
    root = Path(root)
    if root.is_file():
        return Scan([root], root.parent, {})
    if not root.is_dir():
        raise FileNotFoundError(f"{root}: no such folder")
    folder = image_folder(root)
    left_out: dict[str, list[Path]] = defaultdict(list)
    found = sorted(_walk(folder, left_out))
    images = _without_label_maps(found, folder, left_out)
    images = _without_masks_of_one_name(images, left_out)
    if folder != root:
        beside = (path for path in root.iterdir() if path.suffix.lower() in IMAGE_SUFFIXES)
        left_out[BESIDE] += sorted(path for path in beside if path.is_file())
    linked = sum(_through_link(path, folder) for path in images)
    done = Scan(images, folder, {k: sorted(v) for k, v in left_out.items() if v}, linked)
    if not images:
        looked = ", ".join(IMAGE_SUFFIXES)
        what = f" ({done.sentence().partition('; ')[2]})" if done.left_out else ""
        raise FileNotFoundError(f"{folder}: no image in it; looked for {looked}{what}")
    return done


def _walk(folder: Path, left_out: dict[str, list[Path]]) -> Iterator[Path]:
    """Files with an image's suffix below a folder; links to folders come last, once each."""
    seen = {os.path.realpath(folder)}
    waiting, links = [folder], list[Path]()
    while waiting or links:
        place = waiting.pop() if waiting else links.pop(0)
        for path in sorted(place.iterdir()):
            if _hidden(path.name):
                left_out[HIDDEN] += _images_in(path)
            elif not path.is_dir():
                yield from _taken(path, left_out)
            elif path.is_symlink():
                links.append(path)
            else:
                if path.suffix.lower() in IMAGE_SUFFIXES:
                    left_out[NAMED].append(path)
                waiting.append(path)
                seen.add(os.path.realpath(path))
        while links and not waiting and _seen_before(links[0], folder, seen):
            left_out[AGAIN].append(links.pop(0))


def _taken(path: Path, left_out: dict[str, list[Path]]) -> Iterator[Path]:
    """The file itself if it can be an image; else the reason gets it."""
    suffix = path.suffix.lower()
    if not path.exists():
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
    return [p for p in path.rglob("*") if p.suffix.lower() in IMAGE_SUFFIXES and p.is_file()]


def _through_link(path: Path, folder: Path) -> bool:
    if path.is_symlink():
        return True
    parents = path.relative_to(folder).parents
    return any((folder / parent).is_symlink() for parent in parents if parent.name)


def _without_label_maps(
    found: Sequence[Path], folder: Path, left_out: dict[str, list[Path]]
) -> list[Path]:
    """What is no label map by its folder's name, nor by its own beside its image's."""
    photographs, named = [], []
    for path in found:
        parents = path.relative_to(folder).parent.parts
        if any(_LABEL_WORDS & {part.lower(), *_words(part)} for part in parents):
            left_out[LABELS].append(path)
        elif _bases(path):
            named.append(path)
        else:
            photographs.append(path)
    heads, tails = _heads_and_tails(photographs)
    for path in named:
        head, tail = _bases(path)
        label = (head and head in heads) or (tail and tail in tails)
        (left_out[LABELS] if label else photographs).append(path)
    return sorted(photographs)


def _words(name: str) -> tuple[str, ...]:
    return tuple(word for word in re.split(r"[ _.\-]+", name.lower()) if word)


def _bases(path: Path) -> tuple[tuple[str, ...], tuple[str, ...]] | tuple[()]:
    """Words before the label words that end a name, and those behind the ones that begin it."""
    words = _words(path.stem)
    end, start = len(words), 0
    while end and words[end - 1] in _LAST_WORDS:
        end -= 1
    while start < len(words) and words[start] in _LABEL_WORDS:
        start += 1
    if not _LABEL_WORDS & set(words) and words[-1:] != ("l",):
        return ()
    head = words[:end] if end < len(words) else ()
    tail = words[start:] if start else ()
    return (head, tail) if head or tail else ()


def _heads_and_tails(
    paths: Sequence[Path],
) -> tuple[set[tuple[str, ...]], set[tuple[str, ...]]]:
    """How the names of images begin and end, in words."""
    names = [_words(path.stem) for path in paths]
    heads = {name[:stop] for name in names for stop in range(1, len(name) + 1)}
    return heads, {name[start:] for name in names for start in range(len(name))}


def _without_masks_of_one_name(
    images: Sequence[Path], left_out: dict[str, list[Path]]
) -> list[Path]:
    """Without the label map that lies beside a photograph of its own name."""
    groups: dict[Path, list[Path]] = defaultdict(list)
    for path in images:
        groups[path.with_suffix("")].append(path)
    kept: list[Path] = []
    for group in groups.values():
        looks = [_look(path) if len(group) > 1 else _Look() for path in group]
        for path, own in zip(group, looks, strict=True):
            one_band = own.bands == 1 and any(other.bands > 1 for other in looks)
            painted = own.painted and not all(other.painted for other in looks)
            (left_out[LABELS] if one_band or painted else kept).append(path)
    return sorted(kept)


class _Look(NamedTuple):
    """What tells a label map from a photograph of its own name."""

    bands: int = 0
    """0 where it is not known."""
    painted: bool = False
    """Whether it holds no more than a few values or colours."""


def _look(path: Path) -> _Look:
    from PIL import Image

    try:
        if path.suffix.lower() == ".npy":
            pixels = np.load(path, mmap_mode="r", allow_pickle=False)
        else:
            with Image.open(path) as file:
                pixels = np.asarray(file)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        return _Look()  # named when it is read
    bands = 1 if pixels.ndim == 2 else pixels.shape[-1]
    step = max(1, min(pixels.shape[:2]) // 256)
    seen = pixels[::step, ::step].reshape(-1, bands)
    return _Look(bands, len(np.unique(seen, axis=0)) <= _FEW)
