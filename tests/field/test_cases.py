"""What people's files and habits did to a run, one situation a test: drawn, tried, and put right.

Every folder goes the way its owner would send it: verified, trained on at a tiny size, predicted.
"""

from __future__ import annotations

import csv
import json
import shutil
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from mmengine.config import Config
from PIL import Image

from sgseg.comparison.baselines import majority_of, untrained_record
from sgseg.comparison.length import seconds_per_epoch
from sgseg.datasets.folder import scan
from sgseg.datasets.verify import Report, verify
from sgseg.inference import Segmenter
from sgseg.inference.folder import BadImagesError, Prediction
from sgseg.inference.outputs import Look
from sgseg.inference.tiling import windows
from sgseg.io.images import read_pixels
from sgseg.training import build_config, train
from sgseg.training import test as evaluate
from tests.conftest import ROOT
from tests.field import scenes

FOLDER = ROOT / "configs/sgseg/sgseg_diffgcn_folder.py"
QUICK: dict[str, Any] = {
    "train_dataloader.batch_size": 4,
    "train_dataloader.num_workers": 0,
    "train_dataloader.sampler.images": None,
    "val_dataloader.num_workers": 0,
    "test_dataloader.num_workers": 0,
    "train_dataloader.dataset.transforms.0.size": 32,
    "train_dataloader.dataset.transforms.1.size": 32,
    "val_dataloader.dataset.transforms.0.size": 32,
    "val_dataloader.dataset.transforms.1.size": 32,
    "predict_side": 32,
    "default_hooks.pictures.interval": 0,
}


def quick(folder: Path, work_dir: Path, epochs: int = 1, **options: Any) -> Config:
    """The README's command over a folder, at a size that trains in a second or two."""
    given = {"num_classes": 3} | {k: options.pop(k) for k in ("num_classes",) if k in options}
    settings = (
        QUICK
        if (folder / "labels").is_dir()
        else {key: value for key, value in QUICK.items() if not key.startswith(("val_", "test_"))}
    )
    return build_config(
        FOLDER,
        data=folder,
        work_dir=work_dir,
        preset="tiny",
        epochs=epochs,
        seed=0,
        options=settings | options,
        **given,
    )


def trained(folder: Path, work_dir: Path, epochs: int = 1, **options: Any) -> Path:
    """The last checkpoint of a quick training."""
    train(quick(folder, work_dir, epochs, **options))
    return work_dir / f"epoch_{epochs}.pth"


def predicted(checkpoint: Path, source: Path, out: Path, **options: Any) -> dict[str, np.ndarray]:
    """Image (path below ``source``) -> its label map, by the record that the prediction leaves."""
    done = Prediction(Segmenter(checkpoint, **options), source, out, look=Look(pictures=False))
    assert len(list(done)) == len(done.paths)
    maps = done.manifest.files("labels")
    return {image: np.asarray(Image.open(path)) for image, path in maps.items()}


def verified(folder: Path, **options: Any) -> Report:
    """What ``tools/verify_data.py`` reports."""
    return verify(folder, workers=1, **options)


@pytest.fixture(scope="module", name="photos")
def labelled_photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``images/``, ``labels/``, ``classes.txt``: eight scenes, nothing odd about them."""
    folder = tmp_path_factory.mktemp("photos")
    scenes.draw_labelled_folder(folder)
    return folder


@pytest.fixture(scope="module", name="run")
def finished_run(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five epochs, scored after the third and the last."""
    work_dir = tmp_path_factory.mktemp("run")
    config = quick(photos, work_dir, 5)
    config.train_cfg.update(val_begin=1, val_interval=3)
    train(config)
    return work_dir


def test_stale_classes(run: Path) -> None:
    """A table of classes stays with the weights it was fitted on."""
    scored, unscored = (Segmenter(run / f"epoch_{n}.pth") for n in (5, 4))
    assert scored.named and sorted(scored.classes) == sorted(scenes.NAMES)
    assert not unscored.named and unscored.classes == ["cluster_0", "cluster_1", "cluster_2"]


def test_lost_overrides(run: Path, photos: Path, tmp_path: Path) -> None:
    """The checkpoint carries its settings; the config file of before changes nothing of them."""
    path = trained(
        photos, tmp_path / "run", **{"model.backbone.temperature": 1.0, "model.neck.knn": 2}
    )
    alone, with_file = Segmenter(path), Segmenter(path, FOLDER)
    image = scenes.scene(3)[0]
    assert alone.network.model.neck.knn == 2
    assert (alone(image)[0] == with_file(image)[0]).all()


def written(folder: Path) -> dict[Path, int]:
    """When each file was written, but for the log: this process is that of the finished run."""
    files = (path for path in folder.rglob("*") if path.is_file() and path.suffix != ".log")
    return {path: path.stat().st_mtime_ns for path in files}


def test_failed_run(run: Path, photos: Path, tmp_path: Path) -> None:
    """Neither a failed start nor a second training touches a finished run."""
    before = written(run)
    with pytest.raises(FileNotFoundError, match="no such folder"):
        quick(tmp_path / "nowhere", run)
    with pytest.raises(ValueError, match="holds a run"):
        train(quick(photos, run))
    evaluate(quick(photos, tmp_path / "scores"), run / "epoch_5.pth")
    assert written(run) == before


