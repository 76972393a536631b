"""timm and OpenCLIP, which need torchvision: by stand-ins with their interface (the real ones: docs/encoders.md)."""

import sys
from types import ModuleType, SimpleNamespace

import pytest
import torch
from torch import nn

import quickstudy as qs
from quickstudy.core.offline import offline


def transform(image):
    return torch.full((3, 6, 8), image.size[0] / 100)


class Visual(nn.Sequential):
    image_size = (6, 8)

    def __init__(self):
        super().__init__(nn.Flatten(), nn.Linear(144, 5))


@pytest.fixture
def timm(monkeypatch):
    module = ModuleType("timm")
    made = module.made = []

    def create_model(name, pretrained=False, num_classes=1000):
        if name == "unknown":
            raise RuntimeError("Unknown model (unknown)")
        made.append((name, pretrained, num_classes))
        net = Visual()
        net.pretrained_cfg = {"hf_hub_id": "timm/small", "url": "https://example.org/small.pth"}
        return net

    module.create_model = create_model
    module.data = SimpleNamespace(
        resolve_model_data_config=lambda net: {"input_size": (3, 6, 8), "mean": (0.5,)},
        create_transform=lambda input_size, mean, is_training: transform,
    )
    monkeypatch.setitem(sys.modules, "timm", module)
    return module


@pytest.fixture
def open_clip(monkeypatch):
    module = ModuleType("open_clip")
    made = module.made = []

    def create_model_and_transforms(architecture, pretrained=None, load_weights=True):
        made.append((architecture, pretrained, load_weights))
        return SimpleNamespace(visual=Visual()), None, transform

    module.create_model_and_transforms = create_model_and_transforms
    configs = {("S-32", "web"): {"hf_hub": "owner/small/"}, ("S-32", "old"): {"url": "https://example.org/old.pt"}}
    module.get_pretrained_cfg = lambda *key: configs.get(key, {})
    module.list_pretrained_tags_by_model = lambda name: [tag for one, tag in configs if one == name]
    monkeypatch.setitem(sys.modules, "open_clip", module)
    return module


@pytest.fixture
def hub(monkeypatch):
    """The Hugging Face hub: what is in its cache on this machine, and what was asked of it."""
    huggingface_hub = pytest.importorskip("huggingface_hub")
    found = SimpleNamespace(cached=set(), asked=[])

    class Api:
        def model_info(self, repo, timeout):
            found.asked.append(repo)
            if repo == "owner/gone":
                raise OSError("Name or service not known")

    monkeypatch.setattr(
        huggingface_hub,
        "try_to_load_from_cache",
        lambda repo, file, revision: f"/cache/{file}" if (repo, file, revision) in found.cached else None,
    )
    monkeypatch.setattr(huggingface_hub, "HfApi", Api)
    return found


def test_timm(timm, hub, pictures):
    before = torch.get_rng_state()
    random, again = (qs.encoder("timm:small", pretrained=False) for _ in range(2))
    assert torch.equal(torch.get_rng_state(), before)
    assert random.fingerprint == again.fingerprint
    assert (random.width, random.size) == (5, (6, 8))
    assert random.embed(pictures[:2]).shape == (2, 5)
    assert torch.equal(random.prepare(pictures[0]), transform(pictures[0]))
    assert timm.made[0] == ("small", False, 0)  # without its classifier
    hub.cached.add(("timm/small", "model.safetensors", None))
    qs.encoder("timm:small")
    assert timm.made[-1] == ("small", True, 0)


def test_open_clip(open_clip, hub, pictures):
    random = qs.encoder("open-clip:S-32", pretrained=False)
    assert (random.width, random.size) == (5, (6, 8))
    assert random.embed(pictures[:2]).shape == (2, 5)
    hub.cached |= {("owner/small", "open_clip_model.safetensors", None), ("o/n", "open_clip_pytorch_model.bin", None)}
    qs.encoder("open-clip:S-32/web")
    qs.encoder("open-clip:hf-hub:o/n")
    assert open_clip.made == [("S-32", None, False), ("S-32", "web", True), ("hf-hub:o/n", None, True)]
    with pytest.raises(qs.UsageError, match="open_clip has no weights '' of 'S-32'; it has: web, old"):
        qs.encoder("open-clip:S-32")


@pytest.mark.parametrize(
    ("name", "where"),
    [
        ("timm:small", "huggingface.co/timm/small"),
        ("timm:hf-hub:owner/net@v2", "huggingface.co/owner/net@v2"),
        ("open-clip:S-32/web", "huggingface.co/owner/small"),
        ("open-clip:S-32/old", "https://example.org/old.pt"),
    ],
)
def test_nothing_is_fetched_unasked(timm, open_clip, hub, name, where):
    for download, enter in ((False, torch.no_grad()), (True, offline())):
        with enter, pytest.raises(qs.UsageError) as error:
            qs.encoder(name, download=download)
        assert f"the weights of {name} are not on this machine, and nothing is fetched unasked" in str(error.value)
        assert where in str(error.value)
        assert f"quickstudy.encoder('{name}', download=True)" in str(error.value)
    assert hub.asked == []
    assert not any(pretrained for _, pretrained, _ in timm.made)
    qs.encoder(name, download=True)


def test_weights_that_were_fetched_before(timm, open_clip, hub, tmp_path, monkeypatch):
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "old.pt").write_bytes(b"")
    qs.encoder("open-clip:S-32/old")
    hub.cached.add(("owner/net", "pytorch_model.bin", "v2"))
    qs.encoder("timm:hf-hub:owner/net@v2")


def test_what_cannot_be_fetched(timm, hub):
    with pytest.raises(qs.UsageError, match=r"hf-hub:owner/gone cannot be fetched from .* \(OSError: Name or service"):
        qs.encoder("timm:hf-hub:owner/gone", download=True)


def test_a_name_that_the_library_does_not_know(timm, hub):
    with pytest.raises(qs.UsageError, match=r"timm:unknown cannot be loaded \(RuntimeError: Unknown model \(unknown\)"):
        qs.encoder("timm:unknown")
