"""HungarianMetric: right by hand, and the same for any batch split and number of ranks (R7)."""

from __future__ import annotations

import itertools
import json
import multiprocessing
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from mmengine.evaluator import Evaluator

from sgseg.datasets import DrawSampler
from sgseg.evaluation import HungarianMetric
from sgseg.registry import METRICS

Sample = dict[str, Any]
META = dict(classes=["sky", "plant", "ground"], protocol=dict(dataset="Toy", items=2))


def metric(clusters: int = 3, **meta: Any) -> HungarianMetric:
    """A metric that knows its data set."""
    made = HungarianMetric(num_clusters=clusters)
    made.dataset_meta = META | meta
    return made


def sample(pred: Any, gt: Any) -> Sample:
    """A record as ``predict`` gives it."""
    return dict(pred=torch.as_tensor(pred), gt=torch.as_tensor(gt), index=0)


def noise(number: int, clusters: int = 4, classes: int = 3) -> list[Sample]:
    """Images of different sizes with random clusters and labels, some ignored."""
    rng = np.random.default_rng(number)
    found = []
    for index, side in enumerate(range(3, 3 + number)):
        gt = rng.integers(0, classes, (side, 5))
        gt[rng.random(gt.shape) < 0.1] = 255
        found.append(sample(rng.integers(0, clusters, (side, 5)), gt) | dict(index=index))
    return found


def evaluated(made: HungarianMetric, batches: Iterable[list[Sample]], size: int) -> dict[str, Any]:
    """The record after a whole evaluation."""
    for batch in batches:
        made.process(None, batch)
    made.evaluate(size)
    return made.record


def by_hand() -> list[Sample]:
    """Two images: cluster 2 is sky (3 of 4), 0 is plant (2 of 3), 1 is ground (1 of 1)."""
    return [
        sample([[2, 2, 2], [0, 0, 1]], [[0, 0, 0], [1, 1, 2]]),
        sample([[2, 0, 1]], [[1, 0, 255]]),
    ]


def test_worked_example() -> None:
    """Accuracy 6 of 8, IoU 3/5, 2/4, 1/1, and the mapping, all worked out on paper."""
    made = metric()
    for item in by_hand():
        made.process(None, [item])
    found = made.evaluate(2)
    assert made.record["confusion"] == [[1, 2, 0], [0, 0, 1], [3, 1, 0]]
    assert made.record["mapping"] == [1, 2, 0]
    assert found["accuracy"] == 75.0
    assert found["miou"] == 70.0
    assert found["mean_class_accuracy"] == pytest.approx(100 * (3 / 4 + 2 / 3 + 1) / 3, abs=1e-4)
    assert found["many_to_one"] == 75.0
    assert [entry["iou"] for entry in made.record["per_class"]] == [60.0, 50.0, 100.0]
    assert [entry["pixels"] for entry in made.record["per_class"]] == [4, 3, 1]
    assert [entry["name"] for entry in made.record["per_class"]] == META["classes"]


def test_ignored_pixels_are_not_counted() -> None:
    """255 is left out of pixels and scores, whatever was predicted there."""
    record = evaluated(metric(), [by_hand()], 2)
    assert record["pixels"] == 8 and record["images"] == 2
    other = by_hand()
    other[1]["pred"][0, 2] = 2
    assert evaluated(metric(), [other], 2)["confusion"] == record["confusion"]


def test_names_of_clusters_do_not_matter() -> None:
    """Any renaming of the clusters gives the same score: they have no names."""
    items = noise(5, clusters=3)
    expected = evaluated(metric(), [items], 5)
    for order in itertools.permutations(range(3)):
        renamed = [item | dict(pred=torch.tensor(order)[item["pred"]]) for item in items]
        found = evaluated(metric(), [renamed], 5)
        assert (found["accuracy"], found["miou"]) == (expected["accuracy"], expected["miou"])


@pytest.mark.parametrize("batch", [1, 2, 3, 4, 5, 7, 9])
def test_any_batch_split_gives_the_same(batch: int) -> None:
    """The score is one of the whole set, never a mean over batches."""
    items = noise(9)
    split = [items[start : start + batch] for start in range(0, 9, batch)]
    assert evaluated(metric(4), split, 9) == evaluated(metric(4), [items], 9)


