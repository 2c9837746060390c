"""A checkpoint needs nothing but itself, and says of its classes only what is its own."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config

import sgseg
from sgseg.engine import EvaluationRecordHook
from sgseg.engine.checkpoints.loading import load_checkpoint
from sgseg.engine.checkpoints.portable import config_as_data
from sgseg.inference import Segmenter
from sgseg.registry import MODELS
from sgseg.training import config_for, saved, train
from sgseg.training import test as evaluate
from tests.conftest import ROOT, tiny_config
from tests.inference.test_tiling import scene
from tests.system.test_commands import run

OWN = {"model.neck.knn": 2, "model.data_preprocessor.standardise": "set"}
"""What was said on the command line of the training, and stands in no file."""
PACKED = [dict(type="PackInputs", with_labels=True)]
MOSAIC = str(ROOT / "configs/sgseg/sgseg_diffgcn_mosaic.py")


@pytest.fixture(scope="module", name="trained")
def trained_fixture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a run of four epochs, of which the second and the last were evaluated."""
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("trained")
    length = {"train_cfg.max_epochs": 4, "train_cfg.val_interval": 2}
    kept = {"default_hooks.checkpoint.max_keep_ckpts": -1}
    train(tiny_config(folder, **OWN, **length, **kept))
    return folder


