"""What older formats call otherwise, in today's words."""

import pytest
import torch

import quickstudy as qs
from quickstudy import registry
from quickstudy.training import upgrade
from quickstudy.training.upgrade import FORMAT, Renamed, upgraded, upgraded_config

CNP = {
    "learners": "cnp",
    "options": {"model": {"nets": "mlp", "options": {"out_features": None, "hidden": [8]}}, "kind": "regression"},
}


def test_a_kind_becomes_a_loss():
    for kind, loss in (("regression", "gaussian"), ("classification", "cross_entropy")):
        then = {**CNP, "options": {**CNP["options"], "kind": kind}}
        now = upgraded(then, 1)
        assert now["options"]["loss"] == loss
        assert "kind" not in now["options"]
        assert "kind" in then["options"]  # what is passed in stays as it was


def test_what_says_it_twice_keeps_the_loss():
    options = {"model": {"nets": "mlp", "options": {}}, "kind": "regression", "loss": "mse"}
    for name in ("hypernet", "solver-gan"):
        assert registry.build(upgraded({"learners": name, "options": options}, 1)).loss == "mse"


def test_options_that_did_not_exist_get_todays_defaults_and_it_is_described_as_it_was_upgraded():
    """Resuming compares the two."""
    now = upgraded(CNP, 1)
    learner = registry.build(now)
    assert (learner.width, learner.model.hidden, learner.loss) == (128, (8,), "gaussian")
    assert registry.describe(learner) == now


def test_today_is_left_alone():
    now = upgraded(CNP, 1)
    assert upgraded(now, FORMAT) == now


def test_what_was_done_before_an_option_was_there():
    """In any format: an option that is not written down had not been there, or had today's default."""
    folder = {"tasks": "folder", "options": {"root": "images", "way": 3}}
    for found in (1, FORMAT):
        options = upgraded(folder, found)["options"]
        assert (options["split_by"], options["split_seed"], options["way"]) == ("position", 0, 3)
    named = {"tasks": "folder", "options": {**folder["options"], "split_by": "name"}}
    assert upgraded(named, FORMAT)["options"]["split_by"] == "name"


@pytest.mark.parametrize("other", [None, 3, "adam", {"opaque": "mine.Net"}, {"learners": "of-nobody", "options": {}}])
def test_what_is_no_object_of_ours_stays(other):
    assert upgraded(other, 1) == other
    assert upgraded([other, CNP], 1) == [other, upgraded(CNP, 1)]


def test_a_rename_is_one_line(monkeypatch):
    monkeypatch.setattr(upgrade, "SINCE_1", {("tasks", "glyphs"): (Renamed("k", "shot"), Renamed("gone", None))})
    config = {"format": 1, "learner": CNP, "tasks": {"tasks": "glyphs", "options": {"k": 3, "gone": 1}}, "bn": "none"}
    now = upgraded_config(config)
    assert (now["format"], now["bn"], now["tasks"]["options"]["shot"]) == (FORMAT, "none", 3)
    assert registry.build(now["tasks"]).shot == 3


def test_a_run_of_today_says_so(tmp_path):
    torch.manual_seed(0)
    learner = qs.CNP(qs.nets.MLP(out_features=None, hidden=(8,)), loss="gaussian", width=8)
    run = qs.train(learner, qs.tasks.Sinusoids(), steps=1, meta_batch=2, out=tmp_path / "r")
    assert run.config["format"] == FORMAT == qs.Run.open(tmp_path / "r").config["format"]
    assert qs.Run.open(tmp_path / "r").learner().loss == "gaussian"
