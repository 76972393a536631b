"""Tasks in memory are written down with their options and a hash of their data; a refused resume says what differs."""

import json

import numpy as np
import pytest
import torch

import quickstudy as qs
from quickstudy import registry
from quickstudy.training._differences import comparable, differences

IMAGES = np.random.default_rng(0).integers(0, 256, (40, 1, 16, 16), dtype=np.uint8)
LABELS = np.arange(40) // 10


def net():
    torch.manual_seed(0)
    return qs.ProtoNet(qs.nets.Conv4(out_features=None, filters=2, size=16))


def tasks(images=IMAGES, labels=LABELS, **options):
    return qs.tasks.Episodes(images, labels, **{"way": 2, "shot": 1, "query": 2, **options})


OTHERS = {
    "way": (lambda: tasks(way=3), "tasks.way was 2, is 3 now"),
    "shot": (lambda: tasks(shot=3), "tasks.shot was 1, is 3 now"),
    "rotate": (lambda: tasks(rotate="episode"), "tasks.rotate was 'none', is 'episode' now"),
    "classes": (lambda: tasks(classes=[0, 1, 2]), r"tasks.classes was None, is \[0, 1, 2\] now"),
    "names": (lambda: tasks(names=["a", "b", "c", "d"]), r"tasks.names was None, is "),
    "images": (lambda: tasks(255 - IMAGES), r"tasks.images.hash was '\w+', is '\w+' now"),
    "one pixel": (lambda: tasks(changed()), r"tasks.images.hash was '\w+', is '\w+' now"),
    "labels": (lambda: tasks(labels=LABELS[::-1]), r"tasks.labels.hash"),
    "fewer": (
        lambda: tasks(IMAGES[:30], LABELS[:30]),
        r"tasks.images.data was 'uint8 \[40, 1.*', is 'uint8 \[30,",
    ),
    "other tasks": (lambda: qs.tasks.Glyphs(way=2, query=2, size=16), "tasks.* was .*, is .* now"),
    "from pairs": (
        lambda: qs.tasks.episodes_from([*zip(IMAGES, LABELS, strict=True)], way=2, query=3),
        "tasks.query was 2, is 3 now",
    ),
}


def changed():
    images = IMAGES.copy()
    images[3, 0, 5, 5] ^= 1
    return images


def start(out, distribution):
    class Stop(Exception):
        pass

    def stop(now):
        if now.step == 2:
            raise Stop

    with pytest.raises(Stop):
        qs.train(net(), distribution, steps=3, meta_batch=2, checkpoint_every=1, out=out, progress=stop)


def resume(out, distribution):
    return qs.train(net(), distribution, steps=3, meta_batch=2, checkpoint_every=1, out=out, resume=True)


@pytest.mark.parametrize("change", OTHERS)
def test_resuming_with_other_tasks_in_memory(tmp_path, change):
    start(tmp_path / "r", tasks())
    other, message = OTHERS[change]
    with pytest.raises(
        qs.RunError, match=f"started with something else, so it cannot be resumed: .*{message}"
    ) as raised:
        resume(tmp_path / "r", other())
    if change in ("way", "shot", "rotate"):
        assert str(raised.value).count(" was ") == 2, "only what differs"


def test_resuming_with_the_same(tmp_path):
    start(tmp_path / "r", tasks())
    assert resume(tmp_path / "r", tasks(IMAGES.copy(), LABELS.copy())).steps()[-1] == 3


def test_other_options_of_training_and_learner_are_named(tmp_path):
    start(tmp_path / "r", tasks())
    with pytest.raises(qs.RunError, match=r"resumed: training.meta_batch was 2, is 4 now\.$"):
        qs.train(net(), tasks(), steps=3, meta_batch=4, checkpoint_every=1, out=tmp_path / "r", resume=True)


def test_an_older_run_cannot_tell(tmp_path):
    start(tmp_path / "r", tasks())
    config = json.loads((tmp_path / "r" / "config.json").read_text())
    config["tasks"] = {"opaque": config["tasks"]["opaque"]}
    (tmp_path / "r" / "config.json").write_text(json.dumps(config))
    with pytest.warns(UserWarning, match=r"did not write down its tasks whole .*cannot be told"):
        assert resume(tmp_path / "r", tasks()).steps()[-1] == 3


@pytest.mark.parametrize(
    "data",
    [
        torch.zeros(3, 2, dtype=torch.bfloat16),
        torch.tensor(1.5),
        np.zeros((0, 3)),
        np.array(["a", None], object),
        np.array(["ant", "bee"]),
        np.array([True]),
        [*range(2000)],
    ],
    ids=str,
)
def test_data_are_written_by_type_shape_and_hash(data):
    found = registry.describe(data)
    assert {"opaque", "data", "hash"} == found.keys()
    assert json.loads(json.dumps(found)) == found == registry.describe(data)
    with pytest.raises(qs.UsageError, match="object of the user's own"):
        registry.build(found)


def test_numbers_of_numpy_are_numbers():
    assert registry.describe([np.int64(3), np.float32(0.5), np.str_("a"), np.bool(True)]) == [3, 0.5, "a", True]


def test_in_words():
    assert differences({"a": [1, {"opaque": "x"}]}, {"a": [1, {"opaque": "y"}]})
    assert differences({"a": ["x", "y"]}, {"a": ["y", "x"]}) == ["a was ['x', 'y'], is ['y', 'x'] now"]
    assert differences({"a": 1}, {"a": 1}) == []
    assert comparable({"a": 1}, {"a": 2, "b": 3}) == ({"a": 2, "b": 3}, [])
