"""Broken, hostile and unwritable checkpoints (R3, atomic saving, disk full)."""

from __future__ import annotations

import json
import os
import resource
import shutil
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sgseg.engine import EvaluatedCheckpointHook
from sgseg.engine.checkpoints.loading import load_checkpoint
from sgseg.engine.checkpoints.newest import checkpoint_of, newest_checkpoint
from sgseg.training import train
from tests.reliability.runs import assert_same_run, in_a_process, noisy_config, quick_config


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a finished run: epoch_2.pth, epoch_3.pth and the best."""
    folder = tmp_path_factory.mktemp("finished")
    train(noisy_config(folder))
    return folder


@pytest.fixture
def copied(finished: Path, tmp_path: Path) -> Path:
    """A copy to spoil."""
    return Path(shutil.copytree(finished, tmp_path / "run"))


def test_every_checkpoint_is_plain(finished: Path) -> None:
    """All files of a run open with weights_only and no allow list."""
    paths = list(finished.glob("*.pth"))
    assert len(paths) == 3
    for path in paths:
        saved = torch.load(path, weights_only=True)
        assert {"state_dict", "meta", "message_hub", "random"} <= saved.keys()


@pytest.mark.parametrize("damage", ["truncated", "empty", "flipped bit", "other file"])
def test_broken_newest_is_passed_over(finished: Path, copied: Path, damage: str) -> None:
    """--resume names the broken file, goes on from the one before, and ends the same."""
    newest = copied / "epoch_3.pth"
    data = bytearray(newest.read_bytes())
    data[len(data) // 2] ^= 16
    spoilt = {
        "truncated": bytes(data[: len(data) // 2]),
        "empty": b"",
        "flipped bit": bytes(data),
        "other file": b"<html>not found</html>",
    }
    newest.write_bytes(spoilt[damage])
    said: list[str] = []
    assert newest_checkpoint(copied, said.append) == copied / "epoch_2.pth"
    assert len(said) == 1 and str(newest) in said[0] and "the one before it" in said[0]
    if damage == "flipped bit":
        train(noisy_config(copied), resume=True)
        assert_same_run(load_checkpoint(newest), load_checkpoint(finished / "epoch_3.pth"))


def test_all_broken_is_an_error(copied: Path) -> None:
    """A run is not begun anew over checkpoints that might be rescued."""
    for path in copied.glob("epoch_*.pth"):
        path.write_bytes(b"")
    with pytest.raises(ValueError, match="none of its checkpoints can be read"):
        train(noisy_config(copied), resume=True)


def test_the_order_of_checkpoints(copied: Path) -> None:
    """Behind an epoch's end comes its successor's middle; a stale newer file is not taken."""
    source = copied / "epoch_3.pth"
    (copied / "last_checkpoint").unlink()
    for name in ("epoch_10.pth", "epoch_9_iter_40.pth", "epoch_10_iter_41.pth", "epoch_x.pth"):
        shutil.copy(source, copied / name)
    assert newest_checkpoint(copied, print) == copied / "epoch_10_iter_41.pth"
    (copied / "epoch_10_iter_41.pth").unlink()
    assert newest_checkpoint(copied, print) == copied / "epoch_10.pth"
    (copied / "epoch_10.pth").unlink()
    assert newest_checkpoint(copied, print) == copied / "epoch_9_iter_40.pth"
    # What the run itself noted counts, in whatever folder it lies now.
    (copied / "last_checkpoint").write_text("/elsewhere/epoch_3.pth")
    assert newest_checkpoint(copied, print) == source
    (copied / "last_checkpoint").write_text("/elsewhere/epo")
    assert newest_checkpoint(copied, print) == copied / "epoch_9_iter_40.pth"


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_no_damage_passes_unseen(finished: Path, data: st.DataObject) -> None:
    """Any changed byte gives the same weights or a ValueError: torch.load alone sees few."""
    source = finished / "epoch_3.pth"
    content = bytearray(source.read_bytes())
    with zipfile.ZipFile(source) as file:
        held = [i for i in file.infolist() if i.file_size]
    for _ in range(data.draw(st.integers(1, 3))):
        part = data.draw(st.sampled_from(held))
        # Over the file's bytes behind a part's header, each part as often as another.
        content[min(part.header_offset + data.draw(st.integers(0, 400)), len(content) - 1)] ^= (
            data.draw(st.integers(1, 255))
        )
    path = finished / "damaged.bin"
    path.write_bytes(content)
    try:
        found = load_checkpoint(path)
    except ValueError as error:
        if str(path) not in str(error):
            raise
    else:
        assert_same_run(found, load_checkpoint(source))


class Evil:
    """Writes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return open, (str(self.path), "w")


@pytest.mark.parametrize("way", ["resume", "load_from"])
@pytest.mark.parametrize("place", ["state_dict", "meta", "config text"])
def test_malicious_checkpoint(copied: Path, way: str, place: str) -> None:
    """Neither --resume nor load_from runs what a checkpoint holds, wherever it hides it.

    mmengine resumes by running the text at ``meta["config"]`` as Python, if there is one.
    """
    saved = load_checkpoint(copied / "epoch_3.pth")
    if place == "config text":
        saved["meta"]["config"] = f"open({str(copied / 'owned')!r}, 'w')"
    else:
        saved[place]["evil"] = Evil(copied / "owned")
    for path in copied.glob("epoch_*.pth"):
        torch.save(saved, path)
    config = quick_config(copied)
    if way == "load_from":
        config.load_from = str(copied / "epoch_3.pth")
    with pytest.raises(ValueError, match="read"):
        train(config, resume=way == "resume")
    assert not (copied / "owned").exists()