def test_one_matching_for_the_whole_set() -> None:
    """Two images that contradict each other score 50 %, not 100 % by a matching each."""
    items = [sample([[0, 1]], [[0, 1]]), sample([[0, 1]], [[1, 0]])]
    assert evaluated(metric(), [[item] for item in items], 2)["accuracy"] == 50.0


@pytest.mark.parametrize("size", [1, 3, 4])
def test_wrong_number_of_images_raises(size: int) -> None:
    """Lost images and images counted twice are an error, not a slightly wrong score."""
    made = metric()
    made.process(None, by_hand())
    with pytest.raises(RuntimeError, match=f"2 images were evaluated, the data set has {size}"):
        made.evaluate(size)


def test_unlabelled_image_raises() -> None:
    """Evaluation on a set without labels says what to set."""
    with pytest.raises(ValueError, match="with_labels=True"):
        metric().process(None, [dict(pred=torch.zeros(2, 2), gt=None, index=0)])


@pytest.mark.parametrize(
    ("pred", "gt", "message"),
    [
        ([[3]], [[0]], "cluster values"),
        ([[-1]], [[0]], "cluster values"),
        ([[0]], [[3]], "label values"),
        ([[0]], [[254]], "label values"),
        ([[0, 0]], [[0]], "differ in shape"),
    ],
)
def test_values_out_of_range_raise(pred: list, gt: list, message: str) -> None:
    """No pixel is dropped in silence."""
    with pytest.raises(ValueError, match=message):
        metric().process(None, [sample(pred, gt)])


def test_no_class_names_raises() -> None:
    """A data set without classes cannot be scored unless their number is given."""
    items = [sample([[0, 1]], [[0, 1]])]
    with pytest.raises(ValueError, match="num_classes"):
        metric(classes=[]).process(None, items)
    made = HungarianMetric(num_clusters=2, num_classes=2)
    assert evaluated(made, [items], 1)["accuracy"] == 100.0
    assert [entry["name"] for entry in made.record["per_class"]] == ["0", "1"]


def test_more_clusters_than_classes() -> None:
    """Extra clusters get no class (-1) and their pixels stay in the count, as wrong."""
    items = [sample([[0, 0, 1, 2, 3, 3, 3, 4]], [[0, 0, 0, 1, 2, 2, 2, 2]])]
    record = evaluated(metric(5), [items], 1)
    assert record["mapping"] == [0, -1, 1, 2, -1]
    assert record["accuracy"] == 75.0 and record["pixels"] == 8
    assert record["many_to_one"] == 100.0


def test_named_on_one_half_scored_on_the_other() -> None:
    """Four images by hand: names of the even ones on the odd ones, and back, every pixel once."""
    images = [
        sample([[0, 0, 0, 1]], [[0, 0, 1, 1]]),  # even: 0 is sky, 1 is plant
        sample([[0, 0, 1, 2]], [[0, 0, 0, 2]]),  # odd: 0 is sky, 1 is sky, 2 is ground
        sample([[1, 1, 1, 3]], [[1, 1, 2, 2]]),
        sample([[1, 3, 3, 255]], [[0, 1, 255, 255]]),  # cluster 3 is plant here, ground there
    ]
    numbered = [item | dict(index=index) for index, item in enumerate(images)]
    record = evaluated(metric(4), [numbered[2:], numbered[:2]], 4)
    # Names of the even on the odd: 2 of 6 right; of the odd on the even: 2 of 8.
    assert record["named_accuracy"] == pytest.approx(100 * 4 / 14, abs=1e-4)
    assert record["many_to_one"] > record["named_accuracy"]
    assert "even number" in record["naming"]


def test_names_need_two_images() -> None:
    """With one there is no half to score; the record says so, and stays JSON."""
    made = metric()
    made.process(None, [sample([[0, 1]], [[0, 1]])])
    assert np.isnan(made.evaluate(1)["named_accuracy"])
    assert made.record["named_accuracy"] is None
    assert "two images or more" in made.record["naming"]


