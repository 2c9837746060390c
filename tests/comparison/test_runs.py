"""What a run is known by, when it is finished, and how many epochs fit into its minutes."""

import copy
import itertools
import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from mmengine.config import Config

from sgseg.comparison import length
from sgseg.comparison.compose import Data, compose
from sgseg.comparison.rows import Row
from sgseg.comparison.runs import Run, digest, identity, prepare
from sgseg.comparison.work import epoch_records
from sgseg.models import IIC
from sgseg.training import build_config
from tests.configs.test_configs import flat
from tests.conftest import ROOT

CONFIGS = ROOT / "configs"


def main_config(data: Data | None = None) -> Config:
    return compose(Row("main"), "practical", data or Data("mosaic"), "tiny", CONFIGS)


def changed(content: dict[str, Any], dotted: str) -> dict[str, Any]:
    """A copy of a config with one value replaced."""
    content = copy.deepcopy(content)
    *path, last = [int(k) if k.isdigit() else k for k in dotted.lstrip(".").split(".")]
    place: Any = content
    for key in path:
        place[key] = list(place[key]) if isinstance(place[key], tuple) else place[key]
        place = place[key]
    value = place[last]
    place[last] = value + 1 if isinstance(value, int | float) else f"{value}x"
    return content


def test_identity_changes_with_every_value_of_the_config() -> None:
    """Two configs have one name if and only if they are equal, value by value."""
    known = identity(main_config())
    assert digest(known) == digest(identity(main_config()))
    names = {digest(known)}
    keys = [key for key, value in flat(known["config"]).items() if value is not None]
    for key in keys:
        names.add(digest(known | dict(config=changed(known["config"], key))))
    assert len(keys) > 100
    assert len(names) == len(keys) + 1
    assert digest(known | dict(minutes=2.0)) not in names
    assert digest(known | dict(baseline="kmeans")) not in names


def folder(root: Path, images: int) -> Path:
    """A labelled folder."""
    for number in range(images):
        for part in ("images", "labels"):
            (root / part).mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(root / part / f"{number}.png"), np.zeros((96, 96), np.uint8))
    (root / "classes.txt").write_text("a\nb\n")
    return root


def test_identity_is_of_the_data_not_of_their_place(tmp_path: Path) -> None:
    """The same items under another path are the same data; another item is not. K is theirs."""
    first, second = folder(tmp_path / "a" / "photos", 3), folder(tmp_path / "b" / "photos", 3)
    configs = [main_config(Data("folder", str(root))) for root in (first, second)]
    assert configs[0].model.decode_head.num_classes == 2
    assert digest(identity(configs[0])) == digest(identity(configs[1]))
    more = main_config(Data("folder", str(folder(tmp_path / "c" / "photos", 4))))
    assert digest(identity(more)) != digest(identity(configs[0]))


def test_equal_rows_share_a_folder(tmp_path: Path) -> None:
    """The main model stands in six tables and is trained once; another length is another run."""
    assert prepare(tmp_path, "m", main_config()) == prepare(tmp_path, "m", main_config())
    other = main_config()
    other.train_cfg.max_epochs += 1
    assert prepare(tmp_path, "m", other) != prepare(tmp_path, "m", main_config())
    assert len(list(tmp_path.glob("m-*/config.py"))) == 2


def finished(run: Run) -> None:
    """Files as a finished run leaves them."""
    run.folder.mkdir(parents=True)
    (run.folder / "epoch_3.pth").write_bytes(b"weights")
    (run.folder / "eval.json").write_text(json.dumps(dict(epoch=3)))
    result = dict(epoch=3, checkpoint="epoch_3.pth", checkpoint_bytes=7)
    (run.folder / "result.json").write_text(json.dumps(result))


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("result.json", '{"epoch": 3'),
        ("eval.json", '{"epoch": 2}'),
        ("eval.json", ""),
        ("epoch_3.pth", "weig"),
    ],
)
def test_finished_means_whole(tmp_path: Path, name: str, content: str) -> None:
    """A result without its evaluation or its checkpoint is no result."""
    run = Run(tmp_path, 0)
    finished(run)
    assert run.result() is not None
    (run.folder / name).write_text(content)
    assert run.result() is None
    (run.folder / name).unlink()
    assert run.result() is None


def test_a_run_is_busy_while_one_is_at_it(tmp_path: Path) -> None:
    """Another holder of the lock is told; when the first lets go it is free."""
    run = Run(tmp_path, 0)
    assert not run.is_busy()
    with run.lock():
        assert run.is_busy()
    assert not run.is_busy()


def test_repeated_epochs_count_once(tmp_path: Path) -> None:
    """After a restart the last record of an epoch holds; a line that a kill cut off is left out."""
    lines = ['{"epoch": 1, "accuracy": 10}', '{"epoch": 2, "acc', '{"epoch": 1, "accuracy": 20}']
    (tmp_path / "eval_history.jsonl").write_text("\n".join(lines))
    scores = dict(epochs=[dict(epoch=1, flip_consistency=0.5)])
    (tmp_path / "label_free.json").write_text(json.dumps(scores))
    assert epoch_records(tmp_path) == [dict(epoch=1, accuracy=20, flip_consistency=0.5)]


def test_fitting_epochs_is_the_most_that_fits() -> None:
    """As many epochs as the minutes hold, tried one by one; never fewer than there are stages."""
    config, costs = main_config(), dict(superpixel=3.0, segmentation=7.0)
    for seconds in (1, 10, 16, 17, 24, 100, 1234):
        found = length.fitting_epochs(config, costs, seconds)

        def cost(epochs: int) -> float:
            first = max(1, round(2 * epochs / 34))
            return 3 * first + 7 * (epochs - first)

        fitting = itertools.takewhile(lambda n: cost(n) <= seconds, itertools.count(2))
        assert found == max([2, *fitting]), seconds


def test_the_length_of_heads_in_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    """IIC's two heads are both timed, and both trained equally often."""
    entered, loss = [], IIC.loss

    def watched(self: IIC, *args: Any, **kwargs: Any) -> Any:
        entered.append(self.stage)
        return loss(self, *args, **kwargs)

    monkeypatch.setattr(IIC, "loss", watched)
    config = build_config(ROOT / "configs/iic/iic_mosaic.py")
    config.train_dataloader.batch_size = 2
    costs = length.seconds_per_epoch(config, steps=1)
    assert entered == ["auxiliary_head"] * 2 + ["decode_head"] * 2
    assert set(costs) == {"joint"} and costs["joint"] > 0
    assert length.fitting_epochs(config, dict(joint=10.0), 79) == 6
    assert length.fitting_epochs(config, dict(joint=10.0), 1) == 2


def test_the_length_is_chosen_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All seeds and restarts of a row train as long as the first, however fast the machine is."""
    speeds = iter([dict(superpixel=1.0, segmentation=2.0), dict(superpixel=9.0, segmentation=9.0)])
    monkeypatch.setattr(length, "seconds_per_epoch", lambda config: next(speeds))
    config = main_config()
    first = length.chosen_epochs(tmp_path, config, 1.0)
    assert first == length.chosen_epochs(tmp_path, config, 1.0) == 31
    stored = json.loads((tmp_path / "length.json").read_text())
    assert stored["seconds_per_epoch"] == dict(superpixel=1.0, segmentation=2.0)
    assert stored["cores"] and stored["threads"]
