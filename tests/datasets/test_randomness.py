"""Batches are a function of seed, epoch and index: workers and restarts change nothing (R5)."""

from __future__ import annotations

import hashlib
import itertools
import random
from typing import Any

import numpy as np
import pytest
import torch
from mmcv.transforms import BaseTransform, RandomFlip
from mmengine.dataset import DefaultSampler
from torch.utils.data import DataLoader

from sgseg.datasets import Draw, DrawSampler, SegDataset, TextureMosaic

WORKERS = [(0, False), (1, False), (2, False), (2, True), (4, False), (4, True)]


class AllGenerators(BaseTransform):
    """Records a number of each global generator, as other libraries' transforms draw them."""

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Draw from random, numpy.random and torch."""
        drawn = random.random(), np.random.rand(), float(torch.rand(()))
        return results | dict(drawn=torch.tensor(drawn, dtype=torch.float64))


def dataset(seed: int = 0, length: int = 10) -> SegDataset:
    """Mosaics with a random crop and a random flip of mmcv."""
    pipeline = [
        dict(type="CropTo", size=12, random=True),
        dict(type=RandomFlip, prob=0.5),
        dict(type="PackInputs", with_labels=True),
    ]
    return TextureMosaic(length=length, size=24, scale=1 / 2, seed=seed, transforms=pipeline)


def epochs(workers: int, persistent: bool, seed: int = 0, count: int = 2) -> list[str]:
    """Hash of all batches of each epoch."""
    data = dataset(seed)
    sampler = DrawSampler(data, shuffle=True, seed=3)
    loader = DataLoader(
        data, batch_size=3, sampler=sampler, num_workers=workers, persistent_workers=persistent
    )
    found = []
    for epoch in range(count):
        sampler.set_epoch(epoch)
        digest = hashlib.sha256()
        for batch in loader:
            for key in ("inputs", "gt", "index"):
                digest.update(batch[key].numpy().tobytes())
        found.append(digest.hexdigest())
    return found


@pytest.fixture(scope="module")
def reference() -> list[str]:
    """Epochs without workers."""
    return epochs(0, False)


@pytest.mark.parametrize(("workers", "persistent"), WORKERS)
def test_batches_do_not_depend_on_workers(
    reference: list[str], workers: int, persistent: bool
) -> None:
    """0 to 4 workers, persistent or not, give bit-equal batches in both epochs."""
    torch.manual_seed(workers)  # what the main process drew before must not matter
    np.random.seed(workers + 1)
    assert epochs(workers, persistent) == reference


def test_epochs_and_seeds_differ(reference: list[str]) -> None:
    """No epoch repeats another's augmentations, and another seed is another run."""
    assert len({*epochs(0, False, count=3), *epochs(0, False, seed=1)}) == 5
    assert reference[0] != reference[1]


def test_the_seed_of_a_run_reaches_the_augmentations() -> None:
    """The same images in the same order are cropped and flipped otherwise in a run's other seed."""
    data = dataset()
    crops = {seed: [data[Draw(i, 0, seed)]["inputs"] for i in range(len(data))] for seed in (0, 1)}
    again = [data[Draw(i, 0, 1)]["inputs"] for i in range(len(data))]
    assert all(torch.equal(one, other) for one, other in zip(crops[1], again))
    assert not all(torch.equal(one, other) for one, other in zip(crops[0], crops[1]))
    sampler = DrawSampler(data, shuffle=False, seed=5)
    assert {draw.seed for draw in sampler} == {5}


def test_the_same_item_is_augmented_anew_each_epoch() -> None:
    """Not only the order changes: item 0 is cropped at other places in other epochs."""
    data = dataset()
    crops = {data[Draw(0, epoch)]["inputs"].numpy().tobytes() for epoch in range(8)}
    assert len(crops) >= 6
    assert torch.equal(data[Draw(0, 5)]["inputs"], data[Draw(0, 5)]["inputs"])


def test_items_are_not_augmented_alike() -> None:
    """Two items of one epoch draw different numbers."""
    data = TextureMosaic(length=4, size=16, transforms=[dict(type=AllGenerators)])
    drawn = torch.stack([data[Draw(index, 0)]["drawn"] for index in range(4)])
    assert len(set(drawn.flatten().tolist())) == 12


def test_plain_index_is_epoch_zero() -> None:
    """Evaluation, which counts no epochs, sees what epoch 0 sees."""
    data = dataset()
    assert torch.equal(data[2]["inputs"], data[Draw(2, 0)]["inputs"])


def test_restart_at_an_epoch_continues_the_run(reference: list[str]) -> None:
    """A run resumed at epoch 1 sees what the unbroken run saw there."""
    data = dataset()
    sampler = DrawSampler(data, shuffle=True, seed=3)
    sampler.set_epoch(1)
    digest = hashlib.sha256()
    for batch in DataLoader(data, batch_size=3, sampler=sampler):
        for key in ("inputs", "gt", "index"):
            digest.update(batch[key].numpy().tobytes())
    assert digest.hexdigest() == reference[1]


def test_global_random_state_is_untouched() -> None:
    """Reading an item changes nothing for the model's own noise in the same process."""
    data = TextureMosaic(length=2, size=16, transforms=[dict(type=AllGenerators)])
    states = []
    for read in (False, True):
        random.seed(1), np.random.seed(2), torch.manual_seed(3)
        if read:
            data[0], data[Draw(1, 4)]
        states.append((random.random(), float(np.random.rand()), float(torch.rand(()))))
    assert states[0] == states[1]


def test_global_random_state_survives_an_error() -> None:
    """A broken item, skipped by the caller, does not pin the generators to its seed."""

    class Fails(BaseTransform):
        def transform(self, results: dict[str, Any]) -> dict[str, Any]:
            np.random.rand()
            raise RuntimeError("broken")

    data = TextureMosaic(length=1, size=16, transforms=[dict(type=Fails)])
    np.random.seed(2)
    expected = np.random.rand()
    np.random.seed(2)
    with pytest.raises(RuntimeError, match="broken"):
        data[0]
    assert np.random.rand() == expected


def test_sampler_yields_index_and_epoch() -> None:
    """Every index once an epoch, with the epoch, in another order next time."""
    sampler = DrawSampler(list(range(20)), shuffle=True, seed=0)
    first = list(sampler)
    sampler.set_epoch(1)
    second = list(sampler)
    assert sorted(first) == [Draw(index, 0) for index in range(20)]
    assert {draw.epoch for draw in second} == {1}
    assert [draw.index for draw in first] != [draw.index for draw in second]


@pytest.mark.parametrize("images", [None, 3, 120])
@pytest.mark.parametrize("shuffle", [True, False])
def test_each_process_draws_its_part_of_mmengines_order(shuffle: bool, images: int | None) -> None:
    """Disjoint parts of one order, that of the sampler it derives from."""
    for size, world in itertools.product((1, 2, 7, 50), (1, 2, 3)):
        parts = []
        for rank in range(world):
            with pytest.MonkeyPatch.context() as patch:
                place = (rank, world)
                patch.setattr("mmengine.dataset.sampler.get_dist_info", lambda place=place: place)
                sampler = DrawSampler(range(size), shuffle=shuffle, seed=3, images=images)
            sampler.set_epoch(2)
            parts.append([draw.index for draw in sampler])
            assert parts[-1] == list(DefaultSampler.__iter__(sampler)), (size, world, rank)
        if images is None and size >= world:
            whole = list(itertools.chain(*parts))
            assert len(set(whole)) == len(whole) == size // world * world
