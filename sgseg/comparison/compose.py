"""The config of a row: a recipe on a data set at a size, and what the row changes.

The base is the shipped config of (recipe, data), or, where there is none, that recipe's nearest
one with the data set's loaders. Then the row's parts, the preset's sizes, and the row's sizes in
proportion. At preset ``paper`` a row of the paper's recipe is the shipped config that it names.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from mmengine.config import Config

from ..training.aliases import drop_aliases
from ..training.batch import TOTAL, share_batch
from ..training.config import EVALUATORS, set_image_bands
from ..training.length import schedulers_of, set_length, stage_hook_of
from ..training.loaders import LOADERS
from ..training.options import merge_options
from ..training.settings import check_settings, check_training
from ..training.sizes import apply_preset, read_preset, set_bands, type_name
from .rows import Row

Recipe = Literal["paper", "practical"]
RECIPES: tuple[Recipe, ...] = ("paper", "practical")

# Bands of the images, and N in the paper (Table 12's caption and section A.2).
DATA_SETS = {
    "coco15": (3, 200),
    "coco3": (3, 100),
    "potsdam": (4, 100),
    "potsdam3": (4, 100),
    "mosaic": (3, 200),
    "folder": (3, 200),
}
# The recipe's config for data sets that it has none for.
_NEAREST = {"paper": "sgseg_diffgcn_paper_folder", "practical": "sgseg_diffgcn_folder"}
_OWN = {
    ("practical", "mosaic"): "sgseg_diffgcn_mosaic",
    **{
        ("paper", data): f"sgseg_diffgcn_{data}"
        for data in DATA_SETS
        if data not in ("mosaic", "folder")
    },
}
# Losses that nothing is left for when a part is taken out.
_LOSSES_OF = {
    "backbone": ("clustering", "smoothness", "superpixel_reconstruction", "edge"),
    "neck": ("total_variation",),
}


@dataclass(frozen=True)
class Data:
    """Which images: a data set of the toolkit and where it lies.

    Args:
        name: one of :data:`DATA_SETS`.
        root: folder of the data; the mosaic needs none.
        num_classes: clusters K; default the data set's, for ``folder`` its number of classes.
        label_map: ``FILE.json#KEY`` from raw labels to classes, for ``folder``.
        bands: of the images, for ``folder``; default 3.
    """

    name: str
    root: str | None = None
    num_classes: int | None = None
    label_map: str | None = None
    bands: int | None = None

    def __post_init__(self) -> None:
        if self.name not in DATA_SETS:
            raise ValueError(f"--data {self.name}: choose {', '.join(DATA_SETS)}")
        if (self.root is None) != (self.name == "mosaic"):
            raise ValueError(
                f"--data {self.name}: " + ("takes no folder" if self.root else "needs its folder")
            )
        if self.root is not None and not Path(self.root).is_dir():
            raise FileNotFoundError(f"--data {self.name} {self.root}: no such folder")
        if self.name == "folder" and not Path(str(self.root), "labels").is_dir():
            raise FileNotFoundError(
                f"--data folder {self.root}: no labels/ in it. A table is of accuracies: put label "
                "maps and classes.txt beside images/, or train without one (tools/train.py)"
            )

    @property
    def label(self) -> str:
        """Of runs and tables: the data set's name, for a folder its own as well."""
        if self.name != "folder":
            return self.name
        return f"folder_{re.sub(r'[^0-9A-Za-z]+', '_', Path(str(self.root)).resolve().name)}"


def method_config(row: Row, data: str, configs: str | Path) -> Path | None:
    """The config of another method's row, if the toolkit has it."""
    if row.method is None:
        return None
    path = Path(configs, row.method, f"{row.method}_{data}.py")
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
        FileNotFoundError: for a missing config.
        ValueError: for a row without a config in this toolkit.
    """
    path = method_config(row, data.name, configs)
    if row.method is not None and path is None:
        raise ValueError(f"{row.label}: configs/{row.method}/ has no config for {data.name} yet")
    config = _base(path, recipe, data, Path(configs))
    _set_data(config, data)
    full = config.train_cfg.max_epochs
    if path is None:
        set_bands(config.model, DATA_SETS[data.name][0])
        _set_parts(config, row)
        sizes = read_preset(row.preset or preset, Path(configs, "sgseg", "_"))
        _set_sizes(config, row, data.name, sizes)
        _set_stages(config, row)
    if data.bands is not None:
        set_image_bands(config, data.bands)
    if epochs is not None:
        set_length(config, max(1, round(epochs * config.train_cfg.max_epochs / full)))
    # Nobody looks at the pictures of fifty runs, and drawing takes longer than a small epoch;
    # tools/test.py draws those of any checkpoint.
    for hook in config.custom_hooks:
        if type_name(hook) == "PictureHook":
            hook["interval"] = 0
    merge_options(config, options or {})
    check_settings(config)
    check_training(config)
    share_batch(config, options or {})  # a run of a table has one process
    drop_aliases(config)
    for name in ("predict_side", "work_dir"):
        config.pop(name, None)
    return Config(config.to_dict())


def _base(method: Path | None, recipe: Recipe, data: Data, configs: Path) -> Config:
    own = _OWN.get((recipe, data.name))
    path = method or configs / "sgseg" / f"{own or _NEAREST[recipe]}.py"
    config = Config(Config.fromfile(str(path)).to_dict())
    if method is None and own is None and data.name != "folder":
        base = Config.fromfile(str(configs / "_base_" / "datasets" / f"{data.name}.py")).to_dict()
        for name in (*LOADERS, *EVALUATORS, TOTAL):
            config[name] = base[name]
    return config


def _set_data(config: Config, data: Data) -> None:
    for name in LOADERS:
        dataset = config[name].dataset
        if data.root is not None:
            dataset.root = data.root
        if data.label_map is not None and "LabelledFolder" in str(dataset.type):
            dataset.label_map = data.label_map
    count = data.num_classes
    if count is None and data.name == "folder":
        from ..registry import DATASETS

        count = len(DATASETS.build(dict(config.test_dataloader.dataset)).classes)
    count = count or config.test_evaluator.num_clusters
    for name in EVALUATORS:
        config[name].num_clusters = count
    if config.model.get("decode_head"):
        config.model.decode_head.num_classes = count


def _set_parts(config: Config, row: Row) -> None:
    config.merge_from_dict(dict(model=dict(row.change)))
    model = config.model
    for part, losses in _LOSSES_OF.items():
        if model.get(part) is None:
            for name in losses:
                model.losses.pop(name, None)
    if model.get("backbone") is None:
        model.pop("fusion", None)  # nothing is left to join
        model.pop("roll_coordinates", None)


def _set_sizes(config: Config, row: Row, data: str, preset: Mapping[str, Any]) -> None:
    apply_preset(
        config, preset, ((row.superpixels or DATA_SETS[data][1]) / 200, (row.knn or 20) / 20)
    )


def _set_stages(config: Config, row: Row) -> None:
    if row.stages is None:
        return
    hook = stage_hook_of(config)
    assert hook is not None  # every SGSeg recipe has one
    boundary = hook["stages"][1][0]
    if len(row.stages) == 1:
        # No pre-training: the rest of the schedule is all there is.
        config.train_cfg.merge(dict(max_epochs=config.train_cfg.max_epochs - boundary, val_begin=1))
        for scheduler in schedulers_of(config):
            scheduler["begin"] = max(scheduler.get("begin", 0) - boundary, 0)
    starts = (0, boundary)
    hook["stages"] = [(starts[place], name) for place, name in enumerate(row.stages)]