@pytest.fixture(name="said")
def said_fixture(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is written to the log while configs are compared and checkpoints opened."""
    found: list[str] = []

    def note(text: str, **options: Any) -> None:
        found.append(text)

    for module in ("sgseg.training.saved", "sgseg.inference.segmenter"):
        monkeypatch.setattr(f"{module}.print_log", note)
    return found


def changed(source: Path, target: Path, **parts: Any) -> Path:
    """A copy of a checkpoint with other parts; None takes one out."""
    content = torch.load(source, weights_only=True) | parts
    torch.save({key: value for key, value in content.items() if value is not None}, target)
    return target


def test_the_config_is_in_the_checkpoint(trained: Path) -> None:
    """As plain values, with what the command line said; some kB."""
    content = torch.load(trained / "epoch_4.pth", weights_only=True)
    assert content["config"]["model"]["neck"]["knn"] == 2
    assert len(json.dumps(content["config"])) < 20_000
    config = saved.saved_config(content)
    wanted = config_as_data(tiny_config(trained, **OWN))
    assert config_as_data(config)["model"] == wanted["model"]
    assert content["meta"]["units"] == dict(dtype="uint8", low=0.0, high=255.0)


def test_a_model_from_its_checkpoint_alone(trained: Path) -> None:
    """Labels are those of the model with the overrides it was trained with."""
    image = scene(40, 50)
    path = trained / "epoch_4.pth"
    model = MODELS.build(tiny_config(trained, **OWN).model).eval()
    model.load_state_dict(load_checkpoint(path)["state_dict"])
    inputs = torch.from_numpy(image.transpose(2, 0, 1).copy())[None]
    with torch.no_grad():
        seen = model.data_preprocessor(dict(inputs=inputs), False)["inputs"]
        clusters = model(seen, mode="tensor").probability.argmax(1)[0].numpy()
    segmenter = sgseg.load(path, side=0)
    assert (segmenter(image)[0] == segmenter.mapping[clusters]).mean() >= 0.999


def test_another_config_is_named_and_not_taken(trained: Path, said: list[str]) -> None:
    """A config beside a checkpoint: the checkpoint's model is used, and the difference said."""
    path, image = trained / "epoch_4.pth", scene(40, 50)
    expected = Segmenter(path)(image)[0]
    given = tiny_config(trained, **{"model.neck.knn": 3})
    said.clear()
    np.testing.assert_array_equal(Segmenter(path, given)(image)[0], expected)
    assert len(said) == 1
    assert "model.neck.knn" in said[0] and "model.data_preprocessor.standardise" in said[0]
    said.clear()
    Segmenter(path, tiny_config(trained, seed=5, **OWN))
    assert said == []  # a seed changes no label map


def test_what_is_said_outright_wins(trained: Path, said: list[str]) -> None:
    """Options reach a model from its checkpoint, alone and with a config; misspelt ones do not."""
    path = trained / "epoch_4.pth"
    options = {"predict_side": 40, "model.predict_orders": [0]}
    for config in (None, tiny_config(trained, **OWN)):
        segmenter = Segmenter(path, config, overrides=dict(options=options))
        assert segmenter.side == 40
        assert list(segmenter.network.model.predict_orders) == [0]
    assert said == []
    with pytest.raises(ValueError, match="did you mean model.neck.knn"):
        Segmenter(path, overrides=dict(options={"model.neck.knm": 2}))
    with pytest.raises(ValueError, match="carries the sizes it was trained at"):
        config_for(path, preset="tiny")
    with pytest.raises(ValueError, match="does not fit the model"):
        Segmenter(path, overrides=dict(num_classes=7))


def test_a_run_in_the_place_of_a_checkpoint(trained: Path) -> None:
    """Its newest one is taken."""
    assert Segmenter(trained).weights == Segmenter(trained / "epoch_4.pth").weights


def test_older_checkpoints_need_their_config(trained: Path, tmp_path: Path) -> None:
    """One sentence asks for it; with it they work as before."""
    old = changed(trained / "epoch_4.pth", tmp_path / "old.pth", config=None)
    with pytest.raises(ValueError, match=r"old\.pth: carries no config .* CONFIG CHECKPOINT"):
        Segmenter(old)
    image = scene(40, 50)
    segmenter = Segmenter(old, tiny_config(tmp_path, **OWN))
    np.testing.assert_array_equal(segmenter(image)[0], Segmenter(trained / "epoch_4.pth")(image)[0])


@pytest.mark.parametrize(
    ("place", "kind"),
    [
        ("model", dict(type="subprocess.call", args=["touch", "OWNED"])),
        ("model", dict(type="os.mkdir", path="OWNED")),
        ("visualizer", dict(type="sgseg.io.images.write_atomically", path="OWNED")),
        ("custom_hooks", [dict(type="builtins.open", file="OWNED", mode="w")]),
        ("log_processor", dict(type="torch.hub.load", repo_or_dir="OWNED")),
    ],
)
def test_a_config_builds_registered_classes_only(
    trained: Path, tmp_path: Path, place: str, kind: Any
) -> None:
    """mmengine calls whatever a dotted name leads to; a downloaded file must not choose it."""
    owned = tmp_path / "owned"
    kind = json.loads(json.dumps(kind).replace("OWNED", str(owned)))
    content = load_checkpoint(trained / "epoch_4.pth")
    config = dict(content["config"], **{place: kind})
    path = changed(trained / "epoch_4.pth", tmp_path / "evil.pth", config=config)
    with pytest.raises(ValueError, match="no registered class"):
        Segmenter(path)
    assert not owned.exists()


def test_modules_of_ones_own(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A class that a config names itself travels by its module; a missing one is one sentence."""
    source = "import torch\nclass OwnBlock(torch.nn.Module):\n    pass\n"
    (tmp_path / "own_block_of_a_test.py").write_text(source)
    monkeypatch.syspath_prepend(str(tmp_path))
    from own_block_of_a_test import OwnBlock  # type: ignore[import-not-found]

    config = Config(dict(model=dict(type="SGSeg", neck=dict(block=dict(type=OwnBlock)))))
    data = config_as_data(config)
    assert data["custom_imports"]["imports"] == ["own_block_of_a_test"]
    assert data["model"]["neck"]["block"]["type"] == "own_block_of_a_test.OwnBlock"
    assert saved.saved_config(dict(config=data)).model.type == "SGSeg"
    monkeypatch.undo()
    del sys.modules["own_block_of_a_test"]
    with pytest.raises(ValueError, match="needs the module 'own_block_of_a_test'"):
        saved.saved_config(dict(config=data), "a.pth")


def test_a_class_table_is_of_its_own_weights(trained: Path, said: list[str]) -> None:
    """Epochs without an evaluation name no class, and say so; the others have their own table."""
    for epoch in (1, 2, 3, 4):
        meta = load_checkpoint(trained / f"epoch_{epoch}.pth")["meta"]
        said.clear()
        segmenter = Segmenter(trained / f"epoch_{epoch}.pth")
        evaluated = epoch in (2, 4)
        assert segmenter.named == evaluated
        assert ("cluster_0" in segmenter.classes) != evaluated
        assert [("no class table for these weights" in text) for text in said] == (
            [] if evaluated else [True]
        )
        assert meta.get("evaluation", {}).get("epoch") == (epoch if evaluated else None)
        assert meta.get("evaluation", {}).get("iter") == (meta["iter"] if evaluated else None)
    best = next(trained.glob("best_accuracy_*.pth"))
    assert Segmenter(best).named


def test_older_stale_tables_are_not_used(trained: Path, tmp_path: Path) -> None:
    """Files of older versions hold the table of the evaluation before: its epoch gives it away."""
    content = load_checkpoint(trained / "epoch_4.pth")
    record = {k: v for k, v in content["meta"]["evaluation"].items() if k != "iter"}
    stale = dict(content["meta"], evaluation=dict(record, epoch=3))
    path = changed(trained / "epoch_4.pth", tmp_path / "stale.pth", meta=stale)
    assert not Segmenter(path).named
    own = dict(content["meta"], evaluation=record)
    assert Segmenter(changed(path, tmp_path / "own.pth", meta=own)).named


def test_an_evaluation_gives_its_weights_their_names(trained: Path, tmp_path: Path) -> None:
    """eval.json of tools/test.py, for the weights it was made of and no others."""
    path = trained / "epoch_3.pth"
    config = config_for(path, work_dir=tmp_path)
    record = evaluate(config, path)
    written = json.loads((tmp_path / "eval.json").read_text())
    assert (written["epoch"], written["mapping"]) == (3, record["mapping"])
    segmenter = Segmenter(path, evaluation=tmp_path / "eval.json")
    expected = Segmenter(trained / "epoch_4.pth").classes
    assert segmenter.named and sorted(segmenter.classes) == sorted(expected)
    assert segmenter.mapping.tolist() == record["mapping"]
    with pytest.raises(ValueError, match="not of these weights"):
        Segmenter(trained / "epoch_4.pth", evaluation=tmp_path / "eval.json")
    assert Segmenter(trained, evaluation=trained / "eval.json").named  # the run's own


def test_a_score_on_other_units_is_refused(trained: Path, tmp_path: Path) -> None:
    """16 bits are not scored by a model of 8, unless the data set states their range."""
    for part in ("images", "labels"):
        (tmp_path / part).mkdir()
    cv2.imwrite(str(tmp_path / "images/a.png"), scene(32, 32).astype(np.uint16) * 40)
    cv2.imwrite(str(tmp_path / "labels/a.png"), np.eye(32, dtype=np.uint8))
    (tmp_path / "classes.txt").write_text("brick\ngrass\n")
    folder = dict(type="LabelledFolder", root=str(tmp_path), transforms=PACKED)
    config = config_for(trained / "epoch_4.pth", work_dir=tmp_path / "score")
    config.test_dataloader.dataset = folder
    with pytest.raises(ValueError, match="hold uint16.*trained on uint8"):
        evaluate(config, trained / "epoch_4.pth")
    config.test_dataloader.dataset = dict(folder, value_range=[0, 10200])
    assert evaluate(config, trained / "epoch_4.pth")["images"] == 1


def test_a_resumed_run_has_no_table_of_other_weights(trained: Path) -> None:
    """What a run resumes with is saved again only with the weights it was made of."""

    class Runner:
        _resume = True

    hook = EvaluationRecordHook()
    meta = load_checkpoint(trained / "epoch_2.pth")["meta"]
    hook.after_load_checkpoint(Runner(), dict(meta=dict(meta)))  # type: ignore[arg-type]
    for step, holds in ((meta["iter"], True), (meta["iter"] + 1, False)):
        again: dict[str, Any] = dict(meta=dict(iter=step, epoch=2))
        hook.before_save_checkpoint(Runner(), again)  # type: ignore[arg-type]
        assert ("evaluation" in again["meta"]) == holds
        assert again["meta"]["best"] == meta["best"]


def test_resuming_from_a_checkpoint_with_its_config(trained: Path, tmp_path: Path) -> None:
    """The config in the file is no obstacle to going on from it."""
    shutil.copy(trained / "epoch_3.pth", tmp_path / "epoch_3.pth")
    length = {"train_cfg.max_epochs": 4, "train_cfg.val_interval": 2}
    train(tiny_config(tmp_path, **OWN, **length), resume=True)
    found, wanted = (load_checkpoint(f / "epoch_4.pth") for f in (tmp_path, trained))
    for name, weight in wanted["state_dict"].items():
        torch.testing.assert_close(found["state_dict"][name], weight, atol=0, rtol=0)


@pytest.mark.slow
def test_test_and_its_two_forms(trained: Path, tmp_path: Path) -> None:
    """tools/test.py on the checkpoint alone scores what CONFIG CHECKPOINT does."""
    path = str(trained / "epoch_4.pth")
    small = ("--cfg-options", "test_dataloader.dataset.length=6", "test_dataloader.dataset.size=32")
    alone = run(sys.executable, "tools/test.py", path, "--work-dir", str(tmp_path / "a"))
    both = run(
        *(sys.executable, "tools/test.py", MOSAIC, path, "--work-dir", str(tmp_path / "b")), *small
    )
    record = load_checkpoint(path)["meta"]["evaluation"]
    assert f"accuracy {record['accuracy']:.2f} %" in alone
    assert f"accuracy {record['accuracy']:.2f} %" in both
    assert "model.neck.knn" in both and "model.neck.knn" not in alone
