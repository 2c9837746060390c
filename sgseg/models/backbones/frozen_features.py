"""FrozenFeatures: what a network trained elsewhere says of each patch of an image."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...io.array_store import ArrayStore
from ...io.digest import weights_sha256
from ...registry import MODELS
from .timm_network import timm_network

NETWORK = "network."


@MODELS.register_module()
class FrozenFeatures(nn.Module):
    r"""Features of a network of timm that stays as it is: DINO, DINOv2, DINOv3, ConvNeXt, ResNet.

    The network sees R, G, B in [0, 1] under its own normalisation, whatever the rest of the model
    sees: ``read_from`` names the preprocessor whose standardisation is undone first. The image is
    enlarged, bilinearly, to the next size that patches tile. Class and register tokens are left
    out.

    Nothing in it trains: no gradient, evaluation mode always, no entry in the optimiser. A
    checkpoint holds the digest of the weights, not the weights: opening it needs the file (or the
    hub's copy) again, and refuses another.

    Shapes: image (B, C, H, W) -> (B, D, h, w), the patches; :meth:`on_pixels` (B, D, H, W).

    Args:
        model: name in timm.
        weights: a local file, or ``random``; see :func:`.timm_network`.
        pretrained: let timm download the weights instead.
        layer: whose output is taken: a block of a transformer, a stage of a convolutional network,
            numbered from 0, or from the end by -1, -2 ...
        in_channels: bands C of the image.
        bands: which of them, from 0, are R, G and B to the network; one number: this band three
            times. Default: the first three, of an image of one band this one.
        enlarge: factor by which the network sees the image larger than it is. A patch of 16
            pixels then covers 16 / enlarge of the image's; cost grows by its square.
        normalised: bring every feature vector to a mean square of one, so that distances are
            those of angles, and channels on the scale of a standardised image.
        cache: folder that keeps features in half precision, by the content of the image. Only in
            evaluation mode, where images come again; crops of a training do not.
        model_args: further arguments of the network in timm.

    Attributes:
        out_channels: D.
        patch: pixels of the enlarged image a side of a patch.
        weights_sha256: digest of the network's weights.

    Raises:
        RuntimeError: without timm.
        ValueError: for a network without weights, without a map of features, for bands that are
            not there, or an argument out of range.
        FileNotFoundError: for a missing file of weights.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        model: str,
        weights: str | None = None,
        pretrained: bool = False,
        layer: int = -1,
        in_channels: int = 3,
        bands: Sequence[int] | None = None,
        enlarge: float = 1.0,
        normalised: bool = True,
        cache: str | Path | None = None,
        model_args: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()
        if enlarge <= 0:
            raise ValueError(f"FrozenFeatures: enlarge = {enlarge}; must be > 0")
        self.bands = _three_bands(bands, in_channels)
        self.in_channels, self.enlarge, self.normalised = in_channels, enlarge, normalised
        self.network: Any = timm_network(model, weights, pretrained, model_args)
        known: Any = self.network.pretrained_cfg
        for name in ("mean", "std"):
            values = torch.tensor(known[name]).view(-1, 1, 1)
            self.register_buffer(name, values, persistent=False)
        self.layer = layer
        self.patch, self.out_channels = self._measure(model)
        self.restore: Callable[[Tensor], Tensor] = lambda image: image
        self.weights_sha256 = ""
        if not self.mean.is_meta:
            self.weights_sha256 = weights_sha256(self.network.state_dict())
        told = (model, self.weights_sha256, layer, self.bands, enlarge, normalised)
        self._identity = repr((*told, sorted((model_args or {}).items())))
        self.store: ArrayStore | None = None
        if cache is not None:
            digest = hashlib.sha256(self._identity.encode()).hexdigest()
            self.store = ArrayStore(Path(cache, f"{model}-{digest[:12]}"))

    def read_from(self, preprocessor: Any) -> None:
        """Undo what ``preprocessor`` does to images.

        Raises:
            ValueError: for ``standardise="image"``, which cannot be undone.
        """
        if preprocessor.standardise == "image":
            raise ValueError(
                "FrozenFeatures: data_preprocessor.standardise = 'image' takes out every image's "
                "own light and colour, which these features were learned with; set it to 'set', "
                "'fixed' or 'none'"
            )
        self.restore = preprocessor.restore

    def forward(self, image: Tensor) -> Tensor:
        """Features of the patches of ``image`` (B, C, H, W), as the preprocessor gives it."""
        if image.dim() != 4 or image.shape[1] != self.in_channels:
            raise ValueError(
                f"FrozenFeatures: expected images (B, {self.in_channels}, H, W), got "
                f"{tuple(image.shape)}: set in_channels to the number of bands"
            )
        exporting = torch.compiler.is_compiling()  # inference_mode cannot be traced
        with torch.no_grad() if exporting else torch.inference_mode():
            unit = self.restore(image.detach())[:, list(self.bands)]  # (B, 3, H, W)
            if self.store is None or self.training or exporting:
                found = self._features(unit)
            else:
                found = self._kept(unit, self.store)
        return found.clone()  # autograd takes no tensor of inference_mode

    def on_pixels(self, image: Tensor) -> Tensor:
        """The same, enlarged bilinearly to every pixel: (B, D, H, W)."""
        return F.interpolate(self(image), image.shape[2:], mode="bilinear")

    def train(self, mode: bool = True) -> FrozenFeatures:
        """Note whether the model trains; the network never does."""
        super().train(mode)
        self.network.eval()
        return self

    def state_dict(self, *args: Any, **kwargs: Any) -> Any:
        """The digest of the weights alone."""
        prefix = kwargs.get("prefix", "")
        state = super().state_dict(*args, **kwargs)
        for key in [key for key in state if key.startswith(prefix + NETWORK)]:
            del state[key]
        return state

    def get_extra_state(self) -> Tensor:
        """(32,) uint8: digest of the network's weights."""
        return torch.frombuffer(bytearray.fromhex(self.weights_sha256), dtype=torch.uint8)

    def set_extra_state(self, state: Tensor) -> None:
        """Refuse a checkpoint that was trained on the features of other weights."""
        wanted = bytes(state.tolist()).hex()
        if wanted != self.weights_sha256:
            raise ValueError(
                f"The checkpoint was trained on features of weights {wanted[:12]}..., these are "
                f"{self.weights_sha256[:12]}...: give the file it was trained with (weights of "
                "FrozenFeatures)"
            )

    def _load_from_state_dict(self, state: dict[str, Any], prefix: str, *rest: Any) -> None:
        """Let the network, which no checkpoint holds, keep its weights."""
        own = self.network.state_dict(prefix=prefix + NETWORK)
        state.update(own)
        super()._load_from_state_dict(state, prefix, *rest)

    def _features(self, unit: Tensor) -> Tensor:
        """Features of R, G, B in [0, 1], (B, 3, H, W)."""
        sides = (max(1, math.ceil(side * self.enlarge / self.patch)) for side in unit.shape[2:])
        size = [self.patch * side for side in sides]
        if size != list(unit.shape[2:]):
            unit = F.interpolate(unit, size, mode="bilinear")
        found = self._map((unit - self.mean) / self.std).float()  # (B, D, h, w)
        if self.normalised:
            found = found * found.square().mean(1, keepdim=True).clamp_min(1e-12).rsqrt()
        return found

    def _map(self, x: Tensor) -> Tensor:
        maps = self.network.forward_intermediates(
            x, indices=[self.layer], norm=True, output_fmt="NCHW", intermediates_only=True
        )
        return maps[0]

    def _kept(self, unit: Tensor, store: ArrayStore) -> Tensor:
        """The same from the store, and into it; rounded to half precision either way."""
        keys = [self._key(single) for single in unit]
        found = {key: store.find(key) for key in keys}
        missing = [number for number, key in enumerate(keys) if found[key] is None]
        if missing:
            for number, made in zip(missing, self._features(unit[missing]), strict=True):
                half = made.cpu().numpy().astype(np.float16)
                store.keep(keys[number], half)
                found[keys[number]] = half
        maps = np.stack([found[key] for key in keys])  # (B, D, h, w)
        return torch.from_numpy(maps).to(unit.device).float()

    def _key(self, unit: Tensor) -> str:
        """Digest of one image (3, H, W) and of what is done with it.

        At 16 bits, so that an image whose standardisation was undone is itself again.
        """
        samples = (unit.clamp(0, 1) * 65535).round().to(torch.int32).cpu().numpy()
        digest = hashlib.sha256(f"{self._identity} {tuple(unit.shape)}".encode())
        digest.update(samples.astype("<u2").tobytes())
        return digest.hexdigest()

    def _measure(self, model: str) -> tuple[int, int]:
        """Side of a patch and number of channels, of a small image."""
        patch = getattr(getattr(self.network, "patch_embed", None), "patch_size", (64, 64))[0]
        side = patch * math.ceil(64 / patch)
        try:
            with torch.no_grad():
                found = self._map(self.mean.new_zeros(1, 3, side, side))  # (1, D, h, w)
        except Exception as error:  # of the network's own making
            raise ValueError(
                f"FrozenFeatures: {model} gives no map of features for layer {self.layer} and "
                f"images of any size ({error}); take a ViT, ConvNeXt or ResNet, and a layer it has"
            ) from error
        return side // found.shape[2], found.shape[1]


def _three_bands(bands: Sequence[int] | None, count: int) -> tuple[int, ...]:
    """Numbers of the bands that are R, G and B."""
    if bands is None and count in (1, 2):
        bands = (0,) * 3 if count == 1 else ()
    chosen = tuple(range(3) if bands is None else bands)
    chosen = chosen * 3 if len(chosen) == 1 else chosen
    if len(chosen) != 3 or not all(0 <= band < count for band in chosen):
        raise ValueError(
            f"FrozenFeatures: bands = {bands} of {count} bands; give three numbers of 0 to "
            f"{count - 1}, which are R, G and B to the network, or one, for all three"
        )
    return chosen
