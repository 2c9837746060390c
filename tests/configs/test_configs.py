"""Every config loads, builds its model, differs from its parent only on its axis, and dumps."""

from contextlib import nullcontext
from pathlib import Path
from typing import Any

import cv2
import pytest
import torch
from mmengine.config import Config

from sgseg.cost.measure import as_fake, flops
from sgseg.engine import ModuleLRConstructor
from sgseg.models.backbones import FixedSuperpixels
from sgseg.registry import MODELS
from sgseg.training import build_config
from sgseg.training.length import stages_of
from tests.timm_at_hand import with_small_features

CONFIGS = sorted((Path(__file__).parents[2] / "configs" / "sgseg").glob("*.py"))
MAIN = "sgseg_diffgcn_coco15"
# SEEDS needs opencv-contrib.
FOLDER = [p.stem for p in CONFIGS if p.stem.endswith("_folder") and "seeds" not in p.stem]


def load(name: str) -> Config:
    """A config by its name."""
    return build_config(CONFIGS[0].with_name(f"{name}.py"))


def flat(value: Any, prefix: str = "") -> dict[str, Any]:
    """Nested dicts and lists as dotted keys."""
    if isinstance(value, dict):
        pairs = value.items()
    elif isinstance(value, list):
        pairs = enumerate(value)
    else:
        return {prefix: value}
    return {k: v for key, item in pairs for k, v in flat(item, f"{prefix}.{key}").items()}


def changes(name: str, parent: str) -> set[str]:
    """Dotted keys in which a config differs from its parent, the work dir apart."""
    one, other = flat(load(name).to_dict()), flat(load(parent).to_dict())
    keys = one.keys() | other.keys()
    different = {key for key in keys if str(one.get(key)) != str(other.get(key))}
    return {k.lstrip(".") for k in different if k not in (".work_dir", ".seed", ".name")}


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_builds_with_a_rate_for_every_part(path: Path) -> None:
    """The model builds, and every part of it has a learning rate."""
    config = with_small_features(build_config(path))
    with torch.device("meta"):
        model = MODELS.build(config.model)
    ModuleLRConstructor(dict(optimizer=dict(type="Adam")), config.optim_wrapper.paramwise_cfg)(
        model
    )
    assert config.default_hooks.checkpoint.max_keep_ckpts >= 2
    for loader in (config.val_dataloader, config.test_dataloader):
        assert loader.sampler.round_up is False  # padded samples would count twice


@pytest.mark.slow
@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_takes_a_step(path: Path) -> None:
    """Every config's model, at full width, goes forward and back in its last stage."""
    if "seeds" in path.stem and not hasattr(cv2, "ximgproc"):
        pytest.skip("needs opencv-contrib-python")
    config = with_small_features(build_config(path))
    model = MODELS.build(config.model)
    model.stage = stages_of(config)[-1][1]
    bands = model.data_preprocessor.bands
    # Fakes, which full width needs, have no numbers for NumPy or for rolling coordinates.
    real = isinstance(model.backbone, FixedSuperpixels) or model.roll_coordinates
    with nullcontext() if real else as_fake(model):
        losses = model.loss(torch.rand(2, bands, 64, 64))
        sum(value for key, value in losses.items() if "loss" in key).backward()


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_dump_and_reload(path: Path, tmp_path: Path) -> None:
    """The config a run writes down is the config it ran."""
    config = build_config(path)
    config.dump(tmp_path / "dumped.py")
    again = Config.fromfile(tmp_path / "dumped.py")
    kinds = {key: str(value) for key, value in flat(again.model.to_dict()).items()}
    for key, value in flat(config.model.to_dict()).items():
        name = f"{value.__module__}.{value.__name__}" if isinstance(value, type) else str(value)
        assert kinds[key].rsplit(".")[-1] == name.rsplit(".")[-1], key