def test_resume_longer(run: Path, photos: Path, tmp_path: Path) -> None:
    """A lengthened run goes on at the rates of the longer schedule."""
    shutil.copytree(run, tmp_path / "run")
    train(quick(photos, tmp_path / "run", 7), resume=True)
    logs = sorted((tmp_path / "run").glob("*/vis_data/scalars.json"))
    first, second = (
        [line["lr/decode_head"] for line in map(json.loads, log.open()) if "loss" in line]
        for log in logs
    )
    # At the end of the short schedule hardly anything was left of the rate.
    assert second[0] > 2 * first[-1] and second[-1] < second[0]


def test_misspelt_key(photos: Path, tmp_path: Path) -> None:
    """A key that nothing reads is named with the nearest one."""
    with pytest.raises(ValueError, match=r"did you mean optim_wrapper.optimizer.lr\?"):
        quick(photos, tmp_path, **{"optim_wraper.optimizer.lr": 1})


def test_no_workers(photos: Path, tmp_path: Path) -> None:
    """Without worker processes the same run is made by one process alone."""
    options = {"train_dataloader.persistent_workers": True, "train_dataloader.prefetch_factor": 4}
    assert trained(photos, tmp_path, **options).is_file()
    config = quick(photos, tmp_path, **options)
    assert all(seconds > 0 for seconds in seconds_per_epoch(config, 1).values())
    config.test_dataloader.persistent_workers = True
    assert majority_of(untrained_record(config)) > 0


def test_masks_0_255(tmp_path: Path) -> None:
    """A named class without a pixel is said by verify and stands in the score."""
    scenes.draw_masks_0_255(tmp_path / "data")
    (fault, *_) = verified(tmp_path / "data").faults
    assert "object" in fault.message and "255" in fault.message
    trained(tmp_path / "data", tmp_path / "run", num_classes=2)
    record = json.loads((tmp_path / "run/eval.json").read_text())
    assert record["absent_classes"] == ["object"]


def test_all_ignored(tmp_path: Path) -> None:
    """Labels that ignore every pixel score nothing, and a run does not begin."""
    scenes.draw_all_ignored(tmp_path / "data")
    assert verified(tmp_path / "data").faults
    with pytest.raises(ValueError, match="ignored"):
        train(quick(tmp_path / "data", tmp_path / "run"))


def test_labelled_folder(run: Path, photos: Path, tmp_path: Path) -> None:
    """Eight photographs with label maps give eight results."""
    found = predicted(run / "epoch_5.pth", photos, tmp_path / "maps")
    assert len(found) == 8 and all(Path(image).parent.name == "images" for image in found)


@pytest.mark.parametrize("name", ["voc_layout", "mask_beside", "mask_of_same_name"])
def test_masks_among_the_images(run: Path, tmp_path: Path, name: str) -> None:
    """Label maps are no photographs: left out, counted, in training, verify and prediction."""
    getattr(scenes, f"draw_{name}")(tmp_path / "data")
    seen = scan(tmp_path / "data")
    assert len(seen.paths) == 4 and "4 images; left out: 4 label maps" in seen.sentence()
    assert len(predicted(run / "epoch_5.pth", tmp_path / "data", tmp_path / "maps")) == 4
    assert any("4 label maps" in note for note in verified(tmp_path / "data").notes)
    runner = train(quick(tmp_path / "data", tmp_path / "run"))
    assert len(runner.train_dataloader.dataset) == 4


def test_same_name(run: Path, tmp_path: Path) -> None:
    """Two images, two outputs, and a table that says whose each is."""
    scenes.draw_same_name(tmp_path / "data")
    assert len(predicted(run / "epoch_5.pth", tmp_path / "data", tmp_path / "maps")) == 2
    assert len(list((tmp_path / "maps/labels").iterdir())) == 2


def test_uint16_array(run: Path) -> None:
    """16 bits are refused by a model of 8 until somebody says what they mean."""
    image = scenes.scene(0)[0]
    segmenter = Segmenter(run / "epoch_5.pth")
    for call in (segmenter, segmenter.large, lambda image: segmenter.batch([image])):
        with pytest.raises(ValueError, match="uint16"):
            call(scenes.draw_uint16_array())
    stated = Segmenter(run / "epoch_5.pth", value_range=(0, 65535))
    assert (stated(scenes.draw_uint16_array())[0] == segmenter(image)[0]).all()


def test_raster_0_10200(run: Path, tmp_path: Path) -> None:
    """A raster in other units is named before it is segmented, and right once they are stated."""
    scenes.draw_raster_0_10200(tmp_path / "data")
    with pytest.raises(BadImagesError, match="uint16"):
        predicted(run / "epoch_5.pth", tmp_path / "data", tmp_path / "maps")
    (labels,) = predicted(
        run / "epoch_5.pth", tmp_path / "data", tmp_path / "more", value_range=(0, 10200)
    ).values()
    assert (labels == Segmenter(run / "epoch_5.pth")(scenes.scene(0)[0])[0]).all()
    assert "float32" not in verified(tmp_path / "data").text()


