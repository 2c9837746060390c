"""Whatever is given, there is a result or an error that names what is wrong (R23)."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import tifffile
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sgseg.io.images import BadFileError, read_image, read_label
from sgseg.registry import MODELS
from sgseg.training import build_config
from tests.conftest import ROOT, TINY

EXAMPLES = int(os.environ.get("SGSEG_FUZZ", "0"))
"""More examples: ``make fuzz`` sets it."""
NAMED = (ValueError, TypeError, KeyError, FileNotFoundError)
"""What the documentation says a wrong value raises; mmengine wraps none of them."""


def quickly(examples: int) -> Any:
    """Settings of a fuzzer: the same examples each time, or as many new ones as asked for."""
    return settings(
        max_examples=EXAMPLES or examples,
        derandomize=not EXAMPLES,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )


def files() -> dict[str, bytes]:
    """One small image of every kind that is read."""
    rng = np.random.default_rng(0)
    colour = rng.integers(0, 255, (9, 11, 3), dtype=np.uint8)
    found = {}
    for suffix in (".png", ".jpg", ".bmp", ".webp", ".tif"):
        found[suffix] = cv2.imencode(suffix, colour)[1].tobytes()
    for name, array, options in (
        ("four.tif", rng.integers(0, 255, (9, 11, 4), dtype=np.uint8), dict(photometric="rgb")),
        ("deflate.tif", colour, dict(compression="zlib")),
        ("tiled.tif", rng.integers(0, 65535, (32, 32), dtype=np.uint16), dict(tile=(16, 16))),
    ):
        buffer = io.BytesIO()
        tifffile.imwrite(buffer, array, **options)  # type: ignore[arg-type]
        found[name] = buffer.getvalue()
    buffer = io.BytesIO()
    np.save(buffer, colour)
    found[".npy"] = buffer.getvalue()
    return found


FILES = files()


@st.composite
def damaged(draw: st.DrawFn) -> tuple[str, bytes]:
    """A file with some bytes changed, most of them in its header, cut out or put in."""
    name = draw(st.sampled_from(sorted(FILES)))
    data = bytearray(FILES[name])
    for _ in range(draw(st.integers(1, 4))):
        reach = draw(st.sampled_from([16, 64, 256, len(data)]))
        place = draw(st.integers(0, max(min(reach, len(data)) - 1, 0)))
        kind = draw(st.sampled_from(["change", "change", "big", "cut", "insert", "truncate"]))
        if kind == "change":
            data[place : place + 1] = draw(st.binary(min_size=1, max_size=1))
        elif kind == "big":
            data[place : place + 4] = b"\xff\xff\xff\x7f"
        elif kind == "cut":
            del data[place : place + draw(st.integers(1, 8))]
        elif kind == "insert":
            data[place:place] = draw(st.binary(max_size=8))
        else:
            del data[place:]
        if not data:
            break
    return name, bytes(data)


@quickly(300)
@given(file=damaged(), bands=st.sampled_from([1, 3, 4]))
def test_damaged_images(
    tmp_path_factory: pytest.TempPathFactory, file: tuple[str, bytes], bands: int
) -> None:
    """A damaged image is read as (H, W, bands), or is a BadFileError with its path."""
    name, data = file
    path = tmp_path_factory.getbasetemp() / f"fuzz{Path('x' + name).suffix}"
    path.write_bytes(data)
    try:
        image = read_image(path, bands)
    except BadFileError as error:
        assert str(path) in str(error)  # noqa: PT017
    else:
        assert image.ndim == 3 and image.shape[2] == bands and image.size
        assert image.dtype in (np.uint8, np.float32) and np.isfinite(image).all()
    try:
        label = read_label(path)
    except BadFileError as error:
        assert str(path) in str(error)  # noqa: PT017
    else:
        assert label.ndim == 2 and label.dtype.kind in "iu"


NUMBERS = st.one_of(
    st.integers(-2, 40), st.sampled_from([0.0, -1.0, 0.5, float("nan"), float("inf"), 1e9])
)
VALUES = st.one_of(NUMBERS, st.sampled_from([None, True, "SPNN", "no such", [], [1, 2], {}]))
KEYS = sorted(
    [
        *(key for key in TINY if key.startswith(("model.", "train_", "param_", "val_"))),
        "model.backbone.temperature",
        "model.backbone.in_channels",
        "model.backbone.type",
        "model.neck",
        "model.neck.block.type",
        "model.neck.num_blocks",
        "model.decode_head.num_classes",
        "model.decode_head.multipliers",
        "model.data_preprocessor.bands",
        "model.data_preprocessor.standardise",
        "model.losses.smoothness.weight",
        "model.losses.smoothness.sigma",
        "model.losses.clustering.balance",
        "model.predict_orders",
        "model.fusion",
        "model.views",
        "model.no_such_key",
        "default_hooks.checkpoint.max_keep_ckpts",
        "optim_wrapper.paramwise_cfg.lr",
        "randomness.seed",
    ]
)


@quickly(30)
@given(options=st.dictionaries(st.sampled_from(KEYS), VALUES, min_size=1, max_size=3))
def test_config_overrides(options: dict[str, Any]) -> None:
    """Any value under any key: a model that takes a step, or an error of a named kind."""
    path = ROOT / "configs/sgseg/sgseg_diffgcn_mosaic.py"
    torch.manual_seed(0)
    try:
        config = build_config(path, options=TINY | options)
        model = MODELS.build(config.model)
        bands = model.data_preprocessor.bands
        batch = dict(inputs=torch.randint(0, 255, (2, bands, 32, 32), dtype=torch.uint8))
        model.loss(model.data_preprocessor(batch, True)["inputs"])
        model.eval().infer(model.data_preprocessor(batch, False)["inputs"])
    except NAMED as error:
        assert len(str(error)) > 3  # noqa: PT017
