"""A trained learner and a person's own few image files."""

from pathlib import Path

import pytest
import torch
from PIL import Image, ImageOps

import quickstudy as qs
from quickstudy.apply.few_images import classify_folder

TASKS = qs.tasks.Glyphs(way=3, size=16, rotate=False)


@pytest.fixture
def learner():
    torch.manual_seed(0)
    return qs.MAML(qs.nets.Conv4(filters=3, size=16, out_features=3), inner_lr=0.3, inner_steps=2)


def write(path: Path, ink: torch.Tensor) -> None:
    """An image ``[1, size, size]`` with ink = 1 as a drawing: dark on white."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(((1 - ink[0]) * 255).round().byte().numpy()).save(path)


def in_8_bits(examples: qs.Examples) -> qs.Examples:
    """As a file holds them."""
    return qs.Examples((examples.x * 255).round() / 255, examples.y)


@pytest.fixture
def folders(tmp_path):
    """A task of three classes, with two drawings of each as support and as query."""
    drawn = qs.tasks.Glyphs(way=3, shot=2, query=2, size=16, rotate=False).sample(1, seed=5)
    batch = qs.TaskBatch(in_8_bits(drawn.support), in_8_bits(drawn.query))
    names = ["alpha", "beta", "gamma"]
    for part, examples in (("support", batch.support), ("query", batch.query)):
        for n, (x, y) in enumerate(zip(examples.x[0], examples.y[0], strict=True)):
            label = names[int(y)]
            write(tmp_path / part / (f"{label}/{n}.png" if part == "support" else f"{label}-{n}.PNG"), x)
    return tmp_path / "support", tmp_path / "query", batch


def test_predictions_are_the_solvers(learner, folders):
    support, query, batch = folders
    predictions = classify_folder(learner, TASKS, support, query)
    logits = learner.adapt(batch.support)(batch.query.x)[0].detach()
    assert [p.path for p in predictions] == sorted(path.name for path in query.iterdir())
    for prediction, expected in zip(predictions, logits.softmax(-1), strict=True):
        assert list(prediction.probabilities) == ["alpha", "beta", "gamma"]
        found = torch.tensor([*prediction.probabilities.values()])
        torch.testing.assert_close(found, expected, atol=1e-4, rtol=0)
        assert found.sum().item() == pytest.approx(1, abs=1e-6)
        assert prediction.probabilities[prediction.label] == max(prediction.probabilities.values())


def test_nothing_is_left_changed(learner, folders):
    before = {name: t.clone() for name, t in learner.state_dict().items()}
    first, again = (classify_folder(learner, TASKS, *folders[:2]) for _ in range(2))
    assert first == again
    assert all(torch.equal(t, before[name]) for name, t in learner.state_dict().items())


@pytest.mark.parametrize("steps", [0, 5])
def test_steps_can_be_chosen(learner, folders, steps):
    support, query, batch = folders
    *_, solver = learner.adapt_path(batch.support, steps)
    found = classify_folder(learner, TASKS, support, query, steps=steps)[0].probabilities
    expected = solver(batch.query.x)[0, 0].detach().softmax(-1)
    torch.testing.assert_close(torch.tensor([*found.values()]), expected, atol=1e-4, rtol=0)


def test_fewer_classes_and_uneven_numbers_of_images(learner, folders):
    support, query, _ = folders
    for path in (support / "beta").iterdir():
        path.unlink()
    next((support / "gamma").iterdir()).unlink()
    with pytest.warns(UserWarning, match=r"left out in .*: 1 class folders without images \(support/beta\)"):
        predictions = classify_folder(learner, TASKS, support, query)
    assert {name for p in predictions for name in p.probabilities} == {"alpha", "gamma"}
    assert all(sum(p.probabilities.values()) == pytest.approx(1, abs=1e-6) for p in predictions)


@pytest.mark.filterwarnings("ignore:BatchNorm is transductive")
def test_more_classes_than_the_run_tells_apart(learner, folders):
    support, query, batch = folders
    write(support / "delta" / "0.png", batch.support.x[0, 0])
    for steps in (None, 0):
        with pytest.raises(qs.UsageError, match=r"support holds 4 classes, but this learner tells 3 apart.*--way 4"):
            classify_folder(learner, TASKS, support, query, steps=steps)


def test_queries_are_found_in_subfolders_and_other_files_left_aside(learner, folders):
    support, query, batch = folders
    write(query / "deeper" / "x.jpg", batch.query.x[0, 0])
    (query / "notes.txt").write_text("no image")
    (query / "._alpha-0.png").write_text("what a Mac leaves behind")
    paths = [p.path for p in classify_folder(learner, TASKS, support, query)]
    assert str(Path("deeper") / "x.jpg") in paths
    assert len(paths) == 7


def test_hidden_folders_are_skipped_at_every_level_and_the_rest_is_named(learner, folders):
    support, query, batch = folders
    expected = classify_folder(learner, TASKS, support, query)
    for hidden in (support, support / "alpha", query, query / "deeper"):
        write(hidden / ".ipynb_checkpoints" / "a-checkpoint.png", batch.query.x[0, 0])
        write(hidden / "__MACOSX" / "a.png", batch.query.x[0, 0])
    assert classify_folder(learner, TASKS, support, query) == expected
    write(support / "_other" / "a.png", batch.query.x[0, 0])
    write(support / "loose.png", batch.query.x[0, 0])
    (query / "a.heic").write_bytes(b"")
    (query / "b.HEIC").write_bytes(b"")
    with pytest.warns(UserWarning, match=r"left out in .*: 2 .heic files .*, 1 folders .* with _ .*_other.*, 1 images"):
        assert classify_folder(learner, TASKS, support, query) == expected


@pytest.mark.filterwarnings("ignore:BatchNorm is transductive")
def test_one_image_can_be_asked(learner, folders):
    support, query, _ = folders
    first = classify_folder(learner, TASKS, support, query)[0]
    (found,) = classify_folder(learner, TASKS, support, query / first.path)
    assert found.path == first.path
    assert [*found.probabilities] == ["alpha", "beta", "gamma"]


def test_light_strokes_on_a_dark_ground(learner, folders):
    support, query, _ = folders
    expected = classify_folder(learner, TASKS, support, query)
    with pytest.warns(UserWarning, match="dark strokes on a light ground, and .* leave out invert"):
        classify_folder(learner, TASKS, support, query, invert=True)
    for path in query.iterdir():
        ImageOps.invert(Image.open(path)).save(path)
    with pytest.warns(UserWarning, match="6 of 12 images have the opposite ground .*; invert these files"):
        classify_folder(learner, TASKS, support, query)
    for path in support.glob("*/*"):
        ImageOps.invert(Image.open(path)).save(path)
    with pytest.warns(UserWarning, match="images look like light strokes on a dark ground, and .* pass invert=True"):
        classify_folder(learner, TASKS, support, query)
    found = classify_folder(learner, TASKS, support, query, invert=True)
    for one, other in zip(found, expected, strict=True):
        assert [*one.probabilities.values()] == pytest.approx([*other.probabilities.values()], abs=1e-4)


@pytest.mark.filterwarnings("ignore:BatchNorm is transductive")
def test_what_is_missing_or_broken_is_named(learner, folders, tmp_path):
    support, query, _ = folders
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(qs.DataError, match="nowhere is no folder"):
        classify_folder(learner, TASKS, tmp_path / "nowhere", query)
    with pytest.raises(qs.DataError, match=r"empty holds no images .*png"):
        classify_folder(learner, TASKS, support, empty)
    with pytest.raises(qs.UsageError, match="at least two class folders with images in them, found 0"):
        classify_folder(learner, TASKS, query, query)
    (query / "zz.png").write_bytes(b"\x89PNG broken")
    with pytest.raises(qs.DataError, match=r"zz\.png"):
        classify_folder(learner, TASKS, support, query)


def test_a_run_that_was_not_trained_on_images(folders):
    torch.manual_seed(0)
    learner = qs.MAML(qs.nets.MLP(hidden=(8,)), loss="mse")
    with pytest.raises(qs.UsageError, match=r"trained on Sinusoids.*cannot classify image files"):
        classify_folder(learner, qs.tasks.Sinusoids(), *folders[:2])


def test_what_a_learner_draws_does_not_depend_on_what_ran_before(folders):
    torch.manual_seed(0)
    learner = qs.SolverGAN(qs.nets.Conv4(filters=3, size=16, out_features=3), width=4, draws=3)
    first = classify_folder(learner, TASKS, *folders[:2])
    torch.rand(7)
    state = torch.get_rng_state()
    assert classify_folder(learner, TASKS, *folders[:2]) == first
    assert torch.equal(torch.get_rng_state(), state)
