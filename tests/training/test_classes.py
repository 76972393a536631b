"""A folder of classes that changes between training and test: said, and refused where a test class was trained on."""

import json
import shutil

import pytest
import torch
from PIL import Image

import quickstudy as qs
from quickstudy.cli.main import main
from quickstudy.training.classes import classes_of

OPTIONS = {"way": 2, "shot": 1, "query": 2, "size": 16}


def add(root, name, images=3):
    (root / name).mkdir(parents=True)
    for i in range(images):
        Image.new("RGB", (20, 20), (len(name) * 9, sum(map(ord, name)) % 200, 40 * i)).save(root / name / f"{i}.png")


@pytest.fixture
def root(tmp_path):
    for c in range(20):
        add(tmp_path / "images", f"k{c:02}")
    return tmp_path / "images"


def protonet():
    torch.manual_seed(0)
    return qs.ProtoNet(qs.nets.Conv4(in_channels=3, out_features=None, filters=2, size=16))


def folder(root, **options):
    return qs.tasks.ImageFolder(root, **{**OPTIONS, **options})


@pytest.fixture
def run(root, tmp_path):
    return qs.train(protonet(), folder(root), steps=2, meta_batch=2, checkpoint_every=1, out=tmp_path / "r")


def reopened(run):
    return qs.Run.open(run.path)


def test_classes_are_written_down(run, root):
    written = json.loads((run.path / "config.json").read_text())["classes"]
    assert written == classes_of(folder(root))
    assert written["trained"] == written["train"]
    assert sorted(written["train"] + written["val"] + written["test"]) == [f"k{c:02}" for c in range(20)]
    assert classes_of(qs.tasks.Glyphs()) is None
    assert reopened(run).tasks(split="test").class_names == tuple(written["test"])  # not a word: nothing has changed


def test_a_new_class_is_named(run, root):
    new = next(n for n in (f"new{i}" for i in range(99)) if n in qs_split([n])["test"])
    add(root, new)
    with pytest.warns(UserWarning, match=f"classes of .* have changed since it was trained: test: with '{new}' now"):
        reopened(run).tasks(split="test")


def qs_split(names):
    from quickstudy.tasks.images.splits import split_names

    return split_names([*names, *(f"other{i}" for i in range(50))])


def test_a_test_class_that_was_trained_on_is_refused(run, root, capsys):
    """A person who makes splits of their own afterwards."""
    parts = reopened(run).config["classes"]
    for part in ("train", "val", "test"):
        (root / part).mkdir()
        for name in parts[part]:
            (root / name).rename(root / part / name)
    reopened(run).tasks(split="test")  # the same as it was
    moved = parts["train"][0]
    (root / "train" / moved).rename(root / "test" / moved)
    message = f"was trained on 1 of the {len(parts['test']) + 1} classes that are in the test split now .{moved}."
    with pytest.raises(qs.RunError, match=message):
        reopened(run).tasks(split="test")
    assert main(["evaluate", str(run.path), "--n-tasks", "2"]) == 4
    assert moved in capsys.readouterr().err
    assert reopened(run).results() == []


def test_a_renamed_class_is_suspected(run, root):
    name = reopened(run).config["classes"]["train"][0]
    new = next(n for n in (f"new{i}" for i in range(99)) if n in qs_split([n])["test"])
    (root / name).rename(root / new)
    with pytest.warns(UserWarning, match=f"trained on, {name} are gone; if one of them has another name now"):
        reopened(run).tasks(split="test")
    with pytest.warns(UserWarning, match=f"train: without '{name}' now"):
        reopened(run).tasks()


def test_resuming_says_which_classes_changed(run, root, tmp_path):
    for file in (tmp_path / "r" / "checkpoints").glob("step-00000002.*"):
        file.unlink()
    name = reopened(run).config["classes"]["train"][0]
    shutil.rmtree(root / name)
    with pytest.raises(qs.RunError, match=f"cannot be resumed: classes..*train: without '{name}' now") as e:
        qs.train(protonet(), folder(root), steps=2, meta_batch=2, checkpoint_every=1, out=tmp_path / "r", resume=True)
    assert "k01" not in str(e.value).replace(name, ""), "only what differs"


def test_an_older_run_opens_as_it_was_and_cannot_tell(run, root):
    config = json.loads((run.path / "config.json").read_text())
    del config["classes"]
    for option in ("split_by", "split_seed"):
        del config["tasks"]["options"][option]
    (run.path / "config.json").write_text(json.dumps(config))
    with pytest.warns(UserWarning, match="did not write down its classes .*cannot be told"):
        tasks = reopened(run).tasks(split="test")
    assert tasks.splits == folder(root, split_by="position").splits
