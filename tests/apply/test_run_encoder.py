"""A learner trained with quickstudy as an encoder."""

import numpy as np
import pytest
import torch
from PIL import Image

import quickstudy as qs


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """Six classes, in colour."""
    root, rng = tmp_path_factory.mktemp("classes"), np.random.default_rng(0)
    for name in "abcdef":
        (root / name).mkdir()
        for i in range(2):
            pixels = rng.integers(0, 256, (20, 24, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(root / name / f"{i}.png")
    return root


@pytest.fixture(scope="module")
def runs(tmp_path_factory, pictures):
    root = tmp_path_factory.mktemp("runs")
    folder = qs.tasks.ImageFolder(pictures, split="trainval", way=2, query=1, size=16)
    glyphs = qs.tasks.Glyphs(way=2, query=1, size=16)
    for name, learner, tasks in (
        ("drawings", qs.ProtoNet(qs.nets.Conv4(filters=4, size=16, out_features=None)), glyphs),
        ("colour", qs.ProtoNet(qs.nets.Conv4(in_channels=3, filters=4, size=16, out_features=None)), folder),
        ("maml", qs.MAML(qs.nets.Conv4(filters=4, size=16, out_features=2)), glyphs),
        ("numbers", qs.R2D2(qs.nets.MLP(out_features=None), loss="mse"), qs.tasks.Sinusoids()),
    ):
        qs.train(learner, tasks, steps=1, meta_batch=2, out=root / name, device="cpu")
    return root


@pytest.mark.parametrize(("run", "channels"), [("drawings", 1), ("colour", 3)])
def test_images_are_prepared_as_those_of_its_tasks(runs, pictures, run, channels):
    encoder = qs.encoder(f"run:{runs / run}")
    tasks = qs.Run.open(runs / run).tasks()
    path = pictures / "a" / "0.png"
    x = encoder.prepare(qs.encoders.read_image(path))
    assert x.shape == (3, *encoder.size)
    assert torch.equal(x[:channels], tasks.read_image(path))


def test_an_image_alone_is_embedded_as_among_others(runs, pictures):
    """Although the learner normalised by the images of a task."""
    encoder = qs.encoder(f"run:{runs / 'colour'}")
    images = [qs.encoders.read_image(path) for path in sorted(pictures.rglob("*.png"))]
    together = encoder.embed(images)
    torch.testing.assert_close(encoder.embed(images[:1]), together[:1], rtol=1e-5, atol=1e-5)
    assert together.shape == (12, encoder.width)
    assert together.std(0).max() > 0.01


def test_it_normalises_by_the_training_tasks(runs):
    """Among these the features are as the learner normalised them."""
    encoder = qs.encoder(f"run:{runs / 'drawings'}")
    run = qs.Run.open(runs / "drawings")
    x = run.tasks().sample(16, 0).support.x.flatten(0, 1)
    with torch.no_grad():
        whole = run.learner().model.train()(x).flatten(1)
    torch.testing.assert_close(encoder.module(x.expand(-1, 3, -1, -1)), whole, rtol=1e-3, atol=1e-3)


def test_the_checkpoint_counts(runs):
    first, last = (qs.encoder(f"run:{runs / 'drawings'}", step=step) for step in (0, 1))
    assert first.fingerprint != last.fingerprint


@pytest.mark.parametrize(
    ("run", "error", "message"),
    [
        ("maml", qs.UsageError, "holds a MAML, whose network .* gives no features; take a run of .* protonet"),
        ("numbers", qs.UsageError, "was trained on .*, not on images"),
        ("nothing", qs.RunError, "holds no run"),
    ],
)
def test_runs_that_embed_no_images(runs, run, error, message):
    with pytest.raises(error, match=message):
        qs.encoder(f"run:{runs / run}")
