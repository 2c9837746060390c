"""Overrides that would do nothing, or stop a run later, are refused in one sentence."""

from argparse import ArgumentParser
from typing import Any

import numpy as np
import pytest
import torch
from mmengine.config import Config

from sgseg.cli.options import OptionsAction
from sgseg.engine import ModuleLRConstructor
from sgseg.evaluation import HungarianMetric
from sgseg.training import build_config
from tests.conftest import ROOT


def built(**arguments: Any) -> Config:
    """The config of the demo."""
    return build_config(ROOT / "configs/sgseg/sgseg_diffgcn_mosaic.py", **arguments)


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("optim_wrapper.paramwise_cfg.norm_decay_mult", 0, "it has lr"),
        ("optim_wrapper.paramwise_cfg.custom_keys.neck.lr_mult", 0, "it has lr"),
        ("optim_wrapper.optimizer.paramwise_cfg", 1, "has no key 'paramwise_cfg'"),
        ("optim_wrapper.optimizer.lr", 1, "set optim_wrapper.paramwise_cfg.lr.PART"),
        ("optim_wrapper.optimizer.type", "Adamm", "did you mean Adam"),
        ("optim_wrapper.clip_grad.maxnorm", 1.0, "optim_wrapper.clip_grad.max_norm"),
        ("optim_wrapper.constructor", "DefaultOptimWrapperConstructor", "ModuleLRConstructor"),
        ("optim_wrapper.accumulative_counts", 0, "whole number"),
        ("self", 3, "no key 'self'"),
        ("cfg", "x", "no key 'cfg'"),
        ("compile", True, "cannot be compiled"),
        ("preset_reference", 1, "--preset"),
        ("data_preprocessor.type", "x", "model.data_preprocessor"),
        ("seed", 3, "randomness.seed, or --seed"),
        ("model.losses.clusterin", None, "did you mean model.losses.clustering"),
        ("default_hooks.picture", None, "did you mean default_hooks.pictures"),
        ("stage_hook.stages", [(0, "joint")], "set default_hooks.stage.stages"),
        ("env_cfg.dist_cfg.bogus", 3, "no key 'bogus'"),
        ("train_dataloader.sampler.type", "InfiniteSampler", "never ends"),
        ("train_dataloader.batch_size", 0, "whole number of one or more"),
        ("train_dataloader.batch_size", -1, "whole number of one or more"),
        ("total_batch_size", "foo", "whole number of one or more"),
        ("total_batch_size", -4, "whole number of one or more"),
        ("train_cfg.max_epochs", "abc", "whole number of one or more"),
        ("train_cfg.type", "IterBasedTrainLoop", "train_cfg.max_iters is not set"),
        ("randomness.seed", -1, "whole number of 0 to"),
        ("default_hooks.checkpoint.save_best", "acc", "choose one of accuracy, miou"),
        ("log_level", "LOUD", "DEBUG, INFO"),
        ("auto_scale_lr.enable", True, "auto_scale_lr.base_batch_size"),
        ("custom_imports.imports", "nonesuch", "Failed to import nonesuch"),
        ("lr", 0.1, "set optim_wrapper.paramwise_cfg.lr.PART"),
        ("default_hooks.pictures", 3, "default_hooks.pictures=None"),
        ("model.neck", 3, "model.neck.KEY="),
        ("param_scheduler.0", 3, "param_scheduler.0=None"),
        ("param_scheduler.44.begin", 3, "numbered 0 to 0"),
        ("param_scheduler.0._delete_", True, "an entry of a list"),
        ("custom_hooks.0.count", 3, "has no entries to set"),
        ("default_hooks.stage.stages.9", 3, "numbered 0 to 2"),
        ("default_hooks.stage.stages.0.x", 3, "has no keys"),
        ("optim_wrapper.optimizer._delete_", True, "set optim_wrapper.optimizer.type"),
        ("model.type", "IIC", "takes no neck, fusion"),
        ("model", None, "a config is of a model"),
    ],
)
def test_one_sentence_names_the_way_out(key: str, value: Any, said: str) -> None:
    """Before anything is built."""
    with pytest.raises(ValueError) as caught:
        built(options={key: value})
    assert said in str(caught.value) and "\n" not in str(caught.value)