def test_config_text_is_not_run_without_our_loader(copied: Path, tmp_path: Path) -> None:
    """The checkpoint hook drops the text for whoever drives mmengine's Runner by hand."""
    from mmengine.runner import Runner

    saved = load_checkpoint(copied / "epoch_2.pth")
    saved["meta"]["config"] = f"open({str(tmp_path / 'owned')!r}, 'w')"
    torch.save(saved, tmp_path / "evil.pth")
    runner = Runner.from_cfg(noisy_config(tmp_path / "by_hand"))
    runner._load_from, runner._resume = str(tmp_path / "evil.pth"), True
    runner.train()
    assert not (tmp_path / "owned").exists()


def limited(folder: str) -> None:
    """A run whose files may not grow beyond what a checkpoint needs, from epoch 2 on."""
    torch.set_num_threads(1)
    config = noisy_config(Path(folder))
    config.custom_hooks.append(dict(type="FullDiskHook"))
    train(config)


def test_full_disk_stops_with_the_reason(tmp_path: Path, capfd: pytest.CaptureFixture) -> None:
    """A checkpoint that does not fit ends the run; the one before stands, and it goes on."""
    from mmengine.hooks import Hook

    from sgseg.registry import HOOKS

    @HOOKS.register_module(force=True)
    class FullDiskHook(Hook):
        def before_train_epoch(self, runner: Any) -> None:
            if runner.epoch == 1:
                size = (tmp_path / "run/epoch_1.pth").stat().st_size
                resource.setrlimit(resource.RLIMIT_FSIZE, (size // 2, size // 2))

    process = in_a_process(limited, str(tmp_path / "run"))
    process.join(120)
    assert process.exitcode == 1
    err = capfd.readouterr().err
    assert "could not be saved" in err and "epoch_2.pth" in err and "--resume" in err
    names = {path.name for path in (tmp_path / "run").iterdir()}
    assert "epoch_1.pth" in names
    assert not names & {"epoch_2.pth", "epoch_2.pth.part"}
    train(noisy_config(tmp_path / "run"), resume=True)
    assert load_checkpoint(tmp_path / "run/epoch_3.pth")["meta"]["epoch"] == 3


def test_left_over_parts_are_swept(copied: Path) -> None:
    """What a killed process was writing does not pile up."""
    (copied / "epoch_9.pth.part").write_bytes(b"half")
    train(noisy_config(copied), resume=True)
    assert not list(copied.glob("*.part"))


@pytest.mark.parametrize(
    "options", [dict(max_keep_ckpts=1), dict(keep_iters=1), dict(every_iters=-1)], ids=str
)
def test_keeping_one_checkpoint_is_refused(options: dict[str, int]) -> None:
    """mmengine deletes the old file before the new one is whole."""
    with pytest.raises(ValueError, match="two or more|0 or more"):
        EvaluatedCheckpointHook(**options)


def test_the_run_card(finished: Path) -> None:
    """What ran, on what, and how it ended, without looking elsewhere."""
    card = json.loads((finished / "run.json").read_text())
    assert card["ended"] == "finished" and (card["epoch"], card["iter"]) == (3, 12)
    assert card["data"]["dataset"] == "TextureMosaic" and len(card["data"]["protocol_sha256"]) == 64
    assert card["seed"] == 0 and card["processes"] == 1 and card["deterministic"] is False
    assert {"torch", "numpy", "python"} <= card["packages"].keys()
    assert {"mmengine", "onedl-mmengine"} & card["packages"].keys()
    assert card["config"]["model"]["type"].endswith(".SGSeg")
    assert card["wall_seconds"] > 0 and card["peak_memory_mib"] > 0 and card["device"]


def test_the_hash_is_of_what_is_computed(finished: Path, tmp_path: Path) -> None:
    """Another folder has the same hash, another number of superpixels another."""
    from sgseg.engine.run_card import config_sha256

    expected = json.loads((finished / "run.json").read_text())["config_sha256"]
    assert config_sha256(noisy_config(tmp_path)) == expected
    other = noisy_config(tmp_path, **{"model.backbone.num_superpixels": 9})
    assert config_sha256(other) != expected


@pytest.mark.slow
def test_failed_run_says_so(tmp_path: Path) -> None:
    """The card of a run that an error ended holds the error; resumed, it is kept."""

    def fail(runner: Any) -> None:
        raise RuntimeError("planted")

    from tests.reliability.runs import NoiseHook

    NoiseHook.act, NoiseHook.at = fail, ("step", 5)
    with pytest.raises(RuntimeError, match="planted"):
        train(noisy_config(tmp_path))
    card = json.loads((tmp_path / "run.json").read_text())
    assert card["ended"] == "RuntimeError: planted" and card["iter"] == 5
    os.utime(tmp_path / "run.json")
    train(noisy_config(tmp_path), resume=True)
    card = json.loads((tmp_path / "run.json").read_text())
    assert [before["ended"] for before in card["before"]] == ["RuntimeError: planted"]


def test_a_run_stands_for_its_newest_checkpoint(finished: Path, tmp_path: Path) -> None:
    """Of its latest run; a folder without one is named, and a file is what it is."""
    with pytest.raises(FileNotFoundError, match=r"no epoch_N\.pth in it"):
        checkpoint_of(tmp_path)
    assert checkpoint_of(tmp_path / "epoch_3.pth") == tmp_path / "epoch_3.pth"
    (tmp_path / "latest").symlink_to(finished)
    assert checkpoint_of(tmp_path) == tmp_path / "latest/epoch_3.pth"
