"""Presets: one size for the parts of any model."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmengine.config import Config

from ..config_files import PACKAGED
from ..registry import find
from .options import merge_options


def read_preset(name: str, config_path: str | Path) -> dict[str, dict[str, Any]]:
    """The sizes of a preset: class of a part -> arguments of that class.

    Args:
        name: of a file in ``_base_/presets/`` of the folder tree that the config lies in, of one
            that ships, or the path of a preset file.
        config_path: the config that it is for.

    Raises:
        FileNotFoundError: if there is no such preset; the message lists those there are.
        ValueError: if the file holds no ``sizes``.
    """
    path = Path(name)
    if path.suffix != ".py":
        above = reversed(Path(config_path).resolve().parents)  # the nearest folder wins
        folders = [parent / "_base_" / "presets" for parent in (PACKAGED, *above)]
        presets = {p.stem: p for folder in folders for p in sorted(folder.glob("*.py"))}
        if name not in presets:
            raise FileNotFoundError(f"--preset {name}: choose {', '.join(presets)}, or give a file")
        path = presets[name]
    sizes = Config.fromfile(str(path)).to_dict().get("sizes")
    if not isinstance(sizes, Mapping) or not all(isinstance(v, Mapping) for v in sizes.values()):
        raise ValueError(
            f"{path}: a preset states sizes = dict(CLASS=dict(ARGUMENT=...), ...), for example "
            "sizes = dict(SPNN=dict(base_channels=4))"
        )
    return dict(sizes)


def apply_preset(config: Config, sizes: Mapping[str, Mapping[str, Any]]) -> None:
    """Give the parts of ``config.model`` the sizes of their classes.

    An ablation of N or k stays one: a config with a quarter of the superpixels of its recipe
    (``preset_reference``) has a quarter of the preset's.

    Args:
        config: changed in place.
        sizes: from :func:`read_preset`; classes that the model has not are passed over.

    Raises:
        ValueError: for an argument that a class does not take.
    """
    reference = config.get("preset_reference") or {}
    options = {}
    for part, own in config.model.items():
        kind = find(own.get("type")) if isinstance(own, Mapping) else None
        for key, size in sizes.get(getattr(kind, "__name__", ""), {}).items():
            if key in reference:
                least = 2 if key == "num_superpixels" else 1
                size = max(least, round(own[key] / reference[key] * size))
            options[f"model.{part}.{key}"] = size
    superpixels = options.get("model.backbone.num_superpixels")
    if superpixels and "model.neck.knn" in options:  # a node is no neighbour of itself
        options["model.neck.knn"] = min(options["model.neck.knn"], superpixels - 1)
    merge_options(config, options)
