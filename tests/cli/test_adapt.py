"""``quickstudy adapt``."""

import json
import re
import shutil
from pathlib import Path

import pytest
from PIL import Image

import quickstudy as qs
from commands import fails, quickstudy


def test_adapt_prints_a_table(trained, drawings):
    done = quickstudy("adapt", trained[0], "--support", drawings / "support", "--query", drawings / "query")
    assert done.code == 0, done.err
    header, _, *rows, note = done.out.splitlines()
    assert re.split("  +", header) == ["image", "prediction", "character 0", "character 1", "character 2"]
    assert len(rows) == 6
    for row in rows:
        image, prediction, *percents = re.split("  +", row)
        values = [float(p.removesuffix("%")) for p in percents]
        assert (drawings / "query" / image).is_file()
        assert sum(values) == pytest.approx(100, abs=0.3)
        assert values[int(prediction.split()[1])] == max(values)
    assert "transductive" in note
    assert "depends on the other query images" in note


def test_adapt_prints_json(trained, drawings):
    words = ["--support", drawings / "support", "--query", drawings / "query", "--steps", 1, "--json"]
    predictions = json.loads(quickstudy("adapt", trained[0], *words).out)
    assert len(predictions) == 6
    for prediction in predictions:
        assert sum(prediction["probabilities"].values()) == pytest.approx(1, abs=1e-6)
        assert max(prediction["probabilities"], key=prediction["probabilities"].get) == prediction["label"]


def test_adapt_chooses_checkpoints_and_devices(copied, drawings):
    words = ["adapt", copied, "--support", drawings / "support", "--query", drawings / "query", "--json"]
    best = quickstudy(*words, "--device", "cpu", "--workers", 1)
    assert best.code == 0, best.err
    assert best.out == quickstudy(*words, "--checkpoint", qs.Run.open(copied).best_step()).out
    assert best.out != quickstudy(*words, "--checkpoint", ({2, 3} - {qs.Run.open(copied).best_step()}).pop()).out
    fails(4, *words, "--checkpoint", 1, says="no checkpoint of step 1")
    fails(2, *words, "--device", "abacus", says="abacus")


def test_adapt_says_what_cannot_be(trained, waves, drawings, tmp_path):
    support, query = Path(shutil.copytree(drawings / "support", tmp_path / "support")), drawings / "query"
    shutil.copytree(support / "character 0", support / "character 3")
    both = ["--support", support, "--query", query]
    fails(2, "adapt", trained[0], *both, says="4 classes, but this learner tells 3 apart")
    fails(2, "adapt", waves[0], *both, says="trained on Sinusoids")
    fails(3, "adapt", trained[0], "--support", support, "--query", tmp_path / "nowhere", says="nowhere is no folder")
    shutil.rmtree(support / "character 3")
    (support / "character 0" / "0.png").write_bytes(b"no image")
    fails(3, "adapt", trained[0], *both, says=r"character 0/0\.png")


def test_adapt_to_more_classes_than_in_training(more_ways, tmp_path):
    batch = qs.tasks.Glyphs(way=7, shot=1, query=1, size=16).sample(1, 0)
    for part, examples in (("support", batch.support), ("query", batch.query)):
        for i, x in enumerate(examples.x[0]):
            folder = tmp_path / part / (f"c{i}" if part == "support" else "")
            folder.mkdir(parents=True, exist_ok=True)
            Image.fromarray(((1 - x[0]) * 255).byte().numpy()).save(folder / f"{i}.png")
    done = quickstudy("adapt", more_ways[0], "--support", tmp_path / "support", "--query", tmp_path / "query", "--json")
    assert done.code == 0, done.err
    found = json.loads(done.out)
    assert len(found) == 7
    assert list(found[0]["probabilities"]) == [f"c{i}" for i in range(7)]
