"""Vision models of transformers, small and random, out of a folder."""

import pytest
import torch
from safetensors.torch import load_file, save_file

import quickstudy as qs

transformers = pytest.importorskip("transformers")
SMALL = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "image_size": 28, "patch_size": 14}
SQUARE = {"height": 28, "width": 28}


def dinov2():
    processor = transformers.BitImageProcessorPil(size={"shortest_edge": 32}, crop_size=SQUARE)
    return transformers.Dinov2Model(transformers.Dinov2Config(mlp_ratio=2, **SMALL)), processor


def siglip():
    text = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "vocab_size": 20}
    text.update({"intermediate_size": 16, "bos_token_id": 0, "eos_token_id": 1})
    config = transformers.SiglipConfig(vision_config={"intermediate_size": 16, **SMALL}, text_config=text)
    return transformers.SiglipModel(config), transformers.SiglipImageProcessorPil(size=SQUARE)


def vit():
    config = transformers.ViTConfig(intermediate_size=16, **SMALL)
    return transformers.ViTModel(config, add_pooling_layer=False), transformers.ViTImageProcessorPil(size=SQUARE)


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Of each model, as it is saved, with its preprocessing."""
    root = tmp_path_factory.mktemp("models")
    logging = transformers.utils.logging
    logging.disable_progress_bar()
    for make in (dinov2, siglip, vit):
        for part in make():
            part.save_pretrained(root / make.__name__)
    logging.enable_progress_bar()
    return root


def answers(make, model, x):
    net = getattr(transformers, make).from_pretrained(model).eval()
    with torch.no_grad():
        return net(pixel_values=x)


@pytest.mark.parametrize(
    ("name", "model", "pooled"),
    [
        ("dinov2", "Dinov2Model", lambda found: found.pooler_output),
        ("siglip", "SiglipVisionModel", lambda found: found.pooler_output),
        ("vit", "ViTModel", lambda found: found.last_hidden_state[:, 0]),  # its pooler would be a random one
    ],
)
def test_features_are_what_the_model_pools_of_its_own_preprocessing(folders, pictures, capfd, name, model, pooled):
    encoder = qs.encoder(f"hf:{folders / name}")
    features = encoder.embed(pictures[:3])
    assert capfd.readouterr().err == ""
    assert transformers.utils.logging.is_progress_bar_enabled()
    processor = transformers.AutoImageProcessor.from_pretrained(folders / name, backend="pil")
    x = processor(images=pictures[:3], return_tensors="pt")["pixel_values"]
    expected = pooled(answers(model, folders / name, x))
    assert (encoder.width, encoder.size) == (16, (28, 28))
    torch.testing.assert_close(features, expected, rtol=1e-5, atol=1e-5)


def test_of_two_towers_the_text_is_left_aside(folders):
    encoder = qs.encoder(f"hf:{folders / 'siglip'}")
    assert not any("text" in name for name, _ in encoder.module.named_parameters())


def test_weights_that_are_not_there_are_not_fetched():
    with pytest.raises(qs.UsageError, match=r"weights of hf:owner/name are not on this machine.*download=True"):
        qs.encoder("hf:owner/name")


def test_no_vision_model(tmp_path):
    with pytest.raises(qs.UsageError, match=r"hf:.* cannot be loaded \(OSError: Can't load image processor"):
        qs.encoder(f"hf:{tmp_path}")


def test_a_checkpoint_that_lacks_weights(folders, tmp_path):
    for file in (folders / "vit").iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    state = load_file(tmp_path / "model.safetensors")
    state.pop(next(name for name in state if "encoder" in name or "layer" in name))
    save_file(state, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(qs.UsageError, match=r"the weights of hf:.* lack .*; this is no checkpoint of the whole model"):
        qs.encoder(f"hf:{tmp_path}")


def test_the_callers_random_numbers_stay(folders):
    before = torch.get_rng_state()
    first, again = (qs.encoder(f"hf:{folders / 'vit'}") for _ in range(2))
    assert torch.equal(torch.get_rng_state(), before)
    assert first.fingerprint == again.fingerprint
