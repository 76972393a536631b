"""A classifier as one ONNX file: pixels in, Python's answers out, or no file."""

import json
import sys

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps

import quickstudy as qs
from quickstudy.apply import onnx
from quickstudy.apply._constants import Constants
from quickstudy.encoders.pixels import Pixels

onnxruntime = pytest.importorskip("onnxruntime")


@pytest.fixture(scope="module")
def fitted(photos):
    return qs.ImageClassifier(encoder=Pixels(side=8), cache=False).fit(photos / "few")


@pytest.mark.slow
def test_the_file_answers_as_python_does(fitted, photos, tmp_path):
    found = fitted.to_onnx(tmp_path / "trees.onnx")
    assert found.images == 12
    assert found.largest_gap < onnx.TOLERANCE
    session = onnxruntime.InferenceSession(tmp_path / "trees.onnx")
    about = json.loads(session.get_modelmeta().custom_metadata_map["quickstudy"])
    assert about["classes"] == ["ash", "elm", "oak"]
    assert about["size"] == [8, 8]
    assert about["threshold"] == pytest.approx(fitted.threshold_)
    files = sorted((photos / "new").iterdir())
    small = [ImageOps.fit(Image.open(file), (8, 8), Image.Resampling.BICUBIC) for file in files]
    p, score, answer = session.run(None, {"pixels": np.stack([np.asarray(image) for image in small])})
    np.testing.assert_allclose(p, fitted.predict_proba(small), atol=1e-4)
    np.testing.assert_allclose(score, fitted.unknown_score(small), atol=1e-4)
    assert [*fitted.classes_[answer[:-1]], "unknown"] == fitted.predict(files).tolist()
    assert answer[-1] == -1


def test_what_cannot_be_exported(photos, tmp_path, monkeypatch):
    path = tmp_path / "trees.onnx"
    together = qs.ImageClassifier(encoder="pixels", cache=False, transductive=True).fit(photos / "few")
    with pytest.raises(qs.UsageError, match=r"transductive answers .* cannot be exported"):
        together.to_onnx(path)
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    with pytest.raises(qs.UsageError, match=r"pip install 'quickstudy\[onnx\]'"):
        together.to_onnx(path)
    assert not path.exists()


def test_a_network_that_torch_cannot_export(fitted, tmp_path, monkeypatch):
    def refuse(*args, **kwargs):
        raise ValueError("no such operator\nand more")

    monkeypatch.setattr("torch.onnx.export", refuse)
    with pytest.raises(qs.UsageError, match=r"cannot be exported to ONNX \(ValueError: no such operator\)"):
        onnx.export(fitted.encoder_, fitted.classifier_, [], tmp_path / "odd.onnx")
    assert not [*tmp_path.iterdir()]


def test_answers_that_differ():
    p, score, answer = np.array([[0.7, 0.3], [0.4, 0.6]]), np.array([0.1, 0.3]), np.array([0, 1])
    assert onnx._compare([p + 1e-5, score, answer], p, score, 0.5) == pytest.approx(1e-5)
    for found in (
        [p + 1e-3, score, answer],
        [p, score + 0.01, answer],
        [p, score, 1 - answer],
        [p * np.nan, score, answer],
    ):
        with pytest.raises(qs.RunError, match="it was not written"):
            onnx._compare(found, p, score, 0.5)
    with pytest.raises(qs.RunError, match=r"1 of 2 answers"):
        onnx._compare([p, score, answer], p, score, 0.2)


class Prepared(Pixels):
    """Prepares as it is told."""

    def __init__(self, how):
        self.how = how
        super().__init__(side=4)

    def prepare(self, image):
        return self.how(torch.from_numpy(np.array(image.resize((4, 4)))).permute(2, 0, 1).float())


def grey_of(x):
    return torch.from_numpy(np.array(Image.fromarray(x.byte().permute(1, 2, 0).numpy()).convert("L"))).float()


@pytest.mark.parametrize(
    "how",
    [
        lambda x: (
            (x / 255 - torch.tensor([0.5, 0.4, 0.3])[:, None, None]) / torch.tensor([0.2, 0.3, 0.4])[:, None, None]
        ),
        lambda x: (1 - grey_of(x) / 255).expand(3, -1, -1),
    ],
    ids=["each colour's own", "ink of grey"],
)
def test_constants_are_found(how):
    encoder, rng = Prepared(how), np.random.default_rng(0)
    constants = Constants.of(encoder)
    image = Image.fromarray(rng.integers(0, 256, (4, 4, 3), dtype=np.uint8))
    x = encoder.prepare(image)
    torch.testing.assert_close(constants(torch.from_numpy(np.array(image))[None])[0], x, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(constants(constants.pixels_of(x)[None])[0], x, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("how", "says"),
    [
        (lambda x: (x / 255) ** 2, "changes colours by more than a scale and a shift"),
        (lambda x: x * torch.arange(4.0), "makes a pattern of a plain colour"),
    ],
)
def test_a_preparation_that_cannot_be_exported(how, says):
    with pytest.raises(qs.UsageError, match=f"Prepared cannot be exported to ONNX: .*{says}"):
        Constants.of(Prepared(how))