def test_naming_more_clusters_holds_on_unseen_images() -> None:
    """Eight clusters that split three classes are named right; random ones are not."""
    split = [item | dict(pred=2 * item["gt"].clamp(max=2) + item["pred"] % 2) for item in noise(6)]
    assert evaluated(metric(8), [split], 6)["named_accuracy"] == 100.0
    assert evaluated(metric(8), [noise(6, clusters=8)], 6)["named_accuracy"] < 60


def test_fewer_clusters_than_classes() -> None:
    """A class that no cluster is left for counts as missed, also in mIoU."""
    record = evaluated(metric(2), [[sample([[0, 0, 1, 1]], [[0, 0, 1, 2]])]], 1)
    assert record["accuracy"] == 75.0
    assert [entry["iou"] for entry in record["per_class"]] == [100.0, 50.0, 0.0]
    assert record["miou"] == 50.0


def test_absent_class_is_nan_and_left_out_of_means() -> None:
    """A class without a pixel has no score: it neither helps nor hurts the means."""
    record = evaluated(metric(), [[sample([[0, 1]], [[0, 1]])]], 1)
    assert record["miou"] == record["mean_class_accuracy"] == 100.0
    assert np.isnan(record["per_class"][2]["iou"]) and record["per_class"][2]["pixels"] == 0


@pytest.mark.parametrize(
    ("pred", "entropy"),
    [([0, 0, 0, 0, 0, 0], 0.0), ([0, 1, 2, 0, 1, 2], 1.0), ([0, 0, 0, 1, 1, 1], 0.6309)],
)
def test_usage_entropy(pred: list[int], entropy: float) -> None:
    """0 when one cluster takes all, 1 when all are used evenly, log 2 / log 3 for two of three."""
    record = evaluated(metric(), [[sample([pred], [[0, 1, 2, 0, 1, 2]])]], 1)
    assert record["usage_entropy"] == pytest.approx(entropy, abs=1e-4)
    assert not str(record["usage_entropy"]).startswith("-")


def test_nothing_scored_raises() -> None:
    """A set that is all ignored has no score: an error says so, rather than nan in a record."""
    with pytest.raises(ValueError, match="every pixel of the scored set is ignored"):
        evaluated(metric(), [[sample([[0, 1]], [[255, 255]])]], 1)


def test_absent_classes_are_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """Masks of 0 and 255 score one class, always right: record, log and likely cause say so."""
    said: list[str] = []
    monkeypatch.setattr(
        "sgseg.evaluation.hungarian.print_log", lambda text, **options: said.append(text)
    )
    record = evaluated(metric(), [[sample([[0, 1]], [[0, 255]])]], 1)
    names = [entry["name"] for entry in record["per_class"]]
    assert record["absent_classes"] == names[1:]
    assert "2 of 3 classes have no pixel" in said[0] and "masks of 0 and 255" in said[0]


def test_record_is_plain_json() -> None:
    """eval.json holds all that the contract names, and reads back as it was."""
    record = evaluated(metric(4), [noise(3)], 3)
    required = {"accuracy", "miou", "per_class", "mapping", "confusion", "pixels", "images"}
    assert required | {"protocol"} <= set(record)
    assert json.loads(json.dumps(record, allow_nan=True)) == record
    assert np.sum(record["confusion"]) == record["pixels"]
    assert record["protocol"] | META["protocol"] == record["protocol"]
    assert (record["protocol"]["clusters"], record["protocol"]["ignore"]) == (4, 255)
    assert "one-to-one" in record["protocol"]["matching"]


def test_evaluate_starts_anew() -> None:
    """The second epoch's score is its own, also after a failed evaluation."""
    made = metric()
    first = evaluated(made, [by_hand()], 2)
    other = [sample([[0, 0, 0]], [[0, 1, 2]])]
    second = evaluated(made, [other], 1)
    assert second["pixels"] == 3 and second["accuracy"] == 33.3333
    made.process(None, other)
    with pytest.raises(RuntimeError):
        made.evaluate(9)
    assert evaluated(made, [by_hand()], 2) == first


