"""Class probabilities by ONNX Runtime, of a file that needs neither config nor checkpoint."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .network import Statistics

ABOUT = "sgseg"
"""Key of the file's metadata under which :func:`export_onnx` keeps its description."""


class ONNXNetwork:
    """Probabilities by ONNX Runtime on the CPU.

    Args:
        path: file written by :func:`export_onnx`.
        threads: of ONNX Runtime; default as many as torch uses.

    Attributes:
        about: bands, classes, mapping and side that the export kept.

    Raises:
        FileNotFoundError: for a missing file.
        ValueError: for a file that sgseg did not export.
        RuntimeError: without ONNX Runtime.
    """

    def __init__(self, path: str | Path, threads: int | None = None) -> None:
        if not Path(path).is_file():
            raise FileNotFoundError(f"{path}: no such file; sgseg export writes one")
        try:
            import onnxruntime as ort
        except ImportError as error:
            raise RuntimeError(
                'ONNX Runtime is not installed: pip install "sgseg[export]"'
            ) from error
        options = ort.SessionOptions()
        options.log_severity_level = 3  # errors; it warns of the inputs that may be left out
        options.intra_op_num_threads = threads or torch.get_num_threads()
        try:
            session = ort.InferenceSession(str(path), options, ["CPUExecutionProvider"])
        except Exception as error:  # ONNX Runtime's errors have no base class of their own
            raise ValueError(f"{path}: ONNX Runtime cannot read it: {error}") from error
        text = session.get_modelmeta().custom_metadata_map.get(ABOUT)
        if text is None:
            raise ValueError(
                f"{path}: not exported by sgseg, it names no bands and classes; export the "
                "checkpoint with sgseg export"
            )
        self.session = session
        self.about: dict[str, Any] = json.loads(text)
        self.bands: int = self.about["bands"]
        self.standardises: bool = self.about["standardise"] == "image"

    def __call__(self, images: Tensor, statistics: Statistics | None = None) -> Tensor:
        """Probabilities (B, K, H, W) float32 of ``images`` (B, C, H, W) in [0, 1].

        Raises:
            ValueError: for a size other than the one the file was exported for.
        """
        given = {"image": np.ascontiguousarray(images.numpy())}
        if statistics is not None:
            given |= dict(mean=statistics[0].numpy(), deviation=statistics[1].numpy())
        size = self.about["size"]
        if size and tuple(images.shape[2:]) != tuple(size):
            raise ValueError(
                f"exported for images of {size[0]} x {size[1]} pixels, got "
                f"{images.shape[2]} x {images.shape[3]}; export without --height and --width"
            )
        return torch.from_numpy(self.session.run(["probability"], given)[0])

    def state(self, images: Tensor, statistics: Statistics | None = None) -> None:
        """Nothing but probabilities leaves the exported graph."""
        return None
