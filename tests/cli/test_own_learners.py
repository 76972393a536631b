"""Learners of others, on the command line."""

import json
import re
import sys

from commands import SMALL, config, fails, quickstudy, words_of
from quickstudy import registry

CENTROIDS = '''
import torch
from torch import nn
import torch.nn.functional as F
from quickstudy.learners import SupportQueryLearner


class Centroids(SupportQueryLearner):
    """Nearest class mean in the space of the outputs.

    Args:
        model: embeds examples.
        temperature: divides the distances, > 0.
    """

    def __init__(self, model: nn.Module, *, temperature: float = 1.0) -> None:
        super().__init__()
        self.model = model
        self.temperature = temperature

    def embed(self, x):
        return self.model(x.flatten(0, 1)).unflatten(0, x.shape[:2])

    def adapt(self, support):
        onto = F.one_hot(support.y).float()
        means = onto.mT @ self.embed(support.x) / onto.sum(1)[..., None]
        return lambda x: -torch.cdist(self.embed(x), means) / self.temperature
'''


def test_one_line_makes_a_third_partys_learner_trainable(tmp_path, monkeypatch, drawings):
    """Its options, help, run folder, evaluation, report and use on one's own images come with its registration."""
    (tmp_path / "third_party_learners.py").write_text(CENTROIDS)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(registry.LEARNERS, "centroids", "third_party_learners:Centroids")

    monkeypatch.setenv("COLUMNS", "300")
    assert json.loads(quickstudy("list", "--json").out)["learners"]["centroids"].startswith("Nearest class mean")
    words = ["train", "centroids", "--tasks", "glyphs", "--net", "mlp"]
    helped = quickstudy(*words, "--help").out
    assert re.search(r"--temperature FLOAT[\s│]+divides the distances, > 0\. \(default: 1\.0\)", helped)
    assert re.search(r"--steps INT[^(]*\([^d][^(]*\(default: 1000\)", helped)  # of a learner that brings no recipe

    words += [*SMALL, *words_of(size=16, way=3, hidden=8, steps=2, out=tmp_path / "r")]
    fails(2, *words, "--test-steps", 3, says="Centroids adapts in one go")
    done = quickstudy(*words, "--temperature", 0.5)
    assert done.code == 0, done.err
    assert config(tmp_path / "r")["learner"]["options"]["temperature"] == 0.5
    assert (tmp_path / "r" / "report.html").exists()
    assert quickstudy("evaluate", tmp_path / "r", "--way", 7, "--n-tasks", 2).code == 0
    assert quickstudy("resume", tmp_path / "r").code == 0
    adapted = quickstudy("adapt", tmp_path / "r", "--support", drawings / "support", "--query", drawings / "query")
    assert adapted.code == 0, adapted.err


def test_a_learner_in_the_current_folder(tmp_path, monkeypatch):
    """Its module is found there, and the run folder is named after the class."""
    (tmp_path / "own_learners.py").write_text(CENTROIDS)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [place for place in sys.path if place not in ("", str(tmp_path))])
    words = ["train", "own_learners:Centroids", "--tasks", "glyphs", "--net", "mlp", *SMALL]
    try:
        done = quickstudy(*words, *words_of(size=16, way=3, hidden=8, steps=1))
    finally:
        registry.LEARNERS.pop("own_learners:Centroids", None)  # other tests count what there is
    assert done.code == 0, done.err
    assert (tmp_path / "runs" / "Centroids-glyphs-s0" / "report.html").exists()
