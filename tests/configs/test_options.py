"""What is set on the command line takes effect, or is refused with the key that does."""

from pathlib import Path
from typing import Any

import pytest
from mmengine.config import Config

from sgseg.training import build_config
from sgseg.training.length import stages_of, untrained
from tests.configs.test_own_files import ALL

CONFIGS = Path(__file__).parents[2] / "configs" / "sgseg"


def built(name: str = "sgseg_diffgcn_mosaic", **arguments: Any) -> Config:
    """A config by its name."""
    return build_config(CONFIGS.parent / name.split("_")[0] / f"{name}.py", **arguments)


@pytest.mark.parametrize(
    ("key", "nearest"),
    [
        ("optim_wraper.optimizer.lr", "optim_wrapper.optimizer.lr"),
        ("optim_wrapper.optimiser.lr", "optim_wrapper.optimizer.lr"),
        ("optim_wrapper.optimizer.weight_decai", "optim_wrapper.optimizer.weight_decay"),
        ("model.neck.knm", "model.neck.knn"),
        ("model.neck.block.typ", "model.neck.block.type"),
        ("model.backbone.num_superpixel", "model.backbone.num_superpixels"),
        ("model.losses.smoothnes.weight", "model.losses.smoothness.weight"),
        ("model.losses.smoothness.weigt", "model.losses.smoothness.weight"),
        ("train_dataloader.batchsize", "train_dataloader.batch_size"),
        ("train_dataloader.dataset.lnth", "train_dataloader.dataset.length"),
        ("train_dataloader.sampler.shufflee", "train_dataloader.sampler.shuffle"),
        ("train_cfg.max_epoch", "train_cfg.max_epochs"),
        ("param_scheduler.0.begn", "param_scheduler.0.begin"),
        ("default_hooks.checkpoint.interva", "default_hooks.checkpoint.interval"),
        ("default_hooks.chpoint.interval", "default_hooks.checkpoint.interval"),
        ("val_evaluator.num_cluster", "val_evaluator.num_clusters"),
        ("randomness.sead", "randomness.seed"),
        ("optim_wrapper.paramwise_cfg.lr.nek", "optim_wrapper.paramwise_cfg.lr.neck"),
        ("default_hooks.stage.stage", "default_hooks.stage.stages"),
        ("default_hooks.pictures.cout", "default_hooks.pictures.count"),
        ("default_hooks.stag.stages", "default_hooks.stage.stages"),
    ],
)
def test_a_misspelt_key_is_refused_with_the_nearest(key: str, nearest: str) -> None:
    """At every level: the top, a loader, an optimiser, a loss, a hook, a second name of a hook."""
    with pytest.raises(ValueError) as caught:
        built(options={key: 1})
    assert f"--cfg-options {key}: " in str(caught.value)
    assert f"did you mean {nearest}?" in str(caught.value)


def test_hooks_and_rates_are_reached_by_their_names() -> None:
    """Whatever a config holds has one name, on the command line as in files."""
    options = {
        "optim_wrapper.paramwise_cfg.lr.neck": 0.125,
        "default_hooks.stage.stages": [(0, "joint")],
        "default_hooks.pictures.count": 3,
        "param_scheduler.0.begin": 0,
    }
    config = built(options=options)
    assert config.optim_wrapper.paramwise_cfg.lr.neck == 0.125
    assert stages_of(config) == [(0, "joint")]
    assert config.default_hooks.pictures.count == 3 and config.param_scheduler[0].begin == 0
    kmeans = built("kmeans_mosaic", options={"default_hooks.clustering.pixels": 1234})
    assert kmeans.default_hooks.clustering.pixels == 1234


def test_keys_of_what_is_not_there(tmp_path: Path) -> None:
    """They are said, not left to an error from the depth."""
    (tmp_path / "images").mkdir()
    with pytest.raises(ValueError, match="no val_dataloader .nothing is scored without labels/"):
        built("sgseg_diffgcn_folder", data=tmp_path, options={"val_dataloader.num_workers": 0})
    with pytest.raises(ValueError, match="no model.neck"):
        built("sgseg_nognn_coco15", options={"model.neck.knn": 3})


def test_a_part_that_two_loaders_share_is_set_in_one() -> None:
    """Files say ``test_dataloader = val_dataloader``; an override of one leaves the other."""
    config = built(options={"val_dataloader.batch_size": 7})
    assert (config.val_dataloader.batch_size, config.test_dataloader.batch_size) == (7, 64)


def test_what_is_new_and_read_is_taken() -> None:
    """Arguments that a config leaves at their default, new losses and hooks, other types."""
    config = built(
        options={
            "model.neck.block.type": "DGCNNBlock",
            "model.losses.edge": dict(type="EdgeLoss", weight=0.5),
            "optim_wrapper.clip_grad": dict(max_norm=1.0),
            "train_dataloader.prefetch_factor": 4,
            "default_hooks.early_stopping": dict(type="EarlyStoppingHook", monitor="accuracy"),
            "model.losses.smoothness": None,
            "resume": False,
            "custom_imports.imports": ["math"],
        }
    )
    assert config.model.losses.edge.weight == 0.5 and config.model.losses.smoothness is None
    assert config.default_hooks.early_stopping.monitor == "accuracy"


