"""Run folders that the commands work with, and drawings of a person's own."""

import shutil
from pathlib import Path

import pytest
from PIL import Image

import quickstudy as qs
from commands import TINY, WAVES, Done, quickstudy


@pytest.fixture(scope="session")
def trained(tmp_path_factory) -> tuple[Path, Done]:
    """MAML on glyphs; the preset's values where nothing else is said."""
    out = tmp_path_factory.mktemp("cli") / "maml"
    chosen = ["--preset", "paper", "--inner-steps", 2, "--steps", 3, "--checkpoint-every", 2, "--log-every", 1]
    return out, quickstudy("train", "maml", "--tasks=glyphs", *TINY, *chosen, "--out", out)


@pytest.fixture(scope="session")
def waves(tmp_path_factory) -> tuple[Path, Done]:
    """Reptile on sinusoids."""
    out = tmp_path_factory.mktemp("cli") / "reptile"
    return out, quickstudy("train", "reptile", *WAVES, "--steps", 3, "--inner-steps", 4, "--out", out)


@pytest.fixture
def copied(trained, tmp_path) -> Path:
    """A copy of the run, to be damaged."""
    return Path(shutil.copytree(trained[0], tmp_path / "copied"))


@pytest.fixture(scope="session")
def more_ways(tmp_path_factory) -> tuple[Path, Done]:
    """Prototypical networks, trained on 5 classes a task for the sake of 3."""
    out = tmp_path_factory.mktemp("cli") / "protonet"
    return out, quickstudy("train", "protonet", "--tasks=glyphs", *TINY, "--train-way", 5, "--steps", 3, "--out", out)


@pytest.fixture(scope="session")
def drawings(tmp_path_factory) -> Path:
    """A person's own few images: two drawings of each of three characters, four to be told apart."""
    root = tmp_path_factory.mktemp("drawings")
    batch = qs.tasks.Glyphs(way=3, shot=2, query=2, size=40, rotate=False).sample(1, 0)
    for part, examples in (("support", batch.support), ("query", batch.query)):
        for n, (x, y) in enumerate(zip(examples.x[0], examples.y[0].tolist(), strict=True)):
            path = root / part / (f"character {y}" if part == "support" else "") / f"{n}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray((255 - 255 * x[0]).round().byte().numpy()).save(path)
    return root
