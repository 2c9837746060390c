"""The inference benchmark compares ways that compute the same thing."""

from argparse import ArgumentParser
from pathlib import Path

import numpy as np
import pytest

from benchmarks import inference
from sgseg.io.rows import open_rows
from tests.inference.models import save, small_config, small_model

FOUR_BANDS = {
    "model.data_preprocessor.bands": 4,
    "model.backbone.in_channels": 4,
    "model.neck.in_channels": 2 + 4 + 16,
    "model.decode_head.in_channels": 4 + 4,
    "model.decode_head.image_channels": 4,
    "model.predict_orders": (0,),
}


def written(folder: Path, **options: object) -> tuple[Path, Path]:
    """A config file and a checkpoint of a small model."""
    config = small_config(**options)
    recipe = folder / "recipe.py"
    config.dump(recipe)
    return recipe, save(small_model(config), folder / "small.pth")


def test_rows_of_every_way(tmp_path: Path) -> None:
    """One row a way and batch: time and memory less than the plain way's, labels equal."""
    recipe, checkpoint = written(tmp_path)
    parser = ArgumentParser()
    inference.add_arguments(parser)
    given = f"{recipe} --checkpoint {checkpoint} --count 3 --size 40 --batches 1 2 --repeats 1"
    given += " --tile-test 0"
    ways = ["--ways", "inference mode", "prepared"]
    result = inference.run(parser.parse_args([*given.split(), *ways]))
    named = {row.name: row.values for row in result.rows}
    assert len(named) == 6
    for batch in (1, 2):
        ready = named[f"batch {batch}, prepared"]
        assert ready["labels equal, %"] == 100
        assert ready["max |dp|"] < 1e-5
        assert ready["peak MB"] < named[f"batch {batch}, plain"]["peak MB"] / 2
    assert all(goal.reached for goal in result.goals) and len(result.goals) == 2


def test_the_large_image(tmp_path: Path) -> None:
    """Every pixel of a tiled, four-band file is segmented; the figures name what was done."""
    recipe, checkpoint = written(tmp_path, **FOUR_BANDS)
    path = tmp_path / "large.tif"
    inference.write_large(path, 150, 4)
    assert open_rows(path, 4).shape == (150, 150, 4)
    figures = inference.segment_large(str(recipe), str(checkpoint), str(path), 64, 1)
    assert figures["large image, pixels"] == "150x150, 4 bands"
    assert figures["large image, windows"] == "64, overlap 8"


@pytest.mark.slow
def test_growth_is_the_new_process_alone(tmp_path: Path) -> None:
    """A parent that was larger than the child will ever be does not hide what the child takes."""
    recipe, checkpoint = written(tmp_path, **FOUR_BANDS)
    np.ones(2**30, np.uint8).sum()  # a GiB, kept by the parent's maximum
    figures = inference.tile_test(recipe, checkpoint, tmp_path, 600, 256)
    assert float(figures[inference.GROWTH]) > 0


@pytest.mark.slow
def test_six_thousand_pixels_in_bounded_memory(tmp_path: Path) -> None:
    """A 6000 x 6000 image of four bands: the process grows by far less than 4 GiB."""
    recipe, checkpoint = written(tmp_path, **FOUR_BANDS)
    figures = inference.tile_test(recipe, checkpoint, tmp_path, 6000, None)
    assert figures["large image, pixels"] == "6000x6000, 4 bands"
    assert float(figures[inference.GROWTH]) < 1024
