"""Frozen features: what timm's networks give, of any image, kept on disk, never trained."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor

from sgseg.models import FrozenFeatures, ImagePreprocessor, PixelKMeans, SGSeg
from sgseg.models.backbones.timm_network import timm_network
from sgseg.ops.superpixel import pool
from tests.timm_at_hand import SMALL, demand_timm

timm = demand_timm()

NAME, ARGUMENTS = SMALL["model"], SMALL["model_args"]
HEAD = dict(type="ACHead", num_classes=3, base_channels=4, multipliers=(1, 1))
GRID = dict(type="FixedSuperpixels", num_superpixels=6, method="grid")
UNIT = dict(type="ImagePreprocessor", standardise="none")
FROZEN = dict(type="FrozenFeatures", **SMALL)


def small(**changes: Any) -> FrozenFeatures:
    """A random transformer of 24 channels, patches of 16 pixels."""
    return FrozenFeatures(**(SMALL | changes)).eval()


@pytest.fixture(name="trained", scope="module")
def trained_weights() -> dict[str, Tensor]:
    """Weights that are not those of ``random``."""
    torch.manual_seed(7)
    return timm.create_model(NAME, num_classes=0, **ARGUMENTS).state_dict()


def tokens(model: FrozenFeatures, image: Tensor) -> Tensor:
    """Reference: timm's own last tokens of a [0, 1] image, those of no patch left out."""
    network = model.network
    known = zip(network.pretrained_cfg["mean"], network.pretrained_cfg["std"], strict=True)
    seen = torch.stack([(image[:, c] - m) / s for c, (m, s) in enumerate(known)], 1)
    found = network.forward_features(seen)[:, network.num_prefix_tokens :]  # (B, hw, D)
    height, width = (side // 16 for side in image.shape[2:])
    return found.transpose(1, 2).unflatten(2, (height, width))


def test_they_are_timms_patch_tokens() -> None:
    """Square and not; on the pixels bilinearly; with a mean square of one unless said."""
    image = torch.rand(2, 3, 32, 48)
    model = small(normalised=False)
    expected = tokens(model, image)
    torch.testing.assert_close(model(image), expected)
    enlarged = F.interpolate(expected, (32, 48), mode="bilinear")
    torch.testing.assert_close(model.on_pixels(image), enlarged)
    found = small()(image)
    torch.testing.assert_close(found.square().mean(1), torch.ones(2, 2, 3))
    torch.testing.assert_close(F.cosine_similarity(found, expected), torch.ones(2, 2, 3))


@pytest.mark.parametrize(
    ("size", "enlarge", "seen"),
    [((20, 33), 1, (32, 48)), ((5, 5), 1, (16, 16)), ((24, 40), 2, (48, 80))],
)
def test_any_size(size: tuple[int, int], enlarge: float, seen: tuple[int, int]) -> None:
    """The image is enlarged to whole patches, so that the map lies square on it."""
    image, model = torch.rand(1, 3, *size), small(normalised=False, enlarge=enlarge)
    expected = tokens(model, F.interpolate(image, seen, mode="bilinear"))
    torch.testing.assert_close(model(image), expected)


@pytest.mark.parametrize(("layer", "patch"), [(1, 8), (-1, 32)])
def test_convolutional_networks(layer: int, patch: int) -> None:
    """A stage is a layer; its stride is the side of a patch."""
    sizes = dict(depths=(1, 1, 1, 1), dims=(4, 8, 12, 16))
    model = FrozenFeatures("convnext_atto", "random", layer=layer, model_args=sizes)
    assert (model.patch, model.out_channels) == (patch, sizes["dims"][layer])
    found = model(torch.rand(1, 3, 40, 64))
    assert found.shape[2:] == (-(-40 // patch), 64 // patch)


@pytest.mark.parametrize("standardise", ["fixed", "set"])
def test_standardisation_is_undone(standardise: Any) -> None:
    """Whatever scale the rest of the model reads, the network sees [0, 1]; so does a copy."""
    values = dict(mean=(0.3, 0.4, 0.5), std=(0.2, 0.1, 0.3)) if standardise == "fixed" else {}
    preprocessor = ImagePreprocessor(standardise=standardise, **values)
    image, model = torch.rand(1, 3, 32, 32), small()
    expected = model(image)
    model.read_from(preprocessor)
    torch.testing.assert_close(model(preprocessor.normalise(image)), expected)
    segmentor = SGSeg(
        HEAD, data_preprocessor=dict(UNIT, standardise="set"), frozen=FROZEN, frozen_to=("head",)
    )
    again = copy.deepcopy(segmentor).eval()
    again.data_preprocessor.set_statistics(torch.rand(3), torch.rand(3) + 0.1)
    seen = again.data_preprocessor.normalise(image)
    torch.testing.assert_close(again.frozen(seen), expected, atol=1e-4, rtol=1e-4)
    with pytest.raises(ValueError, match="standardise = 'image' takes out every image's own light"):
        SGSeg(HEAD, frozen=FROZEN, frozen_to=("head",))


def test_three_of_more_bands() -> None:
    """The first three, three by number, or one three times."""
    image = torch.rand(1, 5, 32, 32)
    one = small(in_channels=1)(image[:, :1])
    torch.testing.assert_close(one, small()(image[:, [0, 0, 0]]))
    torch.testing.assert_close(small(in_channels=5)(image), small()(image[:, :3]))
    chosen = small(in_channels=5, bands=(3, 2, 1))(image)
    torch.testing.assert_close(chosen, small()(image[:, [3, 2, 1]]))
    torch.testing.assert_close(small(in_channels=5, bands=[0])(image), one)
    for count, bands in ((2, None), (3, (0, 1)), (4, (1, 2, 4)), (4, (-1, 0, 1))):
        with pytest.raises(ValueError, match=f"of {count} bands; give three numbers of 0 to"):
            small(in_channels=count, bands=bands)
    with pytest.raises(ValueError, match=r"expected images \(B, 3, H, W\)"):
        small()(image)


@pytest.mark.parametrize("frozen_to", [("nodes",), ("head",), ("nodes", "head")])
def test_nothing_of_it_trains(frozen_to: Any) -> None:
    """No gradient, evaluation mode, nothing in a checkpoint but the digest; the rest learns."""
    model = SGSeg(
        HEAD,
        GRID,
        dict(type="GraphNeck", channels=4, num_blocks=1, knn=3),
        dict(mi=dict(type="MutualInformationLoss")),
        UNIT,
        frozen=FROZEN,
        frozen_to=frozen_to,
    ).train()
    assert not any(module.training for module in model.frozen.network.modules())
    state = SGSeg.describe(model, torch.rand(2, 3, 32, 32))
    assert state.nodes.shape[2] == 2 + 3 + 9 + 24 * ("nodes" in frozen_to)
    if "nodes" in frozen_to:
        pooled = pool(state.superpixels.assignment, model.frozen.on_pixels(state.image))
        torch.testing.assert_close(state.nodes[..., -24:], pooled)
    assert model.head_input(state).shape[1] == 3 + 4 + 24 * ("head" in frozen_to)
    model.loss(torch.rand(2, 3, 24, 33))["loss_mi"].backward()
    moved = {name.split(".")[0] for name, p in model.named_parameters() if p.grad is not None}
    assert moved == {"neck", "decode_head"}
    saved = model.state_dict()
    assert [key for key in saved if key.startswith("frozen")] == ["frozen._extra_state"]
    assert model.load_state_dict(saved).missing_keys == []


def test_a_head_reads_them_while_nodes_are_kept_out() -> None:
    """Stage ``head``: zeros in the place of node features, frozen ones where they always are."""
    parts = dict(fusion=dict(type="GatedFusion"), frozen=FROZEN, frozen_to=("head",))
    losses = dict(mi=dict(type="MutualInformationLoss"))
    model = SGSeg(HEAD, GRID, losses=losses, data_preprocessor=UNIT, **parts)
    model.stage = "head"
    assert not model.reads_nodes
    image = torch.rand(2, 3, 32, 32)
    x = model.head_input(model._begun(image))
    torch.testing.assert_close(x[:, -24:], model.frozen.on_pixels(image))
    assert x.shape[1] == model.head_channels and not x[:, 3:-24].any()
    assert model.loss(image)["loss_mi"].isfinite()


def test_where_they_cannot_go() -> None:
    """Nodes need superpixels, and there is no other part."""
    for frozen_to in (("nodes",), (), ("neck",)):
        with pytest.raises(ValueError, match="frozen_to = .*nodes only where a backbone"):
            SGSeg(HEAD, data_preprocessor=UNIT, frozen=FROZEN, frozen_to=frozen_to)


def test_a_superpixels_mean_is_its_pixels_feature() -> None:
    """K-Means over superpixels: one feature a region, the mean of its pixels'."""
    head = dict(type="CentroidHead", num_classes=2)
    model = PixelKMeans(head, UNIT, backbone=FROZEN, superpixels=GRID).eval()
    image = torch.rand(1, 3, 32, 32)
    found, own = model.features(image)[0], model.backbone.on_pixels(image)[0]
    owner = model.superpixels(image).assignment.argmax(1)[0]
    for region in owner.unique():
        expected = own[:, owner == region].mean(1, keepdim=True)
        torch.testing.assert_close(
            found[:, owner == region], expected.expand(-1, int((owner == region).sum()))
        )
    assert model.infer(image).probability.shape == (1, 2, 32, 32)


def test_weights_of_a_file(tmp_path: Path, trained: dict[str, Tensor]) -> None:
    """.pth and .safetensors, bare or wrapped: the same features and digest, which others refuse."""
    torch.save(trained, tmp_path / "bare.pth")
    torch.save(dict(state_dict=trained), tmp_path / "wrapped.pth")
    save_file(trained, tmp_path / "a.safetensors")
    models = [small(weights=str(path)) for path in sorted(tmp_path.iterdir())]
    assert len({model.weights_sha256 for model in models}) == 1
    image, other = torch.rand(1, 3, 32, 32), small()
    for model in models:
        assert torch.equal(
            model.network.patch_embed.proj.weight, trained["patch_embed.proj.weight"]
        )
        torch.testing.assert_close(model(image), models[0](image))
    assert other.weights_sha256 != models[0].weights_sha256
    with pytest.raises(ValueError, match="trained on features of weights .*give the file"):
        other.load_state_dict(models[0].state_dict())


def test_files_that_are_refused(tmp_path: Path, trained: dict[str, Tensor]) -> None:
    """Another network's, a part, code, nothing: a sentence each, none read in silence."""
    fewer = {key: value for key, value in trained.items() if "blocks.1" not in key}
    wider = {key: torch.cat([value, value]) for key, value in trained.items()}
    contents: dict[str, Any] = dict(fewer=fewer, wider=wider, code=dict(a=Path("x")))
    for name, content in contents.items():
        torch.save(content, tmp_path / f"{name}.pth")
    for name in contents:
        with pytest.raises(ValueError, match=rf"{NAME}: weights = .*{name}.pth (do not fit|lack)"):
            timm_network(NAME, tmp_path / f"{name}.pth", model_args=ARGUMENTS)
    with pytest.raises(FileNotFoundError, match="none.pth: no such file"):
        timm_network(NAME, tmp_path / "none.pth")


def test_nothing_is_fetched_unasked() -> None:
    """No weights, two sources, an unknown name."""
    with pytest.raises(ValueError, match="none are fetched unasked: set weights"):
        FrozenFeatures(NAME)
    with pytest.raises(ValueError, match="set one of them"):
        FrozenFeatures(NAME, "random", pretrained=True)
    with pytest.raises(ValueError, match="no such network; near it are .*vit_small_patch14_dinov2"):
        FrozenFeatures("vit_smal_patch14_dinov2", "random")
    with pytest.raises(ValueError, match="gives no map of features for layer 9"):
        small(layer=9)


def test_other_random_numbers_stay() -> None:
    """Building it draws nothing from the run's own."""
    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)
    small()
    assert torch.equal(torch.rand(3), expected)


def counted(model: FrozenFeatures) -> list[int]:
    """Images that the network will have seen, batch by batch."""
    seen: list[int] = []
    model.network.patch_embed.register_forward_hook(lambda *given: seen.append(len(given[1][0])))
    return seen


def test_the_cache(tmp_path: Path) -> None:
    """Each image once, across restarts; half precision always; only of the very same content."""
    images, model = torch.rand(3, 3, 32, 32), small(cache=tmp_path)
    seen = counted(model)
    first = model(images)
    assert seen == [3] and torch.equal(first, first.half().float())
    torch.testing.assert_close(first, small()(images), atol=2e-3, rtol=1e-3)
    again = small(cache=tmp_path)
    seen = counted(again)
    assert torch.equal(again(images.flip(0)), first.flip(0)) and seen == []
    next(tmp_path.rglob("*.npy")).write_bytes(b"half a fi")  # killed while it wrote
    assert torch.equal(again(images), first) and seen == [1]
    again(images.flip(3))
    assert seen == [1, 3]
    unlike = [small(cache=tmp_path, layer=0), small(cache=tmp_path, enlarge=2)]
    assert len({each.store.folder for each in (*unlike, model)}) == 3


def test_the_cache_knows_a_standardised_image(tmp_path: Path) -> None:
    """Its standardisation undone, an image of 8 bits is itself, to the last bit of its key."""
    image = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (2, 3, 16, 16), np.uint8))
    plain, model = small(cache=tmp_path), small(cache=tmp_path)
    plain(ImagePreprocessor.to_unit(image))
    preprocessor = ImagePreprocessor(standardise="set")
    preprocessor.set_statistics(torch.tensor([0.31, 0.42, 0.53]), torch.tensor([0.17, 0.23, 0.29]))
    model.read_from(preprocessor)
    seen = counted(model)
    model(preprocessor.normalise(image))
    assert seen == []


def test_training_leaves_no_cache(tmp_path: Path) -> None:
    """Random crops do not come again."""
    model = small(cache=tmp_path).train()
    model(torch.rand(1, 3, 32, 32))
    assert list(tmp_path.iterdir()) == []
