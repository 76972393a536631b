"""Learners of a person's own runs, taught."""

import pytest
import torch
from PIL import Image

import quickstudy as qs
from quickstudy.web.photos import learned, why_not
from quickstudy.web.pupil import of_run
from quickstudy.web.teaching import Teaching
from served import HOOK, LINE, classes


@pytest.fixture(scope="module")
def drawings(tmp_path_factory):
    """A run on glyphs, whose BatchNorm is transductive."""
    out = tmp_path_factory.mktemp("runs") / "glyphs"
    learner = qs.ProtoNet(qs.nets.Conv4(filters=4, size=16, out_features=None))
    tasks = qs.tasks.Glyphs(way=3, query=2, size=16)
    return qs.train(learner, tasks, steps=1, meta_batch=2, out=str(out)).path


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """A run on colour images of two classes per split."""
    root = tmp_path_factory.mktemp("images")
    for split in ("train", "val"):
        for k in range(2):
            folder = root / split / f"{split}{k}"
            folder.mkdir(parents=True)
            for i in range(4):
                Image.new("RGB", (20, 20), (255 * (1 - k), 20 * i, 255 * k)).save(folder / f"{i}.png")
    learner = qs.ProtoNet(qs.nets.Conv4(in_channels=3, filters=4, size=16, out_features=None), bn="support")
    tasks = qs.tasks.ImageFolder(root=root, way=2, query=2, size=16)
    return qs.train(learner, tasks, steps=1, meta_batch=2, out=str(tmp_path_factory.mktemp("run"))).path


def test_a_run_of_drawings(drawings, monkeypatch):
    monkeypatch.setattr("quickstudy.web.pupil.WAYS", (2,))
    monkeypatch.setattr("quickstudy.web.pupil.TASKS", 2)
    pupil = of_run(drawings)
    assert pupil.ink
    assert pupil.shape == (1, 16, 16)
    assert pupil.line == "endless other characters"
    assert pupil.doubt is not None
    assert pupil.learner.bn_mode == "support"  # one drawing's answer does not depend on another's
    answer = Teaching(pupil).draw({"classes": classes(a=[LINE], b=[HOOK]), "drawing": HOOK})
    assert len(answer["shares"]) == 3
    assert len(pupil.learned(pupil.drawn([[torch.rand(4, 2).numpy()]] * 2, pad=1), [0, 1]).task.y) == 2


def test_a_run_of_photos(photos):
    pupil = of_run(photos)
    assert not pupil.ink
    assert pupil.doubt is None  # two classes: none is left that would be none of these
    assert why_not(pupil) == ""
    images = [Image.new("RGB", (30, 20), colour) for colour in ("red", "blue")]
    sorter = learned(pupil, images, ["red", "blue"], [0, 1])
    shares, _ = sorter.sort([*images, Image.new("RGB", (50, 50), "#e01010")])
    assert shares.argmax(1).tolist() == [0, 1, 0]
    assert (shares[:, -1] == 0).all()
    shares, to_name = sorter.sort([*images, Image.new("RGB", (20, 20), "#800080")])
    best = shares[:, :2].copy()
    best.sort(1)
    assert to_name == (best[:, 1] - best[:, 0]).argmin()  # the least sure


def test_a_run_of_something_else(tmp_path):
    learner = qs.Reptile(qs.nets.MLP(in_features=1, out_features=1, hidden=(4,)), loss="mse", inner_steps=1)
    run = qs.train(learner, qs.tasks.Sinusoids(), steps=1, meta_batch=1, out=str(tmp_path / "r"))
    with pytest.raises(qs.UsageError, match="not on images"):
        of_run(run.path)
    with pytest.raises(qs.RunError):
        of_run(tmp_path)
