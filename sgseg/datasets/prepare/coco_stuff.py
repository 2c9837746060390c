"""COCO-Stuff into a cache: scaled images and fine ids, serving 15, 3 and 3 + other classes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from ...registry import TRANSFORMS
from ..base import TransformConfig, describe
from ..cache import Cache, Sample
from ..coco_stuff import SPLITS, COCOTree, CuratedList, find_lists, list_sha256
from .build import Plan, Progress, build

PROTOCOL = dict(type="Rescale", factor=0.33, interpolation="bilinear")
"""IIC's; random 128-pixel crops need the whole scaled image."""
WHOLE = dict(type="ResizeWhole", size=128)
_PER_SHARD = 512
"""Images: about 60 MB a shard, lost at most when a run is killed."""


class _Images(NamedTuple):
    """One shard of a tree."""

    tree: COCOTree
    ids: Sequence[tuple[str, str]]
    resize: TransformConfig

    def names(self) -> list[str]:
        return [f"{split}/{name}" for split, name in self.ids]

    def samples(self) -> Iterator[Sample]:
        transform = TRANSFORMS.build(self.resize)
        for split, name in self.ids:
            image, label = self.tree.read(split, name)
            results = transform(dict(img=image, gt_seg_map=label))
            yield Sample(results["img"], results["gt_seg_map"])


def prepare_coco_stuff(
    source: str | Path,
    out: str | Path,
    lists: Sequence[str | Path] = (),
    splits: Sequence[str] = SPLITS,
    whole: bool = False,
    all_images: bool = False,
    workers: int = 1,
    progress: Progress | None = None,
) -> Cache:
    """Prepare COCO-Stuff once for all of its data sets.

    Args:
        source: the data as they come; see :class:`sgseg.datasets.coco_stuff.COCOTree`.
        out: folder of the cache.
        lists: files or folders with the curated lists; default ``source/curated``.
        splits: which splits.
        whole: squeeze whole images to 128 x 128 (``resize_whole``) instead of x0.33.
        all_images: take every image of the splits, not those of the lists.
        workers, progress: see :func:`sgseg.datasets.prepare.build.build`.

    Raises:
        FileNotFoundError: for a missing folder or list, or listed images that are missing.
        BadFileError, FileExistsError, OSError: see ``build``.
    """
    plan = plan_coco_stuff(source, lists, splits, whole, all_images)
    return build(plan, out, workers, progress)


def plan_coco_stuff(
    source: str | Path,
    lists: Sequence[str | Path] = (),
    splits: Sequence[str] = SPLITS,
    whole: bool = False,
    all_images: bool = False,
) -> Plan:
    """What :func:`prepare_coco_stuff` will write."""
    tree = COCOTree(source)
    found = [] if all_images else _lists(tree, lists, splits)
    ids, bits = [], []
    names = sorted({curated.name for curated in found})
    for split in splits:
        members = {curated.name: set(curated.ids) for curated in found if curated.split == split}
        on_disk = tree.ids(split)
        wanted = sorted(set().union(*members.values())) if found else on_disk
        if missing := sorted(set(wanted) - set(on_disk)):
            raise FileNotFoundError(
                f"{tree.images(split)}: {len(missing)} of {len(wanted)} listed images are missing, "
                f"the first is {missing[0]}.jpg; the archive may not be whole"
            )
        ids += [(split, name) for name in wanted]
        bits += [
            sum((name in members.get(listed, ())) << bit for bit, listed in enumerate(names))
            for name in wanted
        ]
    resize = WHOLE if whole else PROTOCOL
    starts = range(0, len(ids), _PER_SHARD)
    return Plan(
        jobs=[_Images(tree, ids[start : start + _PER_SHARD], resize) for start in starts],
        splits=splits,
        split_of=[splits.index(split) for split, _ in ids],
        lists_of=bits,
        facts=dict(
            dataset="coco_stuff",
            bands=3,
            applied=[describe(resize)],
            labels="fine ids 0..181, 255 unlabelled",
            lists={name: _described(name, found) for name in names},
            protocol=dict(published=False) if not found else {},
        ),
    )


def _lists(
    tree: COCOTree, sources: Sequence[str | Path], splits: Sequence[str]
) -> list[CuratedList]:
    for source in sources:
        if not Path(source).exists():
            raise FileNotFoundError(f"{source}: no such list or folder of lists")
    lists = [c for source in sources or [tree.root / "curated"] for c in find_lists(source)]
    lists = [curated for curated in lists if curated.split in splits]
    if not lists:
        raise FileNotFoundError(
            f"no curated list in {', '.join(map(str, sources)) or tree.root / 'curated'}: the "
            "published numbers are on the lists Coco164kFull_Stuff_Coarse_7 and "
            "Coco164kFew_Stuff_6; give them with --lists, or take every image with --all-images"
        )
    return lists


def _described(name: str, found: Sequence[CuratedList]) -> dict[str, dict[str, object]]:
    return {
        curated.split: dict(
            items=len(curated.ids), sha256=list_sha256(curated.ids), published=curated.published
        )
        for curated in found
        if curated.name == name
    }
