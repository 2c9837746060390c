"""A raster in strips is the raster."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from sgseg.inference import Segmenter, strips
from sgseg.inference.working_size import WorkingSize
from tests.inference.models import save, small_config, small_model
from tests.inference.test_outputs import NAMES, draw_raster
from tests.inference.test_tiling import scene


@pytest.fixture(scope="module", name="segmenter")
def segmenter_fixture(tmp_path_factory: pytest.TempPathFactory) -> Segmenter:
    """A small model in windows of 16 pixels."""
    path = save(small_model(small_config()), tmp_path_factory.mktemp("model") / "a.pth", NAMES)
    return Segmenter(path, small_config(), side=0, tile=16, overlap=8)


@pytest.mark.parametrize("height", [48, 57])
def test_strips_are_the_whole(
    segmenter: Segmenter, tmp_path: Path, height: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Equal to the bit, also where the last windows overlap by more; a second try reads none."""
    monkeypatch.setattr(strips, "WINDOWS", 2)
    path = tmp_path / "a.png"
    cv2.imwrite(str(path), scene(height, 24))
    parts = strips.strips(segmenter, path, "a")
    assert len(parts) > 2 and parts[0].start == 0 and parts[-1].stop == height
    for part in reversed(parts):
        strips.write_strip(segmenter, tmp_path, part)
    whole = segmenter.large(path)
    np.testing.assert_array_equal(strips.joined(tmp_path, parts), whole)
    monkeypatch.setattr(segmenter, "strip", None)
    for part in parts:
        strips.write_strip(segmenter, tmp_path, part)
    strips.remove_strips(tmp_path, "a")
    assert not list((tmp_path / "strips").iterdir())


def test_what_is_not_cut(segmenter: Segmenter, tmp_path: Path) -> None:
    """What is small, scaled, or no image."""
    draw_raster(tmp_path / "small.tif")
    cv2.imwrite(str(tmp_path / "tall.png"), scene(200, 24))
    (tmp_path / "none.png").write_bytes(b"none")
    for name in ("small.tif", "none.png"):
        assert strips.strips(segmenter, tmp_path / name, "a") == []
    assert len(strips.strips(segmenter, tmp_path / "tall.png", "a")) == 3
    with pytest.MonkeyPatch().context() as patch:
        patch.setattr(segmenter, "size", WorkingSize.checked(0, 1.0, 20, None))
        assert strips.strips(segmenter, tmp_path / "tall.png", "a") == []