def test_epochs_by_two_options_agree_or_are_refused() -> None:
    """The length is stated once."""
    with pytest.raises(ValueError, match="--epochs 3 and train_cfg.max_epochs=30 contradict"):
        built(epochs=3, options={"train_cfg.max_epochs": 30})
    assert built(epochs=3, options={"train_cfg.max_epochs": 3}).train_cfg.max_epochs == 3


@pytest.mark.parametrize("kind", ["SGD", "RMSprop", "AdamW", "Adagrad"])
@pytest.mark.parametrize("delete", [False, True])
def test_another_optimiser_is_built(kind: str, delete: bool) -> None:
    """What it shares with the old one stays, the rest goes; or all goes by ``_delete_``."""
    options: dict[str, Any] = {"optim_wrapper.optimizer.type": kind}
    options |= {"optim_wrapper.optimizer._delete_": True} if delete else {}
    options |= {"optim_wrapper.optimizer.weight_decay": 0.25}
    config = built(options=options).optim_wrapper
    model = torch.nn.ModuleDict({part: torch.nn.Linear(1, 1) for part in config.paramwise_cfg.lr})
    stated = {k: v for k, v in config.items() if k not in ("constructor", "paramwise_cfg")}
    optimizer = ModuleLRConstructor(stated, config.paramwise_cfg)(model).optimizer
    assert type(optimizer).__name__ == kind
    assert {group["weight_decay"] for group in optimizer.param_groups} == {0.25}
    assert ("betas" in config.optimizer) == (kind == "AdamW" and not delete)


def test_parts_are_left_out_and_entries_set() -> None:
    """Hooks by name, entries of lists by number; the others stay in their order."""
    whole = list(built().default_hooks)
    options = {"default_hooks.pictures": None, "default_hooks.stage": None}
    kept = built(options={**options, "param_scheduler.0": None})
    assert list(kept.default_hooks) == [n for n in whole if f"default_hooks.{n}" not in options]
    assert kept.param_scheduler == []
    config = built(options={"default_hooks.stage.stages.1": (3, "joint")})
    stages = config.default_hooks.stage.stages
    assert stages == [(0, "superpixel"), (3, "joint"), (31, "segmentation")]


def test_the_constructor_refuses_what_it_does_not_read() -> None:
    """From a config file, too."""
    with pytest.raises(ValueError, match="norm_decay_mult"):
        ModuleLRConstructor(dict(optimizer={}), dict(lr=dict(neck=1.0), norm_decay_mult=0.0))


def test_scores_are_those_of_an_evaluation() -> None:
    """The names that ``save_best`` may have."""
    found = HungarianMetric(2, 2).compute_metrics(np.array(2 * [[[3, 1], [1, 3]]]), 2)
    assert set(found) == set(HungarianMetric.SCORES)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("custom_hooks=[dict(type='EMAHook',momentum=0.001)]", "config file"),
        ("model={'a':1}", "config file"),
        ("default_hooks.stage.stages=[(0,joint)", "brackets"),
        ("nothing", "KEY=VALUE"),
    ],
)
def test_what_cannot_be_typed_is_said(
    capsys: pytest.CaptureFixture[str], given: str, said: str
) -> None:
    """Not a RecursionError, nor a string that looks like a dictionary."""
    parser = ArgumentParser()
    parser.add_argument("--cfg-options", nargs="+", action=OptionsAction)
    with pytest.raises(SystemExit):
        parser.parse_args(["--cfg-options", given])
    assert said in capsys.readouterr().err
    taken = parser.parse_args(["--cfg-options", "a.b=[(0,x),(2,y)]", "c=None", "d=1e-3"])
    assert taken.cfg_options == {"a.b": [(0, "x"), (2, "y")], "c": None, "d": 1e-3}