@pytest.mark.parametrize(
    ("name", "parent", "expected"),
    [
        *(
            (f"sgseg_diffgcn_n{n}_coco15", MAIN, {"model.backbone.num_superpixels"})
            for n in (50, 100, 400)
        ),
        *(
            (f"sgseg_diffgcn_n{n}_coco3", "sgseg_diffgcn_coco3", {"model.backbone.num_superpixels"})
            for n in (50, 200, 400)
        ),
        *((f"sgseg_diffgcn_k{k}_coco15", MAIN, {"model.neck.knn"}) for k in (5, 10, 40)),
        ("sgseg_pointnet_coco15", MAIN, {"model.neck.block.type"}),
        ("sgseg_dgcnn_coco15", MAIN, {"model.neck.block.type"}),
        ("sgseg_diffgcn_disjoint_coco15", MAIN, {"default_hooks.stage.stages.1"}),
        (
            "sgseg_diffgcn_coco3_other",
            "sgseg_diffgcn_coco3",
            {"model.decode_head.num_classes"}
            | {f"{part}_evaluator.num_clusters" for part in ("val", "test")}
            | {f"{part}_dataloader.dataset.type" for part in ("train", "val", "test")},
        ),
        *(
            (
                f"sgseg_diffgcn_local_{s}",
                f"sgseg_diffgcn_{s}",
                {"model.roll_coordinates"}
                | {f"model.backbone.{x}" for x in ("type", "with_coords", "logit_norm")}
                | {f"model.backbone.{x}" for x in ("temperature", "checkpoint")},
            )
            for s in ("mosaic", "folder")
        ),
        *(
            (f"sgseg_diffgcn_{m}_{s}", f"sgseg_diffgcn_slic_{s}", {"model.backbone.method"})
            for m in ("fh", "grid", "seeds")
            for s in ("mosaic", "folder")
        ),
    ],
)
def test_variant_differs_on_its_axis(name: str, parent: str, expected: set[str]) -> None:
    """An ablation changes what its name says and nothing else."""
    assert changes(name, parent) == expected


@pytest.mark.parametrize(
    ("name", "rates", "superpixels", "knn", "classes", "bands", "batch", "alpha", "beta", "gamma"),
    [
        ("sgseg_diffgcn_coco15", (1e-5, 5e-4, 5e-6), 200, 20, 15, 3, 64, 2, 5, 1),
        ("sgseg_diffgcn_coco3", (1e-5, 5e-4, 5e-5), 100, 20, 3, 3, 64, 2, 5, 1),
        ("sgseg_diffgcn_potsdam", (5e-5, 1e-4, 1e-6), 100, 20, 6, 4, 32, 1, 5, 0.5),
        ("sgseg_diffgcn_potsdam3", (5e-5, 5e-4, 5e-6), 100, 20, 3, 4, 32, 1, 5, 0.5),
    ],
)
def test_table_12(
    name: str,
    rates: tuple[float, ...],
    superpixels: int,
    knn: int,
    classes: int,
    bands: int,
    batch: int,
    alpha: float,
    beta: float,
    gamma: float,
) -> None:
    """Table 12 and Appendix A stand in the four main configs."""
    config = load(name)
    model = config.model
    lr = config.optim_wrapper.paramwise_cfg.lr
    assert (lr.backbone, lr.neck, lr.decode_head) == rates
    assert model.backbone.num_superpixels == superpixels
    assert model.neck.knn == knn
    assert model.decode_head.num_classes == classes
    assert model.data_preprocessor.bands == bands
    assert config.train_dataloader.batch_size == batch
    losses = model.losses
    weights = (
        losses.smoothness.weight,
        losses.superpixel_reconstruction.weight,
        losses.edge.weight,
    )
    assert weights == (alpha, beta, gamma)


def test_arguments_reach_every_place(tmp_path: Path) -> None:
    """Each argument sets all places that depend on it."""
    (tmp_path / "labels").mkdir()
    config = build_config(
        CONFIGS[0].with_name("sgseg_diffgcn_folder.py"),
        data=tmp_path,
        num_classes=7,
        seed=3,
        amp=True,
        value_range=(0, 10200),
    )
    loaders = (config.train_dataloader, config.val_dataloader, config.test_dataloader)
    assert {loader.dataset.root for loader in loaders} == {str(tmp_path)}
    assert {tuple(loader.dataset.value_range) for loader in loaders} == {(0, 10200)}
    assert config.model.decode_head.num_classes == 7
    assert config.val_evaluator.num_clusters == config.test_evaluator.num_clusters == 7
    assert config.randomness.seed == config.model.seed == 3
    assert config.optim_wrapper.type.endswith("AmpOptimWrapper")


@pytest.mark.parametrize("bands", [1, 4, 6])
@pytest.mark.parametrize("name", FOLDER)
def test_bands_of_a_folder_reach_every_place(name: str, bands: int) -> None:
    """--bands sets the data sets and the model, at the config's size and at a preset."""
    path = CONFIGS[0].with_name(f"{name}.py")
    for preset in ("tiny", None) if "paper" not in name else ("tiny",):
        config = with_small_features(build_config(path, bands=bands, preset=preset))
        assert {config[f"{x}_dataloader"].dataset.bands for x in ("train", "val", "test")} == {
            bands
        }
        model = MODELS.build(config.model)
        model.stage = stages_of(config)[-1][1]
        losses = model.loss(torch.rand(2, bands, 32, 32))
        sum(value for key, value in losses.items() if "loss" in key).backward()


