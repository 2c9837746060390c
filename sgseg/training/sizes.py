"""Sizes of a model by name: every place that a width or the number of bands reaches is set."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmengine.config import Config

from ..models.backbones import FixedSuperpixels

SIZES = {
    "superpixel_channels": "width of SPNN's first layer",
    "superpixel_stride": "stride of SPNN's first layer",
    "num_superpixels": "N",
    "node_channels": "width of the graph network",
    "knn": "neighbours of a node",
    "head_channels": "width of the head's stem",
    "head_multipliers": "width of each residual block in units of head_channels; None: the model's",
    "trunk_channels": "width of the first layer of Net10a, the trunk of the other methods",
}


def read_preset(name: str, config_path: str | Path) -> dict[str, Any]:
    """The sizes of a preset.

    Args:
        name: of a file in ``_base_/presets/`` of the folder tree that the config lies in, or the
            path of a preset file.
        config_path: the config that it is for.

    Raises:
        FileNotFoundError: if there is no such preset; the message lists those there are.
        ValueError: if it does not hold exactly the :data:`SIZES`.
    """
    path = Path(name)
    if path.suffix != ".py":
        folders = [parent / "_base_" / "presets" for parent in Path(config_path).resolve().parents]
        found = {p.stem: p for folder in folders for p in sorted(folder.glob("*.py"))}
        if name not in found:
            raise FileNotFoundError(
                f"--preset {name}: choose {', '.join(found) or 'a file'}"
                + ("" if found else f" (there is no _base_/presets above {config_path})")
            )
        path = found[name]
    preset = dict(Config.fromfile(str(path)).get("preset") or {})
    if set(preset) != set(SIZES):
        raise ValueError(
            f"{path}: preset holds {sorted(preset)}; it must hold {sorted(SIZES)}, no more"
        )
    return preset


def apply_preset(
    config: Config, preset: Mapping[str, Any], ratios: tuple[float, float] | None = None
) -> None:
    """Set the sizes of ``config.model``; a part that the model does not have is passed over.

    An ablation of N or k stays one: a config with a quarter of its recipe's superpixels has a
    quarter of the preset's.

    Args:
        config: changed in place.
        preset: all of :data:`SIZES`.
        ratios: of N and of k to the preset's; default those of the config to the recipe it
            inherits from (its ``preset_reference``).
    """
    model = config.model
    if type_name(model) != "SGSeg":
        if model.get("backbone"):  # the heads' widths follow it
            model.backbone.base_channels = preset["trunk_channels"]
        return
    head = model.decode_head
    superpixels, neighbours = ratios or _ratios(config)
    if model.get("backbone"):
        if "base_channels" in model.backbone:  # it learns
            model.backbone.base_channels = preset["superpixel_channels"]
            model.backbone.stride = preset["superpixel_stride"]
        model.backbone.num_superpixels = max(2, round(superpixels * preset["num_superpixels"]))
    if model.get("neck"):
        model.neck.channels = preset["node_channels"]
        wanted = max(1, round(neighbours * preset["knn"]))
        model.neck.knn = min(wanted, model.backbone.num_superpixels - 1)
    head.base_channels = preset["head_channels"]
    if preset["head_multipliers"] is not None:
        head.multipliers = tuple(preset["head_multipliers"])
    _join_widths(model)


def _ratios(config: Config) -> tuple[float, float]:
    """N and k of a config, each over those of the recipe that it inherits from."""
    model, reference = config.model, config.get("preset_reference") or {}
    found = []
    for part, key in (("backbone", "num_superpixels"), ("neck", "knn")):
        own = (model.get(part) or {}).get(key)
        found.append(own / reference[key] if own and key in reference else 1.0)
    return found[0], found[1]


def set_bands(model: Any, bands: int) -> None:
    """Set the number of bands of the images wherever a model depends on it.

    Gradients beside the bands (Sobel) are of R, G, B: with other bands the trunk sees the bands
    alone, as IIC's does on Potsdam.

    Args:
        model: a config's ``model``, changed in place.
        bands: C, at least 1.

    Raises:
        ValueError: for less than one band.
    """
    if bands < 1:
        raise ValueError(f"--bands {bands}: images have at least one")
    model.data_preprocessor.bands = bands
    if model.get("backbone"):
        model.backbone.in_channels = bands
        if model.backbone.get("sobel"):
            model.backbone.sobel = bands == 3
    if type_name(model) == "SGSeg":
        if model.decode_head.get("image_channels"):  # 0: it does not rebuild the image
            model.decode_head.image_channels = bands
        _join_widths(model)
    elif not model.get("backbone"):
        model.decode_head.in_channels = bands


def _join_widths(model: Any) -> None:
    """Widths of SGSeg's parts that follow from the parts before them."""
    bands = model.data_preprocessor.bands
    width = 0  # of the projected node features
    if model.get("backbone"):
        features = FixedSuperpixels.FEATURES_PER_BAND * bands
        if "base_channels" in model.backbone:
            features = 8 * model.backbone.base_channels
        width = 2 + bands + features  # x, y, bands, features
    if model.get("neck"):
        model.neck.in_channels, width = width, model.neck.channels
    model.decode_head.in_channels = bands + width


def type_name(config: Mapping[str, Any]) -> str:
    """Class name of a config's ``type``, which may be a class, a name or a dotted path."""
    kind = config["type"]
    return kind.rsplit(".", 1)[-1] if isinstance(kind, str) else kind.__name__
