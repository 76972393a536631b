"""FewShotClassifier takes files and Pillow images as the run's own tasks would read them."""

import itertools
import json

import numpy as np
import pytest
import torch
from PIL import Image

import quickstudy as qs
from quickstudy.core.sealed import open_tensors, sealed_tensors

NAMES = ["birch", "larch", "birch", "larch", "larch"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Class folders of coloured pictures of several sizes, enough for tasks; and two grey ones to ask about."""
    root = tmp_path_factory.mktemp("pictures")
    rng = np.random.default_rng(0)
    for i, name in enumerate(NAMES * 2):
        (root / "few" / name).mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (24 + i, 30, 3), np.uint8)).save(root / "few" / name / f"{i}.png")
    for split, name in itertools.product(("train", "val", "test"), "ab"):
        (root / "many" / split / f"{split}-{name}").mkdir(parents=True)
        for i in range(2):
            Image.new("RGB", (20, 20), (i, 9, 99)).save(root / "many" / split / f"{split}-{name}" / f"{i}.png")
    (root / "new").mkdir()
    for i in range(2):
        Image.fromarray(rng.integers(0, 256, (20, 20 + i), np.uint8)).save(root / "new" / f"{i}.png")
    return root


def trained(tasks, out, channels=1):
    torch.manual_seed(0)
    net = qs.nets.Conv4(in_channels=channels, filters=4, size=16, out_features=None)
    qs.train(qs.ProtoNet(net, bn="support"), tasks, steps=1, meta_batch=1, out=out)
    return out


@pytest.fixture(scope="module")
def of_drawings(tmp_path_factory):
    return trained(qs.tasks.Glyphs(way=2, query=2, size=16), tmp_path_factory.mktemp("runs") / "drawings")


@pytest.fixture(scope="module")
def of_colours(folder, tmp_path_factory):
    tasks = qs.tasks.ImageFolder(str(folder / "many"), way=2, shot=1, query=1, size=16, channels=3)
    return trained(tasks, tmp_path_factory.mktemp("runs") / "colours", 3)


@pytest.mark.parametrize("run", ["of_drawings", "of_colours"])
def test_pictures_are_read_as_those_of_the_runs_tasks(run, request, folder):
    run = request.getfixturevalue(run)
    files, new = sorted((folder / "few").rglob("*.png")), sorted((folder / "new").iterdir())
    labels = [file.parent.name for file in files]
    few, tasks = qs.FewShotClassifier(run=run), qs.Run.open(run).tasks()
    arrays = np.stack([tasks.read_image(file).numpy() for file in files])
    few.fit(arrays, labels)
    expected = few.predict_proba(np.stack([tasks.read_image(file).numpy() for file in new]))
    for asked in (new, [str(file) for file in new], np.array([str(file) for file in new]), folder / "new"):
        np.testing.assert_allclose(few.predict_proba(asked), expected, atol=1e-6)
    given = [Image.open(file) for file in files], [Image.open(file) for file in new]
    np.testing.assert_allclose(few.fit(given[0], labels).predict_proba(given[1]), expected, atol=1e-6)
    np.testing.assert_allclose(few.fit(folder / "few").predict_proba(given[1]), expected, atol=1e-6)
    assert few.classes_.tolist() == ["birch", "larch"]
    assert few.n_features_in_ == arrays[0].size


def test_a_learner_in_memory_needs_its_tasks(of_drawings, folder):
    files = sorted((folder / "new").iterdir())
    learner, tasks = qs.Run.open(of_drawings).learner(), qs.Run.open(of_drawings).tasks()
    with pytest.raises(qs.UsageError, match=r"one in memory does not tell: FewShotClassifier\(run=RUN\)"):
        qs.FewShotClassifier(learner).fit(files, [0, 1])
    found = qs.FewShotClassifier(learner, tasks=tasks).fit(files, [0, 1]).predict(files)
    assert found.tolist() == [0, 1]
    with pytest.raises(qs.UsageError, match=r"was trained on .*, not on images: it takes no pictures"):
        qs.FewShotClassifier(learner, tasks=qs.tasks.TabularPrior()).fit(files, [0, 1])

    class Darker(qs.tasks.Glyphs):
        def read_image(self, path):
            return super().read_image(path) / 2

    with pytest.raises(qs.UsageError, match="prepares images in its own way"):
        qs.FewShotClassifier(learner, tasks=Darker(way=2, query=2, size=16)).fit(files, [0, 1])


def test_pictures_that_cannot_be_had(of_drawings, folder, tmp_path):
    few, files = qs.FewShotClassifier(run=of_drawings), sorted((folder / "new").iterdir())
    (tmp_path / "broken.png").write_bytes(files[0].read_bytes()[:60])
    with pytest.raises(qs.DataError, match=r"broken\.png"):
        few.fit([*files, tmp_path / "broken.png"], [0, 1, 1])
    with pytest.raises(qs.DataError, match=r"gone\.png cannot be read"):
        few.fit([files[0], tmp_path / "gone.png"], [0, 1])
    with pytest.raises(qs.UsageError, match="2 pictures and 3 labels"):
        few.fit(files, [0, 1, 1])
    with pytest.raises(qs.UsageError, match="the pictures need labels"):
        few.fit(files)


def test_a_saved_one_takes_pictures_without_its_run(of_drawings, folder, tmp_path):
    new = sorted((folder / "new").iterdir())
    few = qs.FewShotClassifier(run=of_drawings).fit(folder / "few")
    few.save(tmp_path / "few")
    again = qs.FewShotClassifier.load(tmp_path / "few")
    np.testing.assert_array_equal(again.predict_proba(new), few.predict_proba(new))
    np.testing.assert_array_equal(again.fit(folder / "few").predict_proba(new), few.predict_proba(new))
    tensors, texts = open_tensors(tmp_path / "few")
    about = json.loads(texts["quickstudy"])
    for look in ({**about["look"], "size": 10**6}, {"size": 16}, 3):
        (tmp_path / "odd").write_bytes(sealed_tensors(tensors, {"quickstudy": json.dumps({**about, "look": look})}))
        with pytest.raises(qs.RunError, match="is no classifier that"):
            qs.FewShotClassifier.load(tmp_path / "odd")
