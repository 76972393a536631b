"""What holds of every encoder, and how one is found by its name."""

import copy

import pytest
import torch
from PIL import Image
from torch import nn

import quickstudy as qs
from quickstudy import registry
from quickstudy.encoders import _installed
from quickstudy.encoders.encoder import Encoder


class Convolved(Encoder):
    """A small network with room for rounding."""

    def __init__(self, *, precision="float32", change=0.0, module=None):
        with torch.random.fork_rng([]):
            torch.manual_seed(0)
            own = nn.Sequential(
                nn.Conv2d(3, 8, 5, bias=False), nn.BatchNorm2d(8), nn.AdaptiveAvgPool2d(2), nn.Flatten()
            )
        own[0].weight.data += change
        self._frozen(module or own, (16, 16), prepared="none", precision=precision)

    def prepare(self, image):
        return qs.encoders.Pixels(side=16).prepare(image)


def test_what_it_says_of_itself_holds(pictures):
    encoder = Convolved()
    features = encoder.embed(pictures)
    assert features.shape == (len(pictures), encoder.width)
    assert encoder.prepare(pictures[0]).shape == (3, *encoder.size)
    assert features.dtype == torch.float32
    assert not features.is_inference()  # a head may be trained on them
    assert not any(m.training for m in encoder.module.modules())
    assert not any(p.requires_grad for p in encoder.module.parameters())
    assert encoder.embed([]).shape == (0, encoder.width)
    assert torch.equal(copy.deepcopy(encoder).embed(pictures), features)


def test_an_images_features_do_not_depend_on_those_beside_it(pictures):
    for encoder in (Convolved(), qs.encoder("pixels")):
        alone = torch.cat([encoder.embed([picture]) for picture in pictures])
        torch.testing.assert_close(encoder.embed(pictures), alone, rtol=1e-5, atol=1e-5)


def test_threads_give_what_one_gives(pictures, monkeypatch):
    expected = Convolved().embed(pictures)
    monkeypatch.setattr(Convolved, "at_once", 2)  # else they are one piece
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        found = Convolved().embed(pictures)
    finally:
        torch.set_num_threads(before)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


def test_modes_of_the_caller_change_nothing(pictures, double_by_default):
    expected = Convolved().embed(pictures)
    assert expected.dtype == torch.float32
    state = torch.get_rng_state()
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(Convolved().embed(pictures), expected)
    assert torch.equal(torch.get_rng_state(), state)


def test_the_fingerprint_changes_with_weights_and_precision():
    prints = [Convolved().fingerprint, Convolved(change=1e-6).fingerprint, Convolved(precision="bfloat16").fingerprint]
    assert len({*prints}) == 3
    assert Convolved().fingerprint == prints[0]
    assert qs.encoder("pixels", side=8).fingerprint != qs.encoder("pixels", side=9).fingerprint


def test_a_lower_precision_is_near(pictures):
    exact, near = Convolved().embed(pictures), Convolved(precision="bfloat16").embed(pictures)
    assert not torch.equal(exact, near)
    torch.testing.assert_close(near, exact, rtol=0.05, atol=0.05)
    with pytest.raises(qs.UsageError, match="precision must be one of 'float32', 'bfloat16', got precision='float8'"):
        Convolved(precision="float8")


class Full(nn.Flatten):
    """Memory for this many images."""

    most = 1

    def forward(self, x):
        if len(x) > self.most:
            raise RuntimeError("CUDA out of memory. Tried to allocate 20 GiB")
        return super().forward(x)


def test_what_does_not_fit_into_memory_goes_in_halves(pictures):
    encoder = Convolved(module=Full())
    assert encoder.embed(pictures).shape == (len(pictures), encoder.width)
    encoder.module.most = 0
    with pytest.raises(qs.UsageError, match=r"an image of \[16, 16\] pixels needs more memory than there is: CUDA out"):
        encoder.embed(pictures)


def test_other_errors_are_shown_as_they_are():
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        Convolved(module=nn.Linear(5, 5))


def test_a_person_may_name_a_class_of_their_own(tmp_path, monkeypatch, pictures):
    (tmp_path / "my_encoders.py").write_text(
        "from quickstudy.encoders.pixels import Pixels\n\nclass Mine(Pixels):\n"
        '    """Mine."""\n\n    def __init__(self, *, side: int = 5) -> None:\n        super().__init__(side=side)\n'
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(registry.ENCODERS, "_entries", dict(registry.ENCODERS._entries))
    assert qs.encoder("my_encoders:Mine").width == 75
    assert qs.encoder("my_encoders:Mine", side=2).width == 12


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("resnet18", "there is no encoder 'resnet18'. Installed: .*pixels.*run:RUN.*, or module:Class"),
        ("pixels:32", "there is no encoder 'pixels:32': write pixels"),
        ("timm", "there is no encoder 'timm': write timm:MODEL"),
        ("run:", "there is no encoder 'run:': write run:RUN"),
        ("no_such_package:Net", "no_such_package:Net cannot be loaded: ModuleNotFoundError"),
        ("torch.nn:Linear", "torch.nn:Linear is none of the encoders: it has no method embed"),
    ],
)
def test_an_unknown_name(name, message):
    with pytest.raises(qs.UsageError, match=message):
        qs.encoder(name)


def test_an_unknown_option():
    with pytest.raises(qs.UsageError, match="pixels has no option size"):
        qs.encoder("pixels", size=3)


def test_what_is_not_installed_is_said_with_what_to_install(monkeypatch):
    monkeypatch.setattr(_installed.importlib.util, "find_spec", lambda module: None)
    with pytest.raises(qs.UsageError, match=r"Not installed: .*timm:MODEL \(pip install timm\)"):
        qs.encoder("unheard-of")


def test_a_package_that_is_broken_here(tmp_path, monkeypatch):
    (tmp_path / "broken_package.py").write_text("import ctypes\nraise OSError('undefined symbol: torch')\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(qs.UsageError, match=r"x needs the package broken_package, which cannot be imported here \(O"):
        _installed.installed("x", "broken_package", "pip install it")
    with pytest.raises(qs.UsageError, match="x needs the package not_there, which is not installed; install it"):
        _installed.installed("x", "not_there", "pip install it")


def test_pixels_know_neither_brightness_nor_contrast(pictures):
    encoder = qs.encoder("pixels", side=8)
    darker = pictures[0].point(lambda value: value // 2)
    features = encoder.embed([pictures[0], darker, pictures[1]])
    near, far = (features[0] - features[1]).norm(), (features[0] - features[2]).norm()
    assert near < 0.1 * far
    assert encoder.embed([Image.new("RGB", (5, 1))]).isfinite().all()
