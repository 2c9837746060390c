"""One size for training, scores and maps."""

from __future__ import annotations

from pathlib import Path

import pytest

from sgseg.training import build_config
from sgseg.training.loaders import LOADERS


def test_every_place_has_the_size(tmp_path: Path) -> None:
    """Resizing and crops of the three data sets, and the side at which maps are made."""
    (tmp_path / "labels").mkdir()
    config = build_config("sgseg_diffgcn_folder", data=tmp_path, size=40)
    for name in LOADERS:
        sizes = [part.get("size") for part in config[name].dataset.transforms[:2]]
        assert sizes == [40, 40], name
    assert config.predict_side == 40
    mosaic = build_config("sgseg_diffgcn_mosaic", size=40)
    assert {mosaic[name].dataset["size"] for name in LOADERS} == {40}


@pytest.mark.parametrize(("name", "size"), [("ac_folder", 4), ("sgseg_diffgcn_potsdam", 64)])
def test_a_size_that_cannot_be_is_refused(name: str, size: int) -> None:
    """Too small, and data that come at a size of their own."""
    with pytest.raises(ValueError, match=f"--size {size}"):
        build_config(name, size=size)