def test_few_images(tmp_path: Path) -> None:
    """Two images train; the batch is theirs."""
    scenes.draw_few_images(tmp_path / "data")
    runner = train(quick(tmp_path / "data", tmp_path / "run"))
    assert runner.train_dataloader.batch_size == 2 and runner.iter == 1


def test_hidden_folders(run: Path, tmp_path: Path) -> None:
    """Previews and system files stay out, links are followed once, and each is counted."""
    scenes.draw_hidden_folders(tmp_path / "data")
    seen = scan(tmp_path / "data")
    assert [path.name for path in seen.paths] == [f"im{i}.png" for i in range(6)] + ["linked.png"]
    for word in (".heic", "hidden", "links to nothing", "1 of them through links", "name of an im"):
        assert word in seen.sentence(), seen.sentence()
    assert len(predicted(run / "epoch_5.pth", tmp_path / "data", tmp_path / "maps")) == 7
    assert len(train(quick(tmp_path / "data", tmp_path / "run")).train_dataloader.dataset) == 7


def test_pages(tmp_path: Path) -> None:
    """A label map of three pages is refused with their number."""
    scenes.draw_pages(tmp_path / "data")
    assert "3" in next(f.message for f in verified(tmp_path / "data").faults if f.kind == "pages")
    with pytest.raises(ValueError, match="holds 3 images"):
        train(quick(tmp_path / "data", tmp_path / "run"))


@pytest.mark.parametrize("name", ["ycc_tiff", "tiled_ycc_tiff"])
def test_ycc_tiff(tmp_path: Path, name: str) -> None:
    """JPEG inside TIFF is read in its colours."""
    getattr(scenes, f"draw_{name}")(tmp_path)
    (path,) = tmp_path.glob("*.tif")
    image = read_pixels(path, 3).image
    assert np.abs(image.astype(int) - scenes.scene(0, noise=0)[0]).mean() < 4


def test_exif_png(run: Path, tmp_path: Path) -> None:
    """One rule for all formats: the photograph stands as its owner sees it."""
    scenes.draw_exif_png(tmp_path / "data")
    upright = {3: np.rot90(scenes.scene(0)[0][:40], 2), 6: np.rot90(scenes.scene(0)[0][:40], -1)}
    for path in sorted((tmp_path / "data").iterdir()):
        expected, image = upright[int(path.stem[-1])], read_pixels(path, 3).image
        assert image.shape == expected.shape, path.name
        assert np.abs(image.astype(int) - expected).mean() < 12, path.name  # JPEG's chroma
    found = predicted(run / "epoch_5.pth", tmp_path / "data", tmp_path / "maps")
    assert {labels.shape for image, labels in found.items() if "exif6" in image} == {(64, 40)}


def test_bom_classes(tmp_path: Path) -> None:
    """Names are read as people write them, not with what their editor put before them."""
    scenes.draw_bom_classes(tmp_path / "data")
    runner = train(quick(tmp_path / "data", tmp_path / "run"))
    assert tuple(runner.val_dataloader.dataset.classes) == scenes.NAMES
    assert not verified(tmp_path / "data").faults


def test_nodata(run: Path, tmp_path: Path) -> None:
    """Pixels without data have no class: 255, declared, in no share."""
    scenes.draw_nodata(tmp_path / "data", count=4)
    (labels, *_) = predicted(run / "epoch_5.pth", tmp_path / "data", tmp_path / "maps").values()
    assert (labels[:20] == 255).all() and (labels[20:] < 3).all()
    with tifffile.TiffFile(sorted((tmp_path / "maps/labels").glob("*.tif"))[0]) as file:
        assert str(file.pages.first.tags[scenes.NODATA].value).strip("\0 ") == "255"
    with (tmp_path / "maps/areas.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    counted = [int(row["pixels"]) for row in rows if row["image"] == rows[0]["image"]]
    assert sum(counted) == 44 * 64
    assert (trained(tmp_path / "data", tmp_path / "run")).is_file()


def test_long_image() -> None:
    """Windows over a very long image take memory by its length."""
    peaks = []
    for length in (20_000, 200_000):
        tracemalloc.start()
        for _ in windows(length, 256, 64):
            pass
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 12 * peaks[0] and peaks[1] < 64 * 2**20


def test_stale_log(photos: Path, tmp_path: Path) -> None:
    """What is logged in a stage are losses of that stage."""
    train(quick(photos, tmp_path, 2, **{"default_hooks.logger.interval": 1}))
    lines = [json.loads(line) for line in next(tmp_path.glob("*/vis_data/scalars.json")).open()]
    steps = [line for line in lines if "loss" in line]
    late = [line for line in steps if line["step"] > 2]
    assert any("loss_clustering" in line for line in steps) and late
    assert not any("loss_clustering" in line for line in late)
    assert all("loss_mutual_information" in line for line in late)