def test_a_misspelt_name_in_a_file_is_refused(tmp_path: Path) -> None:
    """A file's own variables stay its own; one letter off a key of ours is a slip."""
    mine = tmp_path / "mine.py"
    Config.fromfile(CONFIGS / "sgseg_diffgcn_mosaic.py").dump(mine)
    text = mine.read_text()
    mine.write_text(text + "\nmy_notes = dict(a=1)\n")
    assert build_config(mine).my_notes.a == 1
    mine.write_text(text.replace("optim_wrapper =", "optim_wraper ="))
    with pytest.raises(ValueError, match="`optim_wraper`.*`optim_wrapper`"):
        build_config(mine)


@pytest.mark.parametrize(
    ("name", "ratios"),
    [
        ("sgseg_diffgcn_coco15", (1, 1)),
        ("sgseg_diffgcn_n50_coco15", (1 / 4, 1)),
        ("sgseg_diffgcn_n400_coco15", (2, 1)),
        ("sgseg_diffgcn_k5_coco15", (1, 1 / 4)),
        ("sgseg_diffgcn_k40_coco15", (1, 2)),
        ("sgseg_diffgcn_mosaic", (1, 1)),
        ("sgseg_diffgcn_paper_folder", (1, 1)),
    ],
)
@pytest.mark.parametrize("preset", ["small", "tiny"])
def test_a_preset_keeps_the_ablation(name: str, ratios: tuple[float, float], preset: str) -> None:
    """A quarter of the recipe's N is a quarter of the preset's, and so for k, as in tables."""
    config = built(name, preset=preset)
    sizes = Config.fromfile(CONFIGS.parent / "_base_" / "presets" / f"{preset}.py").sizes
    wanted_n = max(2, round(ratios[0] * sizes.SPNN.num_superpixels))
    wanted_k = min(max(1, round(ratios[1] * sizes.GraphNeck.knn)), wanted_n - 1)
    assert config.model.backbone.num_superpixels == wanted_n
    assert config.model.neck.knn == wanted_k


def test_ablations_of_a_preset_differ() -> None:
    """The rows of the ablations of N and k are different models at preset small."""
    sizes = {
        name: (config.model.backbone.num_superpixels, config.model.neck.knn)
        for name in ("n50", "n100", "n400", "k5", "k10", "k40")
        for config in [built(f"sgseg_diffgcn_{name}_coco15", preset="small")]
    }
    assert len(set(sizes.values())) == len(sizes)


@pytest.mark.parametrize("path", ALL, ids=lambda path: path.stem)
def test_one_epoch_of_every_config(path: Path) -> None:
    """``--epochs 1`` is a trial of any config: its main stage, evaluated, rates set.

    That is the head's where there is one, for what follows only tries to better it, else the last.
    """
    config = build_config(path, epochs=1)
    assert config.train_cfg.max_epochs == 1 and config.train_cfg.get("val_begin", 1) == 1
    names = [name for _, name in stages_of(build_config(path))]
    assert stages_of(config) == [(0, "head" if "head" in names else names[-1])]


def test_more_epochs_keep_the_proportions() -> None:
    """Twice the epochs: stages, rates and evaluations begin twice as late."""
    plain = built()
    longer = built(epochs=2 * plain.train_cfg.max_epochs)
    one, two = stages_of(plain), stages_of(longer)
    assert [2 * start for start, _ in one] == [start for start, _ in two]
    assert longer.param_scheduler[0].begin == 2 * plain.param_scheduler[0].begin
    with pytest.raises(ValueError, match="--epochs 0"):
        built(epochs=0)


@pytest.mark.parametrize("epochs", [1, 9, 10])
def test_a_run_that_ends_before_its_stages_says_so(epochs: int) -> None:
    """It trains superpixels alone and ends with a random head; the way out is named."""
    (said,) = untrained(built("sgseg_diffgcn_coco15", options={"train_cfg.max_epochs": epochs}))
    assert "decode_head, neck will stay as initialised" in said and f"--epochs {epochs}" in said


def test_only_what_is_left_untrained_is_said() -> None:
    """Superpixels by themselves are, IIC's second head in one epoch is; whole runs are not."""
    alone = {"default_hooks.stage.stages": [(0, "superpixel")], "param_scheduler.0.begin": 0}
    (said,) = untrained(built(options=alone))
    assert "decode_head" in said and "--epochs" not in said
    assert "trains auxiliary_head alone: decode_head" in untrained(built("iic_mosaic", epochs=1))[0]
    for path in ALL:
        assert len(untrained(build_config(path))) == (path.parent.name == "superpixels")
