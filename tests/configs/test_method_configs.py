"""The configs of every method of Table 1: they build, take a step and hold the published values."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.config import Config

from sgseg.engine import AlternatingStageHook, ClusterFeaturesHook, ModuleLRConstructor
from sgseg.engine.hooks.clustering import fit_centres, sample_features
from sgseg.registry import MODELS
from sgseg.training import build_config
from tests.timm_at_hand import with_small_features

CONFIGS = Path(__file__).parents[2] / "configs"
METHODS = ("random_cnn", "kmeans", "doersch", "isola", "iic", "ac", "inmars", "infoseg")
DATA = ("coco15", "coco3", "potsdam", "potsdam3", "mosaic", "folder")
PATHS = sorted(path for method in METHODS for path in (CONFIGS / method).glob("*.py"))
SIDE = 64


def load(name: str, **options: Any) -> Config:
    """A config by its name."""
    path = next(path for path in PATHS if path.stem == name)
    return build_config(path, **options)


def batch(config: Config, count: int = 2) -> dict[str, torch.Tensor]:
    """What the training pipeline of a config would give, random."""
    generator = torch.Generator().manual_seed(0)
    last = config.train_dataloader.dataset.transforms[-1]
    bands = config.model.data_preprocessor.bands
    found = dict(inputs=torch.rand(count, bands, SIDE, SIDE, generator=generator))
    if last.get("loss_mask") == "labelled":
        found["mask"] = torch.rand(count, SIDE, SIDE, generator=generator) > 0.3
    if "SLICRegions" in str(config.train_dataloader.dataset.transforms):
        found["regions"] = torch.arange(SIDE * SIDE).view(1, SIDE, SIDE).expand(count, -1, -1) // 99
    return found


def test_every_method_has_every_data_set() -> None:
    """Eight methods, six sets; SGSeg has its own folder."""
    names = {path.stem for path in PATHS}
    assert {f"{method}_{data}" for method in METHODS for data in DATA} <= names


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_builds_and_takes_a_step(path: Path) -> None:
    """At a small width every part has a rate, and a step gives finite losses and gradients."""
    config = with_small_features(build_config(path, preset="tiny", num_classes=5))
    if config.model.get("backbone") and "kmeans" not in path.stem:
        config.model.backbone.base_channels = 2
    model = MODELS.build(config.model)
    optimiser = ModuleLRConstructor(
        dict(optimizer=dict(type="Adam")), config.optim_wrapper.paramwise_cfg
    )(model)
    data = model.data_preprocessor(batch(config), True)
    if "kmeans" in path.stem:
        model.decode_head.set_centres(fit_centres(sample_features(model, [data], 99, 0), 5, 0))
    else:
        terms = model(**data, mode="loss")
        optimiser.update_params(sum(v for name, v in terms.items() if "loss" in name))
        assert all(value.isfinite() for value in terms.values())
    probability = model.eval()(data["inputs"], mode="tensor").probability
    assert probability.shape == (2, 5, SIDE, SIDE)
    torch.testing.assert_close(probability.sum(1), torch.ones(2, SIDE, SIDE))


@pytest.mark.parametrize("method", METHODS)
def test_four_bands_of_a_folder(method: str) -> None:
    """--bands reaches the trunk or the head; gradients of grey are left out, as on Potsdam."""
    path = CONFIGS / method / f"{method}_folder.py"
    config = build_config(path, preset="tiny", bands=4)
    typed = load(f"{method}_potsdam")
    with torch.device("meta"):
        model, expected = MODELS.build(config.model), MODELS.build(typed.model)
    first, other = (
        [p.shape[1] for p in x.parameters() if p.dim() == 4][:1] for x in (model, expected)
    )
    assert first == other in ([4], [])  # K-Means has no layers
    model = MODELS.build(config.model).eval()
    if not first:
        model.decode_head.set_centres(torch.rand(config.model.decode_head.num_classes, 4))
    probability = model(torch.rand(1, 4, 32, 32), mode="tensor").probability
    assert probability.shape[2:] == (32, 32)


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_full_width_and_scoring(path: Path) -> None:
    """At its own width the model builds; it is scored with as many clusters as it has."""
    config = with_small_features(build_config(path))
    with torch.device("meta"):
        model = MODELS.build(config.model)
    assert model.data_preprocessor.bands == config.model.data_preprocessor.bands
    classes = config.model.decode_head.num_classes
    assert config.val_evaluator.num_clusters == config.test_evaluator.num_clusters == classes
    assert config.val_dataloader.sampler.round_up is False


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_dump_and_reload(path: Path, tmp_path: Path) -> None:
    """The config a run writes down builds the same model."""
    config = with_small_features(build_config(path))
    config.dump(tmp_path / "dumped.py")
    again = Config.fromfile(tmp_path / "dumped.py")
    with torch.device("meta"):
        one, other = (MODELS.build(c.model) for c in (config, again))
    assert str(one) == str(other)


@pytest.mark.parametrize(
    ("name", "rate", "pairs", "over", "balance", "window", "epochs"),
    [
        ("iic_coco15", 1e-4, 60, 45, 1.0, 10, 30),
        ("iic_coco3", 1e-4, 120, 15, 1.5, 10, 110),
        ("iic_potsdam", 1e-6, 60, 36, 1.0, 5, 30),
        ("iic_potsdam3", 1e-5, 75, 24, 1.5, 10, 30),
    ],
)
def test_iic_as_published(
    name: str, rate: float, pairs: int, over: int, balance: float, window: int, epochs: int
) -> None:
    """IIC's commands: rate, batch, classes of both heads, lambda of the second, T and length."""
    config = load(name)
    with torch.device("meta"):
        model = MODELS.build(config.model)
    assert set(config.optim_wrapper.paramwise_cfg.lr.values()) == {rate}
    assert config.train_dataloader.batch_size == pairs
    assert model.auxiliary_head.classifier.out_channels == over
    assert model.losses["decode_head"].balance == balance
    assert model.losses["auxiliary_head"].balance == 1
    assert {loss.half_window for loss in model.losses.values()} == {window}
    assert config.train_cfg.max_epochs == 2 * epochs  # ours are passes, IIC's are pairs of passes
    assert (model.backbone.layers[0][0].in_channels == 5) == ("coco" in name)
    masked = config.train_dataloader.dataset.transforms[-1].get("loss_mask") == "labelled"
    assert masked == ("coco" in name)


