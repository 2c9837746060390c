"""The config of a row: a shipped config on some data at some size, and what the row changes."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from mmengine.config import Config

from ..datasets import LabelledFolder
from ..engine import TrainingStageHook
from ..engine.hooks.stage import hook_of
from ..training import build_config
from ..training.arguments import value_at
from ..training.length import schedulers_of, set_length, stages_of
from ..training.options import merge_options
from .rows import Row

Recipe = Literal["paper", "practical"]
RECIPES: tuple[Recipe, ...] = ("paper", "practical")
DATA_SETS = ("coco15", "coco3", "potsdam", "potsdam3", "mosaic", "folder")
_PAPER_SCALE = {"model.backbone.num_superpixels": 200, "model.neck.knn": 20}
"""Overrides that a row states on the paper's scale -> the number of the paper's main model."""


@dataclass(frozen=True)
class Data:
    """Which images: a data set of the toolkit and where it lies.

    Args:
        name: one of :data:`DATA_SETS`.
        root: folder of the data; the mosaic needs none.
        num_classes: clusters K; default the data set's, for ``folder`` its number of classes.
        label_map: ``FILE.json#KEY`` from raw labels to classes, for ``folder``.
        bands: of the images, for ``folder``; default 3.
        elsewhere: the images are on another machine: rows can be counted, not run.
    """

    name: str
    root: str | None = None
    num_classes: int | None = None
    label_map: str | None = None
    bands: int | None = None
    elsewhere: bool = False

    def __post_init__(self) -> None:
        if self.name not in DATA_SETS:
            raise ValueError(f"--data {self.name}: choose {', '.join(DATA_SETS)}")
        if self.elsewhere:
            return
        if (self.root is None) != (self.name == "mosaic"):
            raise ValueError(
                f"--data {self.name}: " + ("takes no folder" if self.root else "needs its folder")
            )
        if self.root is not None and not Path(self.root).is_dir():
            raise FileNotFoundError(f"--data {self.name} {self.root}: no such folder")
        if self.name == "folder" and not Path(str(self.root), "labels").is_dir():
            raise FileNotFoundError(
                f"--data folder {self.root}: no labels/ in it. A table is of accuracies: put label "
                "maps and classes.txt beside images/, or train without one (sgseg train)"
            )

    @property
    def label(self) -> str:
        """Name in runs and tables: the data set's, for a folder its own as well."""
        if self.name != "folder":
            return self.name
        return f"folder_{re.sub(r'[^0-9A-Za-z]+', '_', Path(str(self.root)).resolve().name)}"

    def classes(self) -> int | None:
        """The number of clusters; None for that of the data set's config."""
        if self.num_classes is None and self.root is not None and self.name == "folder":
            return len(LabelledFolder(self.root, label_map=self.label_map).classes)
        return self.num_classes


def method_config(row: Row, data: str, configs: str | Path) -> Path | None:
    """The config of another method's row, if there is one for the data."""
    path = Path(configs, str(row.method), f"{row.method}_{data}.py")
    return path if path.is_file() else None


def compose(
    row: Row,
    recipe: Recipe,
    data: Data,
    preset: str,
    configs: str | Path,
    epochs: int | None = None,
    options: Mapping[str, Any] | None = None,
) -> Config:
    """The config that trains a row.

    Args:
        row: of a table.
        recipe: ``paper`` or ``practical``; another method has one of its own only.
        data: the images.
        preset: sizes of the model; other methods keep theirs.
        configs: folder of the configs.
        epochs: of the recipe's full schedule; a row's own schedule and all stages in proportion.
            Default: the recipe's.
        options: ``a.b.c=value`` overrides, which win.

    Raises:
        ValueError: for a row without a config in this toolkit.
    """
    config, full = _row_config(row, recipe, data.name, Path(configs))
    if epochs is not None:
        set_length(config, max(1, round(epochs * config.train_cfg.max_epochs / full)))
    # Nobody looks at the pictures of fifty runs, and drawing takes longer than a small epoch;
    # sgseg test draws those of any checkpoint.
    options = {"default_hooks.pictures.interval": 0, **(options or {})}
    config = build_config(
        config,
        data=data.root,
        num_classes=data.classes(),
        label_map=data.label_map,
        bands=data.bands,
        preset=None if row.method else row.preset or preset,
        options=options,
    )
    for name in ("launcher", "predict_side", "preset_reference", "work_dir"):
        config.pop(name, None)
    return Config(config.to_dict())


def _row_config(row: Row, recipe: Recipe, data: str, configs: Path) -> tuple[Config, int]:
    """The config of a row before data and sizes, and the epochs of the recipe's full schedule."""
    if row.method is not None:
        path = method_config(row, data, configs)
        if path is None:
            raise ValueError(f"{row.label}: configs/{row.method}/ has no config for {data} yet")
        config = Config.fromfile(str(path))
        return config, config.train_cfg.max_epochs
    main = configs / "sgseg" / f"sgseg_diffgcn_{recipe}_{data}.py"
    if not main.is_file():
        main = configs / "sgseg" / f"sgseg_diffgcn_{data}.py"
    config = Config.fromfile(str(main))
    full = config.train_cfg.max_epochs
    own = main.with_name(main.name.replace("sgseg_diffgcn", row.config, 1))
    if own != main and own.is_file():
        return Config.fromfile(str(own)), full
    for key, number in _PAPER_SCALE.items():
        if key in row.overrides:
            config.preset_reference[key.rpartition(".")[2]] = number
    stated = dict(config.items())  # what a recipe has not need not be left out
    kept = (k for k, v in row.overrides.items() if v is not None or value_at(stated, k) is not None)
    merge_options(config, {key: row.overrides[key] for key in kept})
    if row.stages is not None:
        set_stages(config, row.stages)
    return config, full


def set_stages(config: Config, names: Sequence[str]) -> None:
    """Name the two stages anew, or leave the first out; their boundary stays.

    Args:
        config: with two stages, changed in place.
        names: two, or one, which trains as long as the second did.
    """
    boundary = stages_of(config)[1][0]
    if len(names) == 1:
        loop = config.train_cfg
        loop.max_epochs, loop.val_begin = loop.max_epochs - boundary, 1
        for scheduler in schedulers_of(config):
            scheduler["begin"] = max(scheduler.get("begin", 0) - boundary, 0)
    hook_of(config, TrainingStageHook)["stages"] = list(zip((0, boundary), names, strict=False))
