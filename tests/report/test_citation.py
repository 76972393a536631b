"""Whom to cite."""

import re
from pathlib import Path

import pytest

import quickstudy as qs
from quickstudy import registry
from quickstudy.report import citation as module
from quickstudy.report.content import read_story

FILE = Path(module.__file__).with_name("citations.bib").read_text()


def keys(bibtex):
    return re.findall(r"^@\w+\{(\w+),$", bibtex, re.MULTILINE)


def test_of_a_learner_its_parts_and_its_tasks_once_each():
    tasks = qs.tasks.Sinusoids()
    assert keys(qs.citation(qs.MAML(qs.nets.MLP(), loss="mse"), tasks)) == ["finn2017maml", "quickstudy"]
    assert keys(qs.citation(qs.ProtoNet(qs.nets.Conv4(out_features=None)))) == [
        "snell2017prototypical", "vinyals2016matching", "quickstudy",
    ]  # fmt: skip
    assert keys(qs.citation("omniglot")) == ["vinyals2016matching", "lake2015omniglot", "quickstudy"]
    assert keys(qs.citation("cub")) == ["wah2011cub", "chen2019closer", "quickstudy"]
    for name in ("cifar-fs", "fc100", "mini-imagenet", "tiered-imagenet", "fashion-mnist", "mixture"):
        assert len(keys(qs.citation(name))) > 1, name
    assert f"version = {{{qs.__version__}}}" in qs.citation()
    assert repr(qs.citation()) == qs.citation()


def test_of_a_run(tmp_path):
    learner = qs.Reptile(qs.nets.MLP(hidden=(4,)), loss="mse", inner_steps=1)
    run = qs.train(learner, qs.tasks.Sinusoids(shot=2, query=2), steps=1, meta_batch=2, out=tmp_path, progress=False)
    assert keys(qs.citation(run)) == ["nichol2018first", "finn2017maml", "quickstudy"]
    assert read_story(run).citation == qs.citation(run)


def test_an_unknown_name():
    with pytest.raises(qs.UsageError, match="no 'chess' among learners, tasks, nets, rules, encoders"):
        qs.citation("chess")


def test_every_learner_with_a_paper_has_its_entry_and_every_entry_is_of_something():
    entries = module._entries()
    for name, entry in registry.LEARNERS.own.items():
        assert entry.paper == "ours" or f"learners/{name}" in entries
    for name in entries:
        kind, _, registered = name.partition("/")
        assert registered in registry.KINDS[kind].own
    every = [entry for of_name in entries.values() for entry in of_name]
    assert len({*every}) == FILE.count("\n@")
    for entry in every:
        assert re.search(r"^  title = \{.+\},$", entry, re.MULTILINE)
        assert re.search(r"^  year = \{(19|20)\d\d\},$", entry, re.MULTILINE)
        assert entry.count("{") == entry.count("}")