@pytest.mark.parametrize(
    ("name", "rate", "images"),
    [
        ("ac_coco15", 6e-6, 30),
        ("ac_coco3", 4e-5, 30),
        ("ac_potsdam", 1e-6, 20),
        ("ac_potsdam3", 1e-6, 20),
    ],
)
def test_ac_as_published(name: str, rate: float, images: int) -> None:
    """Doubling widths, Adam's rates and batches, and no superpixels."""
    config = load(name)
    model = config.model
    assert config.optim_wrapper.paramwise_cfg.lr.decode_head == rate
    assert config.train_dataloader.batch_size == images
    assert tuple(model.decode_head.multipliers) == (2, 4, 8, 16)
    assert load(name, preset="paper").model.decode_head.multipliers == model.decode_head.multipliers
    assert model.backbone is model.neck is None


def test_kmeans_as_published() -> None:
    """A million pixels, k-means++ (scikit-learn's default) with three starts."""
    config = load("kmeans_coco15")
    hook = config.default_hooks.clustering
    assert hook.type is ClusterFeaturesHook and hook.pixels == 1_000_000


@pytest.mark.parametrize("data", DATA)
def test_random_cnn_is_iic_without_steps(data: str) -> None:
    """The same network, and no epoch that trains."""
    untrained, trained = load(f"random_cnn_{data}"), load(f"iic_{data}")
    assert untrained.model == trained.model
    assert untrained.train_cfg.type.__name__ == "UntrainedLoop"
    assert trained.default_hooks.pop("stage").type is AlternatingStageHook
    assert untrained.default_hooks == trained.default_hooks


@pytest.mark.parametrize("method", ["infoseg", "inmars"])
def test_reconstructions_say_so(method: str) -> None:
    """What has no public code is named a reconstruction in each of its configs."""
    for path in (CONFIGS / method).glob("*.py"):
        assert "reconstruction from the description" in path.read_text(), path
