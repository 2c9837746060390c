"""The four data sets of the paper: from the files people have to a score, with real pixels too."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from mmengine.config import Config

from sgseg.datasets.prepare import prepare_coco_stuff, prepare_potsdam
from sgseg.datasets.verify import verify
from sgseg.engine.checkpoints.loading import load_checkpoint
from sgseg.training import build_config, train
from sgseg.training import test as evaluate
from tests.conftest import ROOT
from tests.datasets import samples

MAKERS = {
    "coco_stuff": (lambda root: samples.coco_tree(root, 3, 2), samples.real_coco_tree),
    "potsdam": (lambda root: samples.potsdam_tiles(root, 400), samples.real_potsdam_tiles),
}
CONFIGS = {
    "coco15": ("coco_stuff", 3, 15),
    "coco3": ("coco_stuff", 3, 3),
    "potsdam": ("potsdam", 4, 6),
    "potsdam3": ("potsdam", 4, 3),
}

SCORED = {
    "coco_stuff": ["train2017", "val2017"],
    "potsdam": ["labelled_train", "labelled_test"],
}


def tiny(bands: int) -> dict[str, Any]:
    """The paper's model at a size of seconds, one epoch, all losses."""
    loaders = ("train_dataloader", "val_dataloader", "test_dataloader")
    return {
        "model.backbone.num_superpixels": 8,
        "model.backbone.base_channels": 2,
        "model.neck.channels": 4,
        "model.neck.knn": 3,
        "model.decode_head.base_channels": 4,
        "train_cfg.max_epochs": 1,
        "train_cfg.val_begin": 1,
        "default_hooks.stage.stages": [(0, "joint")],
        **{f"{name}.batch_size": 3 for name in loaders},
        **{f"{name}.num_workers": 0 for name in loaders},
        **{f"{name}.persistent_workers": False for name in loaders},
    }


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, int], Path]:
    """`prepared("coco_stuff", 1)`: a verified cache; 0 is made on the fly, 1 of real samples."""
    found: dict[tuple[str, int], Path] = {}

    def make(kind: str, which: int) -> Path:
        if (kind, which) not in found:
            folder = tmp_path_factory.mktemp(kind)
            tree = MAKERS[kind][which](folder / "tree")
            assert verify(tree).faults == []
            if kind == "potsdam":
                prepare_potsdam(tree, folder / "cache")
            else:
                prepare_coco_stuff(tree, folder / "cache", all_images=True)
            assert verify(folder / "cache").faults == []
            found[kind, which] = folder / "cache"
        return found[kind, which]

    return make


def config(name: str, cache: Path, work_dir: Path, **options: Any) -> Config:
    """A paper config over a prepared cache, in small."""
    built = build_config(
        ROOT / f"configs/sgseg/sgseg_diffgcn_{name}.py", data=cache, work_dir=work_dir
    )
    built.default_hooks.pop("pictures")  # the pictures, which take longer than the training
    built.merge_from_dict(tiny(CONFIGS[name][1]) | options)
    return built


@pytest.mark.parametrize(
    ("name", "which"),
    [
        ("coco15", 0),
        ("potsdam", 0),
        *(pytest.param(name, 1, marks=pytest.mark.slow) for name in CONFIGS),
    ],
)
def test_from_files_to_score(
    prepared: Callable[[str, int], Path], tmp_path: Path, name: str, which: int
) -> None:
    """Prepare, verify, train an epoch, test: the score knows its data by the manifest's hash."""
    kind, _, classes = CONFIGS[name]
    cache = prepared(kind, which)
    train(config(name, cache, tmp_path))
    during = json.loads((tmp_path / "eval.json").read_text())
    saved = load_checkpoint(tmp_path / "epoch_1.pth")["meta"]
    after = evaluate(config(name, cache, tmp_path / "test"), tmp_path / "epoch_1.pth")
    assert after["confusion"] == during["confusion"]
    assert len(after["per_class"]) == classes
    digest = after["protocol"]["manifest_sha256"]
    assert saved["dataset_meta"]["protocol"]["manifest_sha256"] == digest
    assert saved["evaluation"]["protocol"]["manifest_sha256"] == digest
    subsets = after["subsets"]
    scored = (
        ["train2017", "val2017"] if kind == "coco_stuff" else ["labelled_train", "labelled_test"]
    )
    assert list(subsets) == scored
    assert sum(part["images"] for part in subsets.values()) == after["images"]
    assert sum(part["pixels"] for part in subsets.values()) == after["pixels"] > 0


@pytest.mark.slow
def test_processes_share_a_read_only_cache(
    prepared: Callable[[str, int], Path], tmp_path: Path
) -> None:
    """Two of them, with workers, train and score on what they may not write to, as it was."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]
    if os.geteuid() == 0:  # root may write to it all the same, unless it gives that up
        if not shutil.which("setpriv"):
            pytest.skip("root writes everywhere, and setpriv (util-linux) is not there")
        command = ["setpriv", "--bounding-set=-dac_override", "--inh-caps=-dac_override", *command]
    cache = Path(shutil.copytree(prepared("coco_stuff", 0), tmp_path / "cache"))
    for path in (*cache.iterdir(), cache):
        path.chmod(0o555)
    before = {path: (path.stat(), path.read_bytes()) for path in cache.iterdir()}
    sizes = {"train_dataloader.batch_size": 1, "train_dataloader.num_workers": 1}
    config("coco15", cache, tmp_path / "run", **sizes).dump(tmp_path / "config.py")
    done = subprocess.run(
        [*command, "tools/train.py", str(tmp_path / "config.py"), "--launcher", "pytorch"],
        cwd=ROOT,
        env=os.environ | dict(OMP_NUM_THREADS="1", PYTHONPATH=str(ROOT)),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert json.loads((tmp_path / "run/run.json").read_text())["processes"] == 2
    after = {path: (path.stat(), path.read_bytes()) for path in cache.iterdir()}
    assert after.keys() == before.keys()
    for path, (was, content) in before.items():
        now, held = after[path]
        assert (now.st_mtime_ns, held) == (was.st_mtime_ns, content), path


@pytest.mark.slow
def test_resumed_run_knows_its_data(prepared: Callable[[str, int], Path], tmp_path: Path) -> None:
    """A resumed run on the same cache is not told that its data differ; on another one it is."""
    cache = prepared("coco_stuff", 0)
    train(config("coco3", cache, tmp_path))
    said = _warnings_of_resume(config("coco3", cache, tmp_path, **{"train_cfg.max_epochs": 2}))
    assert "metainfo" not in said
    other = prepare_coco_stuff(
        cache.parent / "tree", tmp_path / "c", splits=["val2017", "train2017"], all_images=True
    )
    evaluated = config("coco3", other.root, tmp_path / "other")
    evaluate(evaluated, tmp_path / "epoch_2.pth")
    log = "".join(path.read_text() for path in (tmp_path / "other").rglob("*.log"))
    assert "was trained on the data of manifest" in log


def _warnings_of_resume(built: Config) -> str:
    """The log of a resumed run."""
    runner = train(built, resume=True)
    return "".join(path.read_text() for path in Path(runner.log_dir).glob("*.log"))
