"""``quickstudy classify`` and ``quickstudy export``, as a person calls them."""

import csv
import re
import shutil

import numpy as np
import pytest
from PIL import Image

import quickstudy as qs
from commands import fails
from commands import quickstudy as call
from quickstudy.apply.check import Check, Estimate, Suspect
from quickstudy.apply.onnx import Exported


@pytest.fixture(scope="module")
def here(tmp_path_factory):
    """``few`` with ash and elm, ``new`` with three pictures, one of them broken, and ``pair`` of single pictures."""
    root, rng = tmp_path_factory.mktemp("photos"), np.random.default_rng(0)
    patterns = {name: rng.integers(0, 200, (20, 24, 3)) for name in ("ash", "elm")}

    def picture(name, path):
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray((patterns[name] + rng.integers(0, 50, (20, 24, 3))).astype(np.uint8)).save(path)

    for name in patterns:
        for i in range(4):
            picture(name, root / "few" / name / f"{i}.png")
        picture(name, root / "pair" / name / "0.png")
        picture(name, root / "new" / f"{name}.png")
    (root / "new" / "broken.png").write_text("no picture")
    return root


def classify(*words):
    return call("classify", *words, "--encoder", "pixels", "--no-cache")


def test_answers(here, tmp_path):
    done = classify(here / "few", here / "new", "--out", tmp_path / "a" / "pred.csv", "--html", tmp_path / "page.html")
    assert done.code == 0, done.err
    rows = [line.split()[1:] for line in done.out.splitlines()]
    assert [row[0] for row in rows] == ["ash", "cannot", "elm"]
    assert rows[0][1].endswith("%")
    assert "3 pictures: 1 ash, 1 cannot be read, 1 elm" in done.err
    assert "warning: 1 of 3 pictures cannot be read: " in done.err
    with open(tmp_path / "a" / "pred.csv", newline="") as file:
        found = list(csv.DictReader(file))
    assert [row["answer"] for row in found] == ["ash", "", "elm"]
    assert float(found[0]["ash"]) > 0.5 > float(found[0]["elm"])
    assert "broken.png is not an image" in found[1]["problem"]
    assert float(found[2]["unknown score"]) < 1
    assert (tmp_path / "page.html").read_text().count("<img") == 2


def test_a_check_and_an_answer(here, tmp_path):
    page = tmp_path / "page.html"
    done = classify(here / "few", here / "new" / "ash.png", "--check", "--html", page, "--head", "centroid")
    assert done.code == 0, done.err
    assert re.search(r"accuracy by cross-validation: \d+\.\d% \(95% interval", done.out)
    assert re.search(r"is \\ taken for +ash +elm", done.out)
    assert re.search(r"pictures a class +accuracy\n.*\n1 +\d", done.out)
    assert "ash.png  ash" in done.out
    assert "How good it will be" in page.read_text()


def test_what_nothing_can_be_said_of(here):
    fails(2, "classify", here / "pair", "--check", "--encoder", "pixels", says="none can be held out")
    done = classify(here / "pair", here / "new" / "ash.png", "--check")
    assert done.code == 0
    assert "warning: every class has one example" in done.err
    assert "ash.png" in done.out


def test_what_looks_mislabelled_and_many_classes(here, monkeypatch):
    names = tuple(f"c{i}" for i in range(9))
    counts = 4 * np.eye(9)
    counts[1, :2] = 1, 3
    estimate = Estimate(0.9, 0.8, 0.95)
    found = Check(estimate, names, counts, (), (Suspect(2, "c1", "c0", 0.87),), ("lonely",))
    monkeypatch.setattr(qs.ImageClassifier, "check", lambda self: found)
    done = classify(here / "few", "--check", "--head", "centroid")
    assert re.search(r"is +taken for +pictures\n.*\nc1 +c0 +1\n", done.out)
    assert re.search(r"perhaps mislabelled .*\n.*\n\S+2\.png +c1 +c0 +87%", done.out)
    assert "one picture only: lonely" in done.out


def test_next(here, tmp_path):
    out = ("--out", tmp_path / "next.csv", "--html", tmp_path / "next.html")
    done = classify(here / "few", here / "new", "--next", 5, *out)
    assert done.code == 0, done.err
    assert re.findall(r"^(\d) +\S+(?:ash|elm)\.png +(?:ash|elm)$", done.out, re.MULTILINE) == ["1", "2"]
    assert "cannot be read" in done.err
    assert (tmp_path / "next.csv").read_text().startswith("label next,picture,now taken for\n1,")
    assert "label next" in (tmp_path / "next.html").read_text()


