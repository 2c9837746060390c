"""Clusters divided by the features of their pixels: other clusters stay as they are."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from sgseg.inference import Segmenter
from sgseg.inference.export import export_onnx
from sgseg.inference.splits import Split, SplitNetwork, keys_after, name_table
from sgseg.training import build_config
from tests.conftest import ROOT
from tests.inference.models import save, small_config, small_model
from tests.inference.test_tiling import scene


def segmenter(path: Path, method: str) -> Segmenter:
    """A small model of a method, as training leaves it."""
    if method == "sgseg":
        config = small_config()
    else:
        sizes = {"model.decode_head.base_channels": 4} if method == "ac" else {}
        config = build_config(ROOT / f"configs/{method}/{method}_mosaic.py", options=sizes)
    model = small_model(config)
    if method == "kmeans":
        model.decode_head.set_centres(
            torch.tensor([[0.9, 0.2, 0.1], [0.3, 0.8, 0.2], [0.2, 0.1, 0.7]])
        )
    return Segmenter(save(model, path / "small.pth"), config, side=0)


METHODS = {"sgseg": "node features", "ac": "the last layer reads", "kmeans": "clustered: colours"}


@pytest.mark.parametrize("method", METHODS)
def test_no_pixel_leaves_its_cluster(tmp_path: Path, method: str) -> None:
    """Parts of a cluster together are the cluster, and each pixel is in the nearest of them."""
    plain, image = segmenter(tmp_path, method), scene(50, 61)
    network: Any = plain.network
    assert METHODS[method] in network.features_are
    before = plain(image).labels
    inputs = plain.inputs(plain.open(image))
    _, features = network.features(inputs)
    cluster = int(np.bincount(before.ravel()).argmax())
    flat = features[0].flatten(1).T  # (h w, D)
    centres = flat[:: len(flat) // 3][:3].float().cpu().numpy()
    split = Split(str(cluster), centres)
    values = [str(value) for value in range(len(plain.classes))]
    names = {key: key for key in keys_after(values, [split])}
    described = dict(cluster=split.key, centres=centres.tolist())
    plain.rename(names | dict(splits=[described]))
    after = np.array(plain.classes)[plain(image).labels]
    merged = np.array([name.split(".")[0] for name in after.ravel()])
    assert (merged == before.astype(str).ravel()).mean() >= 0.999
    if method == "kmeans":  # features of a model that nobody trained hardly differ
        far = torch.cdist(flat.float(), torch.from_numpy(centres)).argmin(1).numpy()
        inside = before.ravel() == cluster
        expected = np.array(split.parts)[far[inside]]
        assert (after.ravel()[inside] == expected).mean() >= 0.99
        assert len(set(expected)) > 1


def test_splits_need_a_checkpoint(tmp_path: Path) -> None:
    """An exported model has no features: one sentence says so, there and at the export."""
    model: Any = segmenter(tmp_path, "sgseg")
    with pytest.raises(ValueError, match="only a checkpoint gives"):
        SplitNetwork(lambda images: images, ["0"], [])  # type: ignore[arg-type]
    names = dict(zip("012", "abc", strict=True))
    names = {"0.1": "a", "0.2": "a"} | {key: name for key, name in names.items() if key != "0"}
    centres = np.eye(2, 4).tolist()
    model.rename(names | dict(splits=[dict(cluster="0", centres=centres)]))
    with pytest.raises(ValueError, match="a split cluster stays with the checkpoint"):
        export_onnx(model, tmp_path / "model.onnx", [])


def test_a_damaged_table_is_refused() -> None:
    """Splits of what is not there, and centres that are none."""
    classes = ["a", "b"]
    whole = {"0": "a", "1": "b"}
    assert name_table(whole, classes).names == whole
    with pytest.raises(ValueError, match="no cluster '5'"):
        name_table(whole | dict(splits=[dict(cluster="5", centres=[[0], [1]])]), classes)
    for centres in ([[0]], [[0], [float("nan")]], "x", None, [[0], [1, 2]]):
        with pytest.raises(ValueError, match="no longer as sgseg name wrote it"):
            name_table(whole | dict(splits=[dict(cluster="0", centres=centres)]), classes)