def test_bands_that_do_not_fit_say_so() -> None:
    """None at all, and a data set that has its own."""
    with pytest.raises(ValueError, match="at least one"):
        build_config(CONFIGS[0].with_name("sgseg_diffgcn_folder.py"), bands=0)
    with pytest.raises(ValueError, match="units of its own"):
        build_config(CONFIGS[0].with_name("sgseg_diffgcn_mosaic.py"), value_range=(0, 1))
    with pytest.raises(ValueError, match="bands of its own"):
        build_config(CONFIGS[0].with_name("sgseg_diffgcn_potsdam.py"), bands=3)


def test_a_run_too_short_for_its_schedule_says_so() -> None:
    """Two epochs are all superpixels in the practical recipe; three is the least."""
    path = CONFIGS[0].with_name("sgseg_diffgcn_mosaic.py")
    with pytest.raises(ValueError, match="max_epochs to 3 or more"):
        build_config(path, options={"train_cfg.max_epochs": 2})
    assert build_config(path, options={"train_cfg.max_epochs": 3}).train_cfg.max_epochs == 3


@pytest.mark.parametrize("preset", ["paper", "small", "tiny"])
@pytest.mark.parametrize("name", [MAIN, "sgseg_nognn_coco15", "sgseg_nospnn_coco15"])
def test_presets_reach_every_width(name: str, preset: str) -> None:
    """A model of any preset, with any part left out, builds and takes a step."""
    config = build_config(CONFIGS[0].with_name(f"{name}.py"), preset=preset)
    model = MODELS.build(config.model)
    with as_fake(model):
        losses = model.loss(torch.empty(2, 3, 64, 64))
        sum(value for key, value in losses.items() if "loss" in key).backward()


@pytest.mark.parametrize("data", ["mosaic", "folder"])
@pytest.mark.parametrize("method", ["slic", "fh", "grid"])
def test_fixed_superpixels_step_from_the_first_epoch(method: str, data: str) -> None:
    """No superpixel stage, no loss without a gradient, no coordinates; presets reach it too."""
    for preset in (None, "tiny"):
        path = CONFIGS[0].with_name(f"sgseg_diffgcn_{method}_{data}.py")
        config = build_config(path, preset=preset)
        assert stages_of(config) == [(0, "segmentation")]
        assert config.param_scheduler[0].begin == 0
        model = MODELS.build(config.model)
        model.stage = "segmentation"
        losses = model.loss(torch.rand(2, 3, 32, 32))
        assert [name for name in losses if "loss" in name] == ["loss_mutual_information"]
        losses["loss_mutual_information"].backward()
        assert model.backbone.num_superpixels == 32


def test_the_paper_preset_changes_nothing() -> None:
    """The sizes of Tables 7-10 are those of the paper's config; only spelt-out defaults differ."""
    with_preset = build_config(CONFIGS[0].with_name(f"{MAIN}.py"), preset="paper")
    one, other = flat(load(MAIN).to_dict()), flat(with_preset.to_dict())
    assert {k for k in one.keys() & other.keys() if str(one[k]) != str(other[k])} == set()
    assert other.keys() - one.keys() == {".model.backbone.stride"}


def test_presets_shrink() -> None:
    """paper > small > tiny in arithmetic, by far."""
    costs = []
    for preset in ("paper", "small", "tiny"):
        model = MODELS.build(
            build_config(CONFIGS[0].with_name(f"{MAIN}.py"), preset=preset).model
        ).eval()
        with as_fake(model):
            costs.append(flops(lambda model=model: model.infer(torch.empty(1, 3, 128, 128))))
    assert costs[0] > 10 * costs[1] > 20 * costs[2]


def test_unknown_presets(tmp_path: Path) -> None:
    """A missing preset lists those there are; one that states no sizes, or a slip, is refused."""
    with pytest.raises(FileNotFoundError, match="choose paper, small, tiny"):
        build_config(CONFIGS[0], preset="huge")
    mine = tmp_path / "mine.py"
    mine.write_text("preset = dict(num_superpixels=8)")
    with pytest.raises(ValueError, match="a preset states sizes"):
        build_config(CONFIGS[0], preset=str(mine))
    mine.write_text("sizes = dict(GraphNeck=dict(channel=8))")
    with pytest.raises(ValueError, match="did you mean model.neck.channels"):
        build_config(CONFIGS[0], preset=str(mine))
    mine.write_text("sizes = dict(GraphNeck=dict(channels=8), Unused=dict(width=3))")
    assert build_config(CONFIGS[0], preset=str(mine)).model.neck.channels == 8
