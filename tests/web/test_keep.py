"""What is taken away does what the page did."""

import io
import zipfile
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

import quickstudy as qs
from quickstudy.web import keep, photos
from quickstudy.web.exported import onnx_of
from quickstudy.web.lesson import PAD, lesson, strokes
from quickstudy.web.start import encoded, read_folder
from quickstudy.web.teaching import Teaching
from served import CROSS, HOOK, LINE, ByColour, classes, pupil

TAUGHT = classes(line=[LINE], hook=[HOOK], cross=[CROSS])


@pytest.fixture
def unzipped(tmp_path):
    name = "qs.FewShotClassifier(learner)"
    content = Teaching(pupil(), name=name).drawings_zip({"classes": TAUGHT})
    zipfile.ZipFile(io.BytesIO(content)).extractall(tmp_path)
    return tmp_path


def test_the_lines_run_beside_the_folder(unzipped, monkeypatch):
    monkeypatch.chdir(unzipped)
    lines = (unzipped / "again.py").read_text()
    namespace = {"learner": pupil().learner}
    exec(lines.replace("print(", "found = ("), namespace)
    assert namespace["found"].tolist() == ["cross", "hook", "line"]


def test_the_folder_is_where_the_page_can_begin(unzipped):
    kind, begun = read_folder(unzipped / "few")
    assert kind == "drawings"
    assert [each["name"] for each in begun] == ["cross", "hook", "line"]
    one = pupil()
    for each, way in zip(begun, (CROSS, HOOK, LINE), strict=True):
        again, first = (one.drawn([strokes(d)], pad=PAD) for d in (each["examples"][0], way))
        assert (again - first).abs().mean() < 0.03


def test_photos_zipped_and_begun_with(tmp_path, monkeypatch):
    monkeypatch.setattr(photos, "_classifier", ByColour)
    monkeypatch.setattr(photos, "NEEDED", ())
    noise = np.random.default_rng(0).integers(0, 255, (60, 80, 3), dtype=np.uint8)
    taught = classes(noise=[encoded(Image.fromarray(noise))], red=[encoded(Image.new("RGB", (9, 9), "red"))])
    teaching = Teaching(None)
    zipfile.ZipFile(io.BytesIO(teaching.photos_zip({"classes": taught}))).extractall(tmp_path)
    kind, begun = read_folder(tmp_path / "few")
    assert kind == "photos"
    assert [each["name"] for each in begun] == ["noise", "red"]
    assert teaching.sort({"classes": begun, "photos": taught[0]["examples"]})["shares"][0][0] > 0.5
    assert teaching.photos_onnx({"classes": taught}) == b"onnx"


@pytest.mark.slow
def test_the_onnx_file_answers_as_the_page_does():
    onnxruntime = pytest.importorskip("onnxruntime")
    torch.manual_seed(0)
    net = qs.nets.InkNet(widths=(2, 3), features=8, window=8, size=28, frames=4, norm=False)
    learner = qs.ProtoNet(net, distance="cosine", scale=16.0).eval()
    teaching = Teaching(replace(pupil(), learner=learner))
    content = teaching.drawings_onnx({"classes": TAUGHT})
    session = onnxruntime.InferenceSession(content)
    assert session.get_modelmeta().custom_metadata_map["classes"] == '["line", "hook", "cross", "none of these"]'
    x = torch.rand(7, 1, 28, 28)
    key = lesson(TAUGHT).key
    (shares,) = session.run(None, {"images": x.numpy()})
    assert np.abs(shares - teaching.recent.get("drawings" + key).shares(x).numpy()).max() < 1e-4


@pytest.mark.slow
def test_a_learner_that_has_no_place_in_an_onnx_file():
    pytest.importorskip("onnxruntime")
    learner = qs.ProtoNet(qs.nets.Conv4(filters=4, out_features=None), bn="transductive").eval()
    one = replace(pupil(), learner=learner)
    learned = one.learned(torch.rand(3, 1, 28, 28), [0, 1, 2])
    with pytest.raises(qs.UsageError, match="no plain module does"):
        onnx_of(learned, ["a", "b", "c"])


def test_folder_names():
    assert keep.folders(["CON?", "x" * 80]) == ["CON", "x" * 60]
