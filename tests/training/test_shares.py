"""`--shares`: every place that depends on it is set, or one sentence says why not."""

from __future__ import annotations

from typing import Any

import pytest

from sgseg.registry import MODELS
from sgseg.training import build_config


@pytest.mark.parametrize("name", ["sgseg_diffgcn_folder", "ac_folder", "iic_folder"])
def test_shares_say_the_number_of_clusters_too(name: str) -> None:
    """Head, evaluators and the loss of the predicting head; IIC's other head has its own."""
    config = build_config(name, shares=[0.15, 0.65, 0.2])
    assert config.model.decode_head.num_classes == config.val_evaluator.num_clusters == 3
    told = {key for key, term in config.model.losses.items() if term.get("shares")}
    assert told == {"decode_head"} if name == "iic_folder" else {"mutual_information"}
    (term,) = (MODELS.build(config.model.losses[key]) for key in told)
    assert term.shares == pytest.approx((0.65, 0.2, 0.15))
    assert "shares" in config.default_hooks


def test_nothing_told_is_nothing_changed() -> None:
    """Without shares no hook and no key of theirs stand in a config."""
    config = build_config("ac_folder")
    assert "shares" not in config.default_hooks
    assert "shares" not in config.model.losses.mutual_information


@pytest.mark.parametrize(
    ("name", "arguments", "said"),
    [
        ("kmeans_folder", dict(shares=[0.5, 0.5]), "has no MutualInformationLoss"),
        ("infoseg_folder", dict(shares=[0.5, 0.5]), "has no MutualInformationLoss"),
        ("ac_folder", dict(shares=[0.5, 0.5], num_classes=3), "contradict each other"),
        ("ac_folder", dict(shares=[0.5, 0.2]), "their sum is 0.7"),
        ("ac_folder", dict(shares=[0.5, -0.5, 1]), "a part above 0"),
    ],
)
def test_what_shares_cannot_say_is_refused(name: str, arguments: Any, said: str) -> None:
    """Another method, another number, no whole, less than nothing."""
    with pytest.raises(ValueError, match="--shares") as caught:
        build_config(name, **arguments)
    assert said in str(caught.value)