def test_through_the_evaluator(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Works inside mmengine's Evaluator, built by name, and writes no file."""
    monkeypatch.chdir(tmp_path)
    made = METRICS.build(dict(type="HungarianMetric", num_clusters=3))
    evaluator = Evaluator(made)
    evaluator.dataset_meta = META
    evaluator.process(by_hand(), None)
    assert evaluator.evaluate(2)["accuracy"] == 75.0
    assert list(tmp_path.iterdir()) == []


def rank_main(rank: int, worlds: tuple[int, ...], folder: str) -> None:
    """One of the processes: evaluate sets of 1-5 images with each world size it belongs to."""
    torch.set_num_threads(1)
    for world in worlds:
        if rank >= world:
            continue
        torch.distributed.init_process_group(
            "gloo", init_method=f"file://{folder}/store{world}", rank=rank, world_size=world
        )
        for size in range(1, 6):
            items = noise(size)
            for round_up in (False, True):
                places = [d.index for d in DrawSampler(items, shuffle=False, round_up=round_up)]
                made = metric(4)
                for start in range(0, len(places), 2):
                    made.process(None, [items[place] for place in places[start : start + 2]])
                name = f"{folder}/{world}_{rank}_{size}_{int(round_up)}.json"
                try:
                    made.evaluate(size)
                    text = json.dumps(made.record)
                except RuntimeError as error:
                    text = json.dumps(str(error))
                Path(name).write_text(text)
        torch.distributed.barrier()
        torch.distributed.destroy_process_group()


@pytest.fixture(scope="module")
def ranks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Records written by 2 and by 3 gloo processes."""
    folder = tmp_path_factory.mktemp("ranks")
    context = multiprocessing.get_context("fork")
    pool = [
        context.Process(target=rank_main, args=(rank, (2, 3), str(folder))) for rank in range(3)
    ]
    for process in pool:
        process.start()
    for process in pool:
        process.join(45)
    codes = [process.exitcode for process in pool]
    for process in pool:
        process.kill()
    assert codes == [0, 0, 0]
    return folder


@pytest.mark.parametrize("size", range(1, 6))
@pytest.mark.parametrize("world", [2, 3])
def test_ranks_agree_with_one_process(ranks: Path, world: int, size: int) -> None:
    """Equal int64 matrices on every rank, also with fewer images than ranks."""
    expected = evaluated(metric(4), [noise(size)], size)
    for rank in range(world):
        found = json.loads((ranks / f"{world}_{rank}_{size}_0.json").read_text())
        assert found["confusion"] == expected["confusion"]
        assert json.dumps(found) == json.dumps(expected)


@pytest.mark.parametrize("size", range(1, 6))
@pytest.mark.parametrize("world", [2, 3])
def test_padded_samples_raise(ranks: Path, world: int, size: int) -> None:
    """A sampler that pads with repeated images is found out on every rank."""
    for rank in range(world):
        found = json.loads((ranks / f"{world}_{rank}_{size}_1.json").read_text())
        if size % world:
            assert isinstance(found, str) and "round_up=False" in found
        else:
            assert found["images"] == size


def test_subsets_are_scored_in_the_same_run() -> None:
    """A split's score is that of an evaluation on it alone; the whole is not touched by it."""
    items = [item | dict(index=index) for index, item in enumerate(noise(7))]
    spans = dict(train2017=(0, 4), val2017=(4, 7))
    record = evaluated(metric(4, subsets=spans), [items[3:], items[:3]], 7)
    whole = evaluated(metric(4), [items], 7)
    assert {key: record[key] for key in whole} == whole
    for name, (start, end) in spans.items():
        alone = evaluated(metric(4), [items[start:end]], end - start)
        found = record["subsets"][name]
        assert all(found[key] == alone[key] for key in ("accuracy", "miou", "images", "pixels"))
    assert "subsets" not in whole


def test_items_outside_all_subsets_count_in_the_whole() -> None:
    """A subset need not cover the set."""
    items = [item | dict(index=index) for index, item in enumerate(noise(5))]
    record = evaluated(metric(4, subsets=dict(val=(2, 3))), [items], 5)
    assert record["confusion"] == evaluated(metric(4), [items], 5)["confusion"]
    assert record["subsets"]["val"]["images"] == 1
