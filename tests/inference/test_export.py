"""The exported file alone gives what the checkpoint gives."""

import shutil
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import pytest
import torch

from sgseg.inference import Segmenter, export
from sgseg.inference.export import compare, export_onnx, sample_images
from sgseg.inference.tiling import to_unit
from sgseg.training import build_config
from tests.conftest import ROOT
from tests.inference.models import save, small_config, small_model
from tests.inference.test_outputs import label_map
from tests.inference.test_tiling import scene
from tests.system.test_commands import run

NAMES = ["brick", "grass", "gravel"]
SMALLER = {  # torch's exporter takes seconds a layer
    "model.predict_orders": (6,),
    "model.neck.num_blocks": 1,
    "model.neck.knn_normalise": True,  # deviations of nodes, over N - 1
    "model.decode_head.multipliers": (1, 2),
}


@pytest.fixture(scope="module", name="exported")
def exported_fixture(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A segmenter of torch, the file it was exported to, and how both compared."""
    folder = tmp_path_factory.mktemp("export")
    config = small_config(**SMALLER)
    segmenter = Segmenter(save(small_model(config), folder / "small.pth", NAMES), config)
    path = folder / "small.onnx"
    return segmenter, path, export_onnx(segmenter, path, sample_images(3, 20, 48))


def test_it_agrees_with_torch(exported: Any) -> None:
    """Over 20 images labels on 99.99 % of pixels, probabilities to 1e-4; no trace but the file."""
    _, path, agreement = exported
    assert agreement.images == 20
    assert agreement.labels >= 0.9999
    assert agreement.difference <= 1e-4
    assert sorted(p.name for p in path.parent.iterdir()) == ["small.onnx", "small.pth"]
    onnx.checker.check_model(onnx.load(path))


def test_it_is_as_exact_on_larger_images(exported: Any) -> None:
    """Means over 65536 pixels are no coarser than torch's: ONNX Runtime adds one by one."""
    segmenter, path, _ = exported
    image = 255 - scene(256, 256) // 8
    assert compare(segmenter, Segmenter.from_onnx(path), [image]).difference < 2e-5


def test_any_batch_and_size(exported: Any) -> None:
    """Height, width and batch are free."""
    segmenter, path, _ = exported
    other = Segmenter.from_onnx(path)
    for image in (scene(30, 47), scene(64, 64), scene(5, 9)):
        assert compare(segmenter, other, [image]).enough
    images = [scene(30, 47) // n for n in (1, 2, 3)]
    for one, two in zip(segmenter.batch(images), other.batch(images), strict=True):
        assert (one == two).mean() >= 0.999


def test_it_knows_its_classes(exported: Any) -> None:
    """Names, mapping, bands and side come from the file; there is no state to draw."""
    segmenter, path, _ = exported
    other = Segmenter.from_onnx(path)
    assert other.classes == segmenter.classes == NAMES
    np.testing.assert_array_equal(other.mapping, segmenter.mapping)
    assert (other.bands, other.side) == (3, segmenter.side)
    assert other.named
    result = other(scene(40, 40))
    assert result.state is None and result.picture(inside=True).ndim == 3


@pytest.mark.slow
def test_names_of_an_exported_model(exported: Any) -> None:
    """Names given to a file join its classes as they do those of a checkpoint."""
    segmenter, path, _ = exported
    image = scene(40, 40)
    names = {str(value): "all" for value in range(len(segmenter.classes))}
    other = Segmenter.from_onnx(path, names=names)
    assert other.classes == ["all"] and other(image)[0].max() == 0
    assert Segmenter.from_onnx(path)(image)[0].max() > 0


def test_units_of_an_exported_model(exported: Any) -> None:
    """They travel in the file: other samples are refused, or taken in the range that is stated."""
    segmenter, path, _ = exported
    image, other = scene(40, 40), Segmenter.from_onnx(path)
    assert other.units == segmenter.units
    for segment in (other, other.large, lambda given: other.batch([given])):
        with pytest.raises(ValueError, match="holds uint16, this model was trained on uint8"):
            segment(image.astype(np.uint16) * 257)
    stated = Segmenter.from_onnx(path, value_range=(0, 65535))
    assert (stated(image.astype(np.uint16) * 257)[0] == other(image)[0]).mean() >= 0.999
    assert other(scene(1, 30))[0].shape == (1, 30)


def test_tiles_with_the_statistics_of_the_whole(exported: Any) -> None:
    """A model that standardises each image does so over the whole image here as well."""
    segmenter, path, _ = exported
    assert segmenter.network.standardises
    arguments = dict(tile=64, overlap=16)
    other = Segmenter.from_onnx(path, **arguments)
    segmenter.tile, segmenter.overlap = arguments.values()
    image = scene(100, 150)
    assert (segmenter(image)[0] == other(image)[0]).mean() >= 0.999
    segmenter.tile = None
    window, elsewhere = to_unit(image[:64, :64])[None], torch.ones(1, 3, 1, 1)
    assert not torch.equal(other.network(window), other.network(window, (elsewhere, elsewhere)))


def test_what_differs_is_not_kept(
    exported: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that gives other probabilities is refused with its figures, and removed."""
    _, path, _ = exported
    monkeypatch.setattr(export, "_write", lambda network, out, *rest: shutil.copy(path, out))
    config = small_config(**SMALLER)
    stranger = Segmenter(save(small_model(config, seed=1), tmp_path / "other.pth"), config)
    with pytest.raises(ValueError, match=r"labels agree on .* wanted are"):
        export_onnx(stranger, tmp_path / "other.onnx", sample_images(3, 2, 32))
    assert [p.name for p in tmp_path.iterdir()] == ["other.pth"]
    with pytest.raises(ValueError, match="no image to compare on"):
        export_onnx(stranger, tmp_path / "other.onnx", [])


def test_what_onnx_cannot_express(tmp_path: Path) -> None:
    """Superpixels computed by NumPy have no graph: the error says so."""
    config = build_config(ROOT / "configs/sgseg/sgseg_diffgcn_slic_mosaic.py")
    segmenter = Segmenter(save(small_model(config), tmp_path / "slic.pth"), config)
    with pytest.raises(ValueError, match="FixedSuperpixels"):
        export_onnx(segmenter, tmp_path / "slic.onnx", sample_images(3, 1, 32))


def test_foreign_files_are_named(exported: Any, tmp_path: Path) -> None:
    """A missing file, one that is no ONNX, and one that sgseg did not write."""
    with pytest.raises(FileNotFoundError, match="no such file"):
        Segmenter.from_onnx(tmp_path / "none.onnx")
    (tmp_path / "text.onnx").write_text("not a model")
    with pytest.raises(ValueError, match=r"text\.onnx: ONNX Runtime cannot read it"):
        Segmenter.from_onnx(tmp_path / "text.onnx")
    model = onnx.load(exported[1])
    del model.metadata_props[:]
    onnx.save(model, tmp_path / "foreign.onnx")
    with pytest.raises(ValueError, match=r"foreign\.onnx: not exported by sgseg"):
        Segmenter.from_onnx(tmp_path / "foreign.onnx")


@pytest.mark.slow
def test_predict_from_the_file_alone(exported: Any, tmp_path: Path) -> None:
    """tools/predict.py --onnx needs neither config nor checkpoint."""
    cv2.imwrite(str(tmp_path / "a.png"), scene(40, 52))
    out = tmp_path / "maps"
    tool = ["python", "tools/predict.py", "--onnx", str(exported[1])]
    said = run(*tool, str(tmp_path / "a.png"), "--out", str(out), "--tile", "32")
    assert any(name in said for name in NAMES)
    assert label_map(out / "labels/a.png").shape == (40, 52)
    assert "got 2 paths" in run(*tool, "config.py", "x.png", code=2)


@pytest.mark.slow
def test_the_command_exports_the_recipe(tmp_path: Path) -> None:
    """tools/export.py, all eight orders, at a fixed size that other sizes are refused at."""
    config = small_config()
    path = save(small_model(config), tmp_path / "small.pth")
    recipe, out = tmp_path / "recipe.py", tmp_path / "small.onnx"
    config.dump(recipe)
    tool = ["python", "tools/export.py", str(recipe), str(path), str(out)]
    assert "labels agree on" in run(*tool, "--height", "48", "--width", "64", "--images", "3")
    segmenter = Segmenter.from_onnx(out)
    with pytest.raises(ValueError, match="exported for images of 48 x 64 pixels, got 40 x 40"):
        segmenter(scene(40, 40))


@pytest.mark.slow
def test_superpixels_that_are_joined(tmp_path: Path) -> None:
    """LocalSPNN with its default cells and rounds: labels equal, at any size and batch."""
    config = small_config("local_mosaic", **SMALLER)
    segmenter = Segmenter(save(small_model(config), tmp_path / "a.pth", NAMES), config)
    assert segmenter.network.model.backbone.cells == 4
    agreement = export_onnx(segmenter, tmp_path / "a.onnx", sample_images(3, 6, 48))
    assert agreement.labels >= 0.9999
    other = Segmenter.from_onnx(tmp_path / "a.onnx")
    assert compare(segmenter, other, [scene(30, 47), scene(64, 64)]).labels >= 0.9999