def test_remarks(here, tmp_path):
    few = shutil.copytree(here / "few", tmp_path / "few")
    for i in range(7):
        shutil.copy(few / "ash" / "0.png", few / "ash" / f"more{i}.png")
    for i in (1, 2, 3):
        (few / "elm" / f"{i}.png").unlink()
    (few / "elm").rename(few / "unknown")
    done = classify(few, few / "unknown" / "0.png", here / "new" / "ash.png")
    assert done.code == 0, done.err
    assert "learned 2 classes (1 to 11 pictures each)" in done.err
    assert "warning: unknown has one picture where another class has 11; give it a few more." in done.err
    assert re.search(r"warning: 1 of the new pictures is among those it learned from: \S+unknown.0\.png\.", done.err)


def test_an_interruption_keeps_what_is_done(here, tmp_path, monkeypatch):
    stream = qs.ImageClassifier.stream

    def stopped(self, given):
        yield from [*stream(self, given)][:2]
        raise KeyboardInterrupt

    monkeypatch.setattr(qs.ImageClassifier, "stream", stopped)
    done = classify(here / "few", here / "new", "--out", tmp_path / "pred.csv", "--html", tmp_path / "page.html")
    assert done.code == 130
    assert "2 of 3 pictures" in done.err
    assert len((tmp_path / "pred.csv").read_text().splitlines()) == 3
    assert (tmp_path / "page.html").read_text().count("<img") == 1


def test_bad_input(here, tmp_path):
    few, new = here / "few", here / "new"
    (tmp_path / "none").mkdir()
    for code, words, says in (
        (2, [few], "nothing to do: name pictures"),
        (2, [few, "--next", 3], "nothing to do"),
        (2, [few, new, "--next", 0], "--next must be at least 1"),
        (2, [few, new, "--reject", 1], "--reject is a share"),
        (2, [few, new, "--head", "forest"], "head must be one of 'auto'"),
        (2, [few, new, "--encoder", "resnet"], "there is no encoder 'resnet'. Installed: "),
        (2, [few, new, "--out", tmp_path], "is a folder; name a file"),
        (2, [tmp_path / "none", new], "at least two class folders"),
        (2, [few / "ash", new], "at least two class folders"),
        (3, [tmp_path / "gone", new], "is no folder"),
        (3, [few, tmp_path / "gone"], "neither a folder nor a file"),
        (3, [few, tmp_path / "none"], "holds no images"),
        (4, [few, new, "--encoder", "run:gone"], "holds no run"),
        (4, [few, new, "--out", new / "ash.png" / "x.csv"], "cannot write"),
    ):
        fails(code, "classify", "--encoder", "pixels", *words, says=re.escape(says))
    done = classify(few, new / "broken.png")
    assert done.code == 3
    assert "quickstudy: 1 of 1 pictures cannot be read" in done.err


def test_without_scikit_learn(here, monkeypatch):
    def absent(name):
        raise ModuleNotFoundError("No module named 'sklearn'", name="sklearn")

    monkeypatch.setattr("importlib.import_module", absent)
    fails(2, "classify", here / "few", says=r"classify needs scikit-learn.*pip install 'quickstudy\[images\]'")


def test_export(here, tmp_path):
    done = call("export", here / "few", "--out", tmp_path / "trees.safetensors", "--encoder", "pixels", "--no-cache")
    assert done.code == 0, done.err
    loaded = qs.ImageClassifier.load(tmp_path / "trees.safetensors")
    assert loaded.predict([here / "new" / "ash.png"]).tolist() == ["ash"]
    fails(2, "export", here / "few", "--out", tmp_path / "trees.bin", says="must be a file that ends in .onnx")


def test_export_to_onnx(here, tmp_path, monkeypatch):
    def write(self, path):
        path.write_bytes(b"onnx")
        return Exported(8, 1e-7)

    monkeypatch.setattr(qs.ImageClassifier, "to_onnx", write)
    done = call("export", here / "few", "--out", tmp_path / "trees.onnx", "--encoder", "pixels", "--no-cache")
    assert done.code == 0, done.err
    assert re.search(r"trees\.onnx: \d+\.\d MB; same answers on 8 pictures, probabilities within 1.0e-07", done.out)
