"""Net10a and the heads on it: sizes, fields of view, borders, nearest centres."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sgseg.models import CentroidHead, ClusterHead, InfoSegHead, Net10a, PatchPairHead


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def test_net10a_as_printed() -> None:
    """128 pixels become 60 rows of 512 channels; weights counted by hand; inputs RGB + 2."""
    with torch.device("meta"):
        model = Net10a()
    assert model(torch.empty(1, 3, 128, 128, device="meta")).shape == (1, 512, 60, 60)
    widths = (5, 64, 128, 256, 256, 512, 512)
    expected = sum(9 * a * b + 2 * b for a, b in pairwise(widths))
    assert sum(p.numel() for p in model.parameters()) == expected
    assert not any(conv.bias is not None for conv in model.modules() if isinstance(conv, nn.Conv2d))


@pytest.mark.parametrize(("pad_like_iic", "side"), [(True, 28), (False, 32)])
def test_padding_of_the_dilated_layers(pad_like_iic: bool, side: int) -> None:
    """IIC's padding loses two pixels a dilated layer; the other keeps the map square."""
    model = Net10a(base_channels=1, pad_like_iic=pad_like_iic)
    assert model(random(1, 3, 64, 64)).shape[2:] == (side, side)


def test_field_of_view() -> None:
    """A place of the map sees 30 x 30 pixels (Sobel widens it by one on each side)."""
    model = Net10a(base_channels=2, sobel=False, pad_like_iic=False).double().eval()
    image = random(1, 3, 80, 80).double().requires_grad_()
    model(image)[0, :, 20, 20].sum().backward()
    seen = image.grad.abs().sum((0, 1)) > 0
    assert int(seen.any(0).sum()) == int(seen.any(1).sum()) == 30


@pytest.mark.parametrize("size", [(10, 10), (11, 25)])
def test_smallest_images(size: tuple[int, int]) -> None:
    """The least image leaves a pixel; a smaller one says what is needed."""
    model = Net10a(base_channels=1)
    assert min(model(random(2, 3, *size)).shape[2:]) >= 1
    with pytest.raises(ValueError, match="at least 10 x 10"):
        model(random(2, 3, 9, 20))


def test_bgr_like_iic() -> None:
    """The flag is the same network on swapped colours, infrared in its place."""
    image = random(1, 4, 20, 20)
    plain, swapped = (Net10a(4, 1, bgr_like_iic=flag).eval() for flag in (False, True))
    swapped.load_state_dict(plain.state_dict())
    assert torch.equal(swapped(image), plain(image[:, [2, 1, 0, 3]]))
    assert not torch.equal(swapped(image), plain(image))


def test_kaiming_start() -> None:
    """Convolutions have variance 2 / fan in, as IIC starts them."""
    weight = Net10a(base_channels=16).layers[4][0].weight
    assert weight.std().item() == pytest.approx((2 / (9 * 64)) ** 0.5, rel=0.05)


def test_cluster_head_border_as_in_iic() -> None:
    """The ring of zero logits makes the corners uniform; without it they are not."""
    feature = random(1, 4, 6, 6)
    ringed = ClusterHead(4, 3)(feature, (32, 32))
    torch.testing.assert_close(ringed[0, :, 0, 0], torch.full((3,), 1 / 3))
    plain = ClusterHead(4, 3, pad_like_iic=False)(feature, (32, 32))
    assert plain.shape == (1, 3, 32, 32)
    torch.testing.assert_close(plain.sum(1), torch.ones(1, 32, 32))
    assert (ringed[0, :, 0, 0] - plain[0, :, 0, 0]).abs().max() > 1e-3


def test_softmax_comes_before_enlarging() -> None:
    """Between two opposite places the probability is mixed, not the logit."""
    head = ClusterHead(1, 2, pad_like_iic=False)
    with torch.no_grad():
        head.classifier.weight.copy_(torch.tensor([[[[9.0]]], [[[0.0]]]]))
    feature = torch.tensor([[[[1.0, -3.0]]]])
    expected = F.interpolate((feature * 9).sigmoid(), (1, 4), mode="bilinear")
    torch.testing.assert_close(head(feature, (1, 4))[:, :1], expected)


def test_nearest_centre_of_enlarged_features() -> None:
    """argmax is the nearest centre of the enlarged features, pixel by pixel."""
    head = CentroidHead(3, 5)
    head.set_centres(random(5, 3, seed=1))
    feature = random(2, 3, 4, 6)
    large = F.interpolate(feature, (9, 13), mode="bilinear")
    distance = (large[:, None] - head.centres[None, :, :, None, None]).square().sum(2)
    assert torch.equal(head(feature, (9, 13)).argmax(1), distance.argmin(1))


def test_centres_take_no_gradient() -> None:
    """No loss moves the centres: they belong to the hook."""
    head = CentroidHead(3, 2)
    feature = random(1, 3, 4, 4).requires_grad_()
    head(feature, (4, 4)).square().sum().backward()
    assert head.centres.grad is None and feature.grad is not None


def test_class_vectors_are_the_mean_of_a_convolution() -> None:
    """The spatial mean of the class blocks, computed on the mean: a convolution is linear."""
    head = InfoSegHead(4, 3, channels=5)
    nn.init.normal_(head.classes.bias)
    feature = random(2, 4, 6, 7)
    expected = head.classes(feature).mean((2, 3)).view(2, 3, 5)
    torch.testing.assert_close(head.describe(feature).classes, expected)


def test_patch_pairs_at_iics_size() -> None:
    """3x3 to 1024, and a hidden layer of 254 million weights."""
    with torch.device("meta"):
        head = PatchPairHead(512, 9)
    hidden = head.joined[0]
    assert (hidden.in_features, hidden.out_features) == (2 * 1024 * 121, 1024)
    window = torch.empty(2, 512, 11, 11, device="meta")
    assert head(window, window).shape == (2, 9)


def test_pooled_patch_pairs() -> None:
    """pool and hidden_channels shrink the hidden layer."""
    head = PatchPairHead(4, 1, side=5, hidden_channels=3, pool=2)
    assert head.joined[0].weight.shape == (3, 2 * 3 * 4)
    assert head(random(2, 4, 5, 5), random(2, 4, 5, 5, seed=1)).shape == (2, 1)


@pytest.mark.parametrize("head", [ClusterHead, InfoSegHead])
def test_one_class_is_refused(head: type[nn.Module]) -> None:
    """There is nothing to cluster into."""
    with pytest.raises(ValueError, match="must be >= 2"):
        head(4, 1)
