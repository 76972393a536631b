"""The character learner's benchmark: the hard runs are the published ones, a mouse draws what was drawn; what ships."""

import zipfile
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import quickstudy as qs
from quickstudy.apply import pretrained
from quickstudy.tasks.images.pixels import ink_pixels, open_image
from scripts import benchmark

mouse, hard_runs = benchmark("mouse"), benchmark("hard_runs")


def drawings(omniglot_data, run):
    """Support and query drawings of a run, ``[20, 1, 64, 64]``, from the archive as it lies."""
    with zipfile.ZipFile(omniglot_data / "omniglot" / "images_evaluation.zip") as archive:
        files = {(*name.split("/")[1:3], name[-6:-4]): name for name in archive.namelist()}

        def read(name, drawer):
            file = files[(*name.split("/"), f"{drawer + 1:02d}")]
            return ink_pixels(open_image(BytesIO(archive.read(file)), "L"), 64)

        found = [[read(name, drawer) for name in run.characters] for drawer in (run.support, run.query)]
    return (torch.from_numpy(np.stack(part)).unsqueeze(1).float() / 255 for part in found)


def test_the_published_runs_are_two_of_each_of_ten_alphabets_by_two_people_each():
    runs = hard_runs.published()
    alphabets = [{name.split("/")[0] for name in run.characters} for run in runs]
    assert len(runs) == 20
    assert all(len(found) == 1 for found in alphabets)
    assert alphabets[::2] == alphabets[1::2]
    assert len(set.union(*alphabets)) == 10
    for run in runs:
        assert len({*run.characters}) == 20
        assert run.support != run.query
        assert {run.support, run.query} <= {*range(20)}
    assert runs[0].characters[:2] == ("Atlantean/character01", "Atlantean/character02")


def test_other_runs_follow_from_the_seed():
    sizes = {"A": 25, "B": 20, "C": 14}
    names = [f"{alphabet}/character{n:02d}" for alphabet, count in sizes.items() for n in range(count)]
    runs, again, others = (hard_runs.drawn(names, sizes, 5, seed=seed) for seed in (3, 3, 4))
    assert runs == again != others
    assert [run.characters[0][0] for run in runs] == ["A", "B", "A", "B", "A"]
    assert all(len({*run.characters}) == 20 and run.support != run.query for run in runs)


@pytest.fixture(scope="module")
def ink():
    """A ring with a bar that stands out of it, 6 pixels wide, and a dot."""
    down, across = np.mgrid[:105, :105]
    ring = np.abs(np.hypot(down - 50, across - 40) - 25) < 3
    bar = (np.abs(down - 50) < 3) & (across > 60) & (across < 95)
    dot = np.hypot(down - 90, across - 80) < 3
    return ring | bar | dot


def test_a_mouse_draws_as_it_is_told(ink):
    strokes = mouse.strokes_of(Image.fromarray((~ink * 255).astype(np.uint8)))

    def drawn(how):
        moved, pen = mouse.MICE[how](strokes, np.random.default_rng(0))
        return ink_pixels(mouse.draw(moved, pen), 64).astype(float)

    def box(image):
        rows, columns = np.nonzero(image > 60)
        return columns.min(), columns.max(), rows.min(), rows.max()

    images = {how: drawn(how) for how in mouse.MICE}
    assert images["thin"].sum() < 0.5 * images["redrawn"].sum() < 0.5 * 0.6 * images["thick"].sum()
    left, right, _, _ = box(images["redrawn"])
    small_left, small_right, _, _ = box(images["small"])
    assert 0.3 < (small_right - small_left) / (right - left) < 0.65
    assert box(images["off-centre"]) != box(images["redrawn"])
    for how in ("slanted", "resampled", "all at once"):
        assert np.abs(images[how] - images["redrawn"]).mean() > 2


def test_what_ships_is_small_and_says_how_it_was_made():
    folder = Path(pretrained.__file__).parent
    assert sum(file.stat().st_size for file in folder.glob("characters.*")) <= 3e6
    about = pretrained.about("characters")
    assert about["tasks"]["options"]["split"] in ("train", "trainval")  # background alphabets alone
    assert "characters_train.py" in about["command"]
    learner = qs.pretrained.characters()
    assert learner.bn_mode == "none"
    assert not learner.training


def test_what_ships_tells_characters_of_an_unseen_alphabet_apart(omniglot_data):
    run = hard_runs.published()[8]
    support, query = drawings(omniglot_data, run)
    learner, y = qs.pretrained.characters(), torch.arange(20)
    with torch.no_grad():
        solver = learner.adapt(qs.Examples(support[None], y[None]))
        together = solver(query[None])[0]
        assert (together.argmax(-1) == y).float().mean() > 0.8
        torch.testing.assert_close(solver(query[None, 3:4])[0], together[3:4])  # no query sees another
        aside = torch.nn.functional.pad(query[:, :, ::2, ::2], (0, 32, 32, 0))  # half as large, in a corner
        assert (solver(aside[None])[0].argmax(-1) == y).float().mean() > 0.7
        torch.testing.assert_close(solver.module(0)(query), together)
