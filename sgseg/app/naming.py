"""Naming clusters as plain state: names, splits, an undo, and what there is to show of them.

Nothing here knows a browser; :mod:`.page` puts it on one.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ..datasets.folder import scan
from ..inference import Segmenter
from ..inference.splits import NameTable, Split, SplitNetwork, keys_after, name_table
from ..io.jsonfile import write_json
from ..visualization import class_colours, overlay
from .crops import surest_crops
from .names import checked_name
from .sampled import NO_DATA, ListeningNetwork, SampledImage, look

RGB = npt.NDArray[np.uint8]
Watch = Callable[[Sequence[Any]], Iterable[Any]]
"""Passes a sequence on and shows how far it has come."""
MOST_PARTS = 8
_EMPTY = 255


class Row(NamedTuple):
    """A cluster, or a part of one, as the page lists it."""

    key: str
    """Value of the label maps, or part of one: ``1``, ``1.2``."""
    name: str
    joined: tuple[str, ...]
    """Other keys of the same name."""
    colour: str
    """Of its class, ``#rrggbb``."""
    share: float
    """Of the valid pixels of the sampled images, 0 to 1."""


class Named(NamedTuple):
    """What an undo goes back to."""

    names: dict[str, str]
    splits: tuple[Split, ...] = ()


class Naming:
    """The clusters of a model on a sample of a folder's images, and the names they are given.

    Args:
        segmenter: with the names of its checkpoint. It is copied.
        folder: of images, or an image.
        count: images that are looked at; of more, so many are taken evenly.
        table: names and splits to go on with, a file or mapping as :meth:`save` writes it.
        watch: shows how far a walk over the images has come.

    Attributes:
        images: those that could be read.
        faults: path -> why it could not be read.
        total: images of the folder.
        revision: rises with every change; ``split_revision`` with those that change maps too.

    Raises:
        FileNotFoundError: for a missing folder, or one without images.
        ValueError: if no image can be read, or the table is not of this model.
    """

    def __init__(
        self,
        segmenter: Segmenter,
        folder: str | Path,
        count: int = 200,
        table: str | Path | None = None,
        watch: Watch = iter,
    ) -> None:
        if count < 1:
            raise ValueError(f"--images {count}: one image or more")
        self.folder = Path(folder)
        self.segmenter = copy.copy(segmenter)
        self._whole: Any = segmenter.network
        self._own_keys = [str(value) for value in segmenter.mapping]
        paths = scan(folder).paths
        self.total = len(paths)
        self.images: list[SampledImage] = []
        self.faults: dict[Path, str] = {}
        self.revision = self.split_revision = self._saved = 0
        self._crops: dict[str, list[RGB]] = {}
        self._pixels: dict[str, float] = {}
        values = {str(value): name for value, name in enumerate(segmenter.classes)}
        self._history = [Named(values)]
        if table is not None:
            read = name_table(table, segmenter.classes, segmenter.weights)
            self._history = [Named(read.names, read.splits)]
        self._listen()
        places = np.unique(np.linspace(0, len(paths) - 1, min(count, len(paths))).round())
        for path in watch([paths[int(place)] for place in places]):
            try:
                self.images.append(look(self.segmenter, path))
            except ValueError as error:
                self.faults[path] = " ".join(str(error).split())
        if not self.images:
            first = next(iter(self.faults.values()))
            raise ValueError(f"{folder}: none of {len(self.faults)} images can be read: {first}")

    @property
    def now(self) -> Named:
        """Names and splits as they stand."""
        return self._history[-1]

    @property
    def keys(self) -> list[str]:
        """Clusters and parts, in the order of the values."""
        values = [str(value) for value in range(len(self.segmenter.classes))]
        return keys_after(values, self.now.splits)

    @property
    def classes(self) -> list[str]:
        """Names without repetition: what label maps will hold, by value."""
        return list(dict.fromkeys(self.now.names[key] for key in self.keys))

    @property
    def unsaved(self) -> bool:
        """Whether something has changed since it was saved."""
        return self.revision != self._saved

    @property
    def undoable(self) -> bool:
        """Whether there is something to undo."""
        return len(self._history) > 1

    def rename(self, key: str, name: str) -> str:
        """Name a cluster; returns the name as it stands.

        Raises:
            ValueError: for an unknown cluster or a bad name, see :func:`checked_name`.
        """
        self._demand(key)
        name = checked_name(name)
        if name != self.now.names[key]:
            self._change(self.now._replace(names=self.now.names | {key: name}))
        return name

    def split(self, key: str, parts: int = 2, watch: Watch = iter) -> list[str]:
        """Divide a cluster by K-Means of its pixels' features; returns the keys of the parts.

        The largest part comes first. Images in which the cluster occurs are segmented anew.

        Raises:
            ValueError: for an unknown cluster, a number of parts out of 2 to MOST_PARTS, or a
                cluster of which too few different pixels were seen.
        """
        self._demand(key)
        if not 2 <= parts <= MOST_PARTS:
            raise ValueError(f"a split into {parts} parts: choose 2 to {MOST_PARTS}")
        own = self._channels(key)
        kept = [image.features[c] for image in self.images for c in own if c in image.features]
        features = np.concatenate(kept) if kept else np.empty((0, 1), np.float32)
        if len(np.unique(features, axis=0)) < 4 * parts:
            raise ValueError(
                f"cluster {key} has too few different pixels in these images to be split into "
                f"{parts}; split another, or start with more --images"
            )
        split = Split(key, _centres(features, parts))
        names = {k: name for k, name in self.now.names.items() if k != key}
        names |= {part: f"{self.now.names[key]} {part.split('.')[-1]}" for part in split.parts}
        touched = [n for n, image in enumerate(self.images) if np.isin(image.channels, own).any()]
        self._change(Named(names, (*self.now.splits, split)))
        self._listen()
        for number in watch(touched):
            self.images[number] = look(self.segmenter, self.images[number].path)
        self._maps_changed()
        return split.parts

    def undo(self) -> None:
        """Go back by one change.

        Raises:
            ValueError: if there is none.
        """
        if not self.undoable:
            raise ValueError("there is nothing to undo")
        left = self._history.pop()
        self.revision += 1
        undone = left.splits[len(self.now.splits) :]
        for split in undone:
            self._join(split)
        if undone:
            self._listen()
            self._maps_changed()

    def rows(self) -> list[Row]:
        """Clusters and parts with what they cover of the images."""
        covered = self._covered()
        valid = max(sum(covered.values()), 1.0)
        names, colours = self.now.names, self._class_colours()
        rows = []
        for key in self.keys:
            share = covered.get(key, 0.0) / valid
            joined = tuple(k for k in self.keys if k != key and names[k] == names[key])
            red, green, blue = (int(n) for n in colours[self.classes.index(names[key])])
            rows.append(Row(key, names[key], joined, f"#{red:02x}{green:02x}{blue:02x}", share))
        return rows

    def crops(self, key: str) -> list[RGB]:
        """The surest places of a cluster."""
        if key not in self._crops:
            self._crops[key] = surest_crops(self.images, set(self._channels(key)))
        return self._crops[key]

    def cluster_at(self, number: int, x: int, y: int) -> str | None:
        """The cluster of a pixel of an image as shown; None where there is no data.

        Raises:
            ValueError: for a place outside the image.
        """
        channels = self.images[number].channels
        if not (0 <= y < channels.shape[0] and 0 <= x < channels.shape[1]):
            raise ValueError(f"no pixel at {x}, {y}: the image has {channels.shape[::-1]}")
        channel = int(channels[y, x])
        return None if channel == NO_DATA else self._channel_keys[channel]

    def map(self, number: int, opacity: float = 0.6, only: str | None = None) -> RGB:
        """An image with the colours of its classes, or with one cluster's alone: (h, w, 3)."""
        classes, names = self.classes, self.now.names
        values = [
            classes.index(names[key]) if only in (None, key) else _EMPTY
            for key in self._channel_keys
        ]
        image = self.images[number]
        labels = np.array([_EMPTY, *values])[image.channels + 1]
        picture = image.picture if only is None else image.picture // 3
        shown = overlay(picture, labels, self._class_colours(), opacity)
        if only is not None:
            inside = labels != _EMPTY
            shown[inside] = image.picture[inside]
        return shown

    def table(self) -> NameTable:
        """What :meth:`save` writes."""
        names = {key: self.now.names[key] for key in self.keys}
        return NameTable(names, self.now.splits, self.segmenter.weights)

    def save(self, path: str | Path) -> None:
        """Write ``names.json``, which ``sgseg predict --names`` reads."""
        write_json(path, self.table().as_json())
        self._saved = self.revision

    def named_segmenter(self) -> Segmenter:
        """A segmenter with these names and splits."""
        named = copy.copy(self.segmenter)
        named.network = self._whole
        named.rename(self.table().as_json())
        return named

    def _covered(self) -> dict[str, float]:
        """Key -> pixels of the images, counted at their own size."""
        if not self._pixels:
            for image in self.images:
                for channel, count in zip(
                    *np.unique(image.channels, return_counts=True), strict=True
                ):
                    if channel != NO_DATA:
                        key = self._channel_keys[channel]
                        self._pixels[key] = self._pixels.get(key, 0.0) + count * image.pixel
        return self._pixels

    def _class_colours(self) -> RGB:
        return class_colours(self.classes)

    def _demand(self, key: str) -> None:
        if key not in self.keys:
            raise ValueError(f"no cluster {key!r}; it was split or an undo took it away")

    def _channels(self, key: str) -> list[int]:
        return [channel for channel, k in enumerate(self._channel_keys) if k == key]

    def _change(self, named: Named) -> None:
        self._history.append(named)
        self.revision += 1

    def _maps_changed(self) -> None:
        self._crops.clear()
        self._pixels.clear()
        self.split_revision += 1

    def _listen(self) -> None:
        """Segment with the splits as they stand."""
        network, self._channel_keys = self._whole, self._own_keys
        if self.now.splits:
            network = SplitNetwork(self._whole, self._own_keys, self.now.splits)
            self._channel_keys = network.keys
        self.segmenter.network = ListeningNetwork(network)

    def _join(self, split: Split) -> None:
        """Give the pixels of the parts of a split back to its cluster."""
        parts = [channel for part in split.parts for channel in self._channels(part)]
        for image in self.images:
            image.channels[np.isin(image.channels, parts)] = parts[0]
            kept = [image.features.pop(channel) for channel in parts if channel in image.features]
            if kept:
                image.features[parts[0]] = np.concatenate(kept)


def _centres(features: npt.NDArray[np.float32], parts: int) -> npt.NDArray[np.float32]:
    from sklearn.cluster import KMeans

    fitted = KMeans(parts, n_init=4, random_state=0).fit(features)
    order = np.argsort(-np.bincount(fitted.labels_, minlength=parts))
    return np.asarray(fitted.cluster_centers_[order], np.float32)
