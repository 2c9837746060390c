"""Label maps for images that nobody labelled, from a trained checkpoint."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from mmengine.config import Config
from mmengine.device import get_device

from ..datasets.files import find_images, read_image
from ..engine.checkpoint import load_checkpoint
from ..engine.visual import write_png
from ..registry import MODELS
from ..structures import SegState
from ..visualization import (
    draw_borders,
    features_as_rgb,
    overlay,
    palette,
    picture_strip,
    to_display,
)


class Segmenter:
    """A trained model for images of any size.

    Args:
        config: the config it was trained with.
        checkpoint: its checkpoint; read without running code in it.
        device: default a GPU if there is one.
        side: shorter side in pixels at which images are segmented; label maps come back at the
            image's own size. Default: the ``predict_side`` of the config, else no resizing.

    Attributes:
        classes: name of each value in the label maps; ``cluster_i`` where no evaluation has
            named the clusters.
    """

    def __init__(
        self,
        config: Config,
        checkpoint: str | Path,
        device: str | None = None,
        side: int | None = None,
    ) -> None:
        self.device = torch.device(device or get_device())
        self.side = side or config.get("predict_side")
        saved = load_checkpoint(checkpoint)
        self.model = MODELS.build(config.model)
        try:
            self.model.load_state_dict(saved["state_dict"])
        except RuntimeError as error:
            raise ValueError(
                f"{checkpoint} does not fit the model of this config (was it trained with other "
                f"--num-classes or another config?): {error}"
            ) from error
        self.model.to(self.device).eval()
        self.bands = self.model.data_preprocessor.bands
        clusters = config.model.decode_head.num_classes
        evaluation = saved.get("meta", {}).get("evaluation") or {}
        self.mapping, self.classes = _class_table(evaluation, clusters)

    @torch.inference_mode()
    def __call__(self, image: npt.NDArray[Any]) -> tuple[npt.NDArray[np.uint8], SegState]:
        """Segment one image.

        Args:
            image: (H, W, C) uint8, or float in [0, 1].

        Returns:
            Class of each pixel, (H, W) uint8, and the model's state at its working size.
        """
        inputs = torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1)))[None]
        inputs = inputs.float() / (1.0 if inputs.is_floating_point() else 255.0)  # (1, C, H, W)
        height, width = image.shape[:2]
        if self.side and self.side != min(height, width):
            factor = self.side / min(height, width)
            size = (round(height * factor), round(width * factor))
            inputs = F.interpolate(inputs, size, mode="bilinear", antialias=True)
        data = self.model.data_preprocessor(dict(inputs=inputs), False)
        state: SegState = self.model(data["inputs"], mode="tensor")
        assert state.probability is not None  # what mode "tensor" promises
        probability = F.interpolate(state.probability, (height, width), mode="bilinear")
        clusters = probability.argmax(1)[0].cpu().numpy()  # (H, W)
        return self.mapping[clusters], state

    def picture(self, image: npt.NDArray[Any], labels: npt.NDArray[Any], state: SegState) -> Any:
        """Input, superpixel borders, node features and labels side by side, RGB."""
        shown = to_display(image)
        row, titles = [shown], ["input"]
        if state.superpixels is not None and state.projected is not None:
            assignment = state.superpixels.assignment
            owner = assignment.argmax(1)[0].cpu().numpy().astype(np.int32)
            small = to_display(state.image[0].permute(1, 2, 0).cpu().numpy())
            features = features_as_rgb(state.projected[0].float().cpu().numpy())
            row += [draw_borders(small, owner), features]
            titles += ["superpixels", "node features"]
        row.append(overlay(shown, labels, palette(len(self.classes)), 0.6))
        return picture_strip([row], [*titles, "prediction"], side=240)


def segment_folder(
    segmenter: Segmenter, source: str | Path, out: str | Path
) -> Iterator[tuple[Path, dict[str, float]]]:
    """Segment an image or all images of a folder.

    Writes ``labels/NAME.png`` (class numbers at the image's size), ``pictures/NAME.png`` and
    ``classes.json`` below ``out``.

    Yields:
        Each image's path and the share of every class that occurs in it.

    Raises:
        FileNotFoundError: for a missing source; BadFileError for an unreadable image.
    """
    source, out = Path(source), Path(out)
    paths = [source] if source.is_file() else find_images(source)
    root = source.parent if source.is_file() else source
    for folder in ("labels", "pictures"):
        (out / folder).mkdir(parents=True, exist_ok=True)
    table = {str(number): name for number, name in enumerate(segmenter.classes)}
    (out / "classes.json").write_text(json.dumps(table, indent=1), encoding="utf-8")
    for path in paths:
        image = read_image(path, segmenter.bands)
        labels, state = segmenter(image)
        # The whole relative path in the name: a/x.jpg and b/x.png do not overwrite each other.
        name = "__".join(path.relative_to(root).parts).replace(".", "_")
        write_png(out / "labels" / f"{name}.png", np.repeat(labels[:, :, None], 3, 2)[:, :, :1])
        write_png(out / "pictures" / f"{name}.png", segmenter.picture(image, labels, state))
        values, counts = np.unique(labels, return_counts=True)
        shares = counts / labels.size
        yield path, {segmenter.classes[v]: float(s) for v, s in zip(values, shares, strict=True)}


def _class_table(
    evaluation: dict[str, Any], clusters: int
) -> tuple[npt.NDArray[np.uint8], list[str]]:
    """Cluster -> value in the label map, and the name of each value."""
    mapping = evaluation.get("mapping")
    if not mapping or len(mapping) != clusters:
        return np.arange(clusters, dtype=np.uint8), [f"cluster_{i}" for i in range(clusters)]
    names = [entry["name"] for entry in evaluation["per_class"]]
    table = np.empty(clusters, np.uint8)
    for cluster, matched in enumerate(mapping):
        if matched < 0:  # more clusters than classes: it keeps a value of its own
            names.append(f"cluster_{cluster}")
            matched = len(names) - 1
        table[cluster] = matched
    return table, names
