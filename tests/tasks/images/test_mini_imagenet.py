"""miniImageNet and tieredImageNet in the forms they go round in; of 3 images of each of the 20 test classes."""

import json
import os
import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from quickstudy.core.errors import DataError
from quickstudy.tasks import MiniImageNet, TieredImageNet
from quickstudy.tasks.images import _plain_pickle, mini_imagenet_files, tiered_imagenet
from quickstudy.tasks.images._plain_pickle import read_pickle

LISTS = Path(mini_imagenet_files.__file__).parent / "lists"
CLASSES = json.loads((LISTS / "mini-imagenet.json").read_text())["test"]
SHAPE = {"split": "test", "way": 3, "shot": 1, "query": 2, "size": 9}


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch, own_cache: Path) -> None:
    monkeypatch.setattr(mini_imagenet_files, "EACH", 3)
    monkeypatch.setattr(tiered_imagenet, "CLASSES", {"train": 20, "val": 20, "test": 20})


@pytest.fixture
def folder(tmp_path: Path, class_folders) -> Path:
    """``miniimagenet/test/CLASS/IMAGE`` and a class that is not miniImageNet's; the csv of the official split."""
    root = tmp_path / "miniimagenet"
    class_folders(root / "test", [*CLASSES, "n99999999"], 3)
    names = "".join(f"{c}{n:08}.png,{c}\n" for c in CLASSES for n in range(3))
    (root / "test.csv").write_text(f"filename,label\n{names}")
    return root


def arrays(folder: Path) -> np.ndarray:
    """``[60, 9, 9, 3]``, by class and name."""
    files = [path for c in sorted(CLASSES) for path in sorted((folder / "test" / c).iterdir())]
    return np.stack([np.asarray(Image.open(path)) for path in files])


def test_folders_zips_and_lists_give_the_same(folder: Path, tmp_path: Path) -> None:
    wanted = MiniImageNet(data=tmp_path, **SHAPE).sample(4, 0)
    assert {name for names in wanted.class_names for name in names} <= {*CLASSES}
    flat = tmp_path / "flat"
    (flat / "images").mkdir(parents=True)
    for path in folder.rglob("*.png"):
        shutil.copy(path, flat / "images")
    shutil.copy(folder / "test.csv", flat)
    zipped = tmp_path / "zipped"
    shutil.make_archive(str(zipped / "test"), "zip", folder, "test")
    shutil.copy(folder / "test.csv", zipped)
    for data in (flat, zipped, zipped / "test.zip"):
        found = MiniImageNet(data=data, **SHAPE).sample(4, 0)
        assert torch.equal(found.query.x, wanted.query.x)
        assert found.class_names == wanted.class_names
    (folder / "test.csv").unlink()
    shutil.rmtree(tmp_path / "cache")
    assert torch.equal(MiniImageNet(data=folder, **SHAPE).sample(4, 0).query.x, wanted.query.x)


@pytest.mark.parametrize("form", ["cache", "category_split"])
@pytest.mark.parametrize("protocol", [0, 4])
def test_pickles_give_the_same(folder: Path, tmp_path: Path, form: str, protocol: int) -> None:
    images, names = arrays(folder), sorted(CLASSES)
    if form == "cache":
        content = {"image_data": images, "class_dict": {c: [3 * i, 3 * i + 1, 3 * i + 2] for i, c in enumerate(names)}}
        file = mini_imagenet_files.PICKLES[0][2]
    else:
        labels = (80 + np.arange(20)).repeat(3)
        content = {"data": images, "labels": labels.tolist(), "catname2label": {c: 80 + i for i, c in enumerate(names)}}
        file = mini_imagenet_files.PICKLES[1][2]
    (tmp_path / "p").mkdir()
    (tmp_path / "p" / file).write_bytes(pickle.dumps(content, protocol))
    wanted, found = (MiniImageNet(data=data, **SHAPE).sample(3, 0) for data in (folder, tmp_path / "p"))
    assert torch.equal(found.query.x, wanted.query.x)
    assert found.class_names == wanted.class_names


class Evil:
    def __reduce__(self):
        return os.system, ("touch owned",)


def test_a_pickle_runs_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    file = tmp_path / mini_imagenet_files.PICKLES[0][2]
    objects = np.array([Evil()], dtype=object)
    bomb = b"\x80\x04\x8e" + (2**60).to_bytes(8, "little") + b"x."
    for content in (
        pickle.dumps(Evil()),
        pickle.dumps({"image_data": objects}),
        bomb,
        b"",
        b"\x80\x04r\xff\xff\xff\x7f.",
        # What stands for NumPy's functions is not changed either.
        b"cnumpy.core.multiarray\nscalar\nN}S'__doc__'\nS'owned'\ns\x86b.",
        b"cnumpy\nndarray\nN}S'value'\nS'owned'\ns\x86b.",
    ):
        file.write_bytes(content)
        with pytest.raises(DataError, match=r"is not read: .*Expected a pickle of arrays"):
            MiniImageNet(data=tmp_path, **SHAPE)
    assert not (tmp_path / "owned").exists()
    assert _plain_pickle._scalar.__doc__ is None
    array = np.arange(6, dtype=">i4").reshape(2, 3).T
    file.write_bytes(pickle.dumps({"a": array, "b": [array, "text"], "c": np.float64(2.5)}, 2))
    found = read_pickle(file, "")
    assert np.array_equal(found["a"], array)
    assert np.array_equal(found["b"][0], array)
    assert found["c"] == 2.5


def test_what_is_wrong_is_said(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"64 of the 64 classes of the train split .* are not in the data"):
        MiniImageNet(data=folder, **{**SHAPE, "split": "train"})
    with pytest.raises(DataError, match=r"miniImageNet is not there; .*terms allow no download"):
        MiniImageNet(**SHAPE)
    next(iter((folder / "test" / CLASSES[0]).iterdir())).unlink()
    with pytest.raises(DataError, match=rf"class {CLASSES[0]} .* has 2 images, expected 3"):
        MiniImageNet(data=folder, **SHAPE)
    next(iter((folder / "test" / CLASSES[1]).iterdir())).write_bytes(b"no image")
    (folder / "test" / CLASSES[0] / f"{CLASSES[0]}00000009.png").write_bytes(b"no image")
    (folder / "test.csv").write_text("filename\nx\n")
    with pytest.raises(DataError, match=r"test.csv is no list of filename,label"):
        MiniImageNet(data=folder, **SHAPE)
    (folder / "test.csv").unlink()
    with pytest.raises(DataError, match=r"n\d+.png in .* is not an image"):
        MiniImageNet(data=folder, **SHAPE)
    two, bomb = np.zeros((2, 9, 9, 3), np.uint8), [0] * 30
    for _ in range(30):
        bomb = [bomb] * 30
    for content in (
        *({"image_data": two, "class_dict": classes} for classes in ({"a": [5]}, {"a": bomb}, {"a": [0], "b": [0, 1]})),
        *({"data": two, "labels": bomb}, {}, [1]),
    ):
        (tmp_path / "p").mkdir(exist_ok=True)
        (tmp_path / "p" / mini_imagenet_files.PICKLES[0][2]).write_bytes(pickle.dumps(content))
        with pytest.raises(DataError, match="holds no images and classes as expected"):
            MiniImageNet(data=tmp_path / "p", **SHAPE)


def test_tiered_in_folders_and_in_the_official_pickles(folder: Path, tmp_path: Path) -> None:
    shutil.rmtree(folder / "test" / "n99999999")
    wanted = TieredImageNet(data=folder, **SHAPE).sample(3, 0)
    files = [path for c in sorted(CLASSES) for path in sorted((folder / "test" / c).iterdir())]
    encoded = [np.frombuffer(path.read_bytes(), np.uint8) for path in files]
    labels = {"label_specific": np.arange(20).repeat(3), "label_specific_str": sorted(CLASSES)}
    official = tmp_path / "tieredimagenet"
    official.mkdir()
    (official / "test_images_png.pkl").write_bytes(pickle.dumps(encoded, 2))
    (official / "test_labels.pkl").write_bytes(pickle.dumps(labels, 2))
    tasks = TieredImageNet(data=tmp_path, **SHAPE)
    assert tasks.n_classes == 20
    assert tasks.class_names[0] == f"test 0 {min(CLASSES)}"
    found = tasks.sample(3, 0).query.x
    assert {x.numpy().tobytes() for x in found.flatten(0, 1)} <= {
        (torch.from_numpy(one).permute(2, 0, 1).float() / 255).contiguous().numpy().tobytes() for one in arrays(folder)
    }
    assert found.shape == wanted.query.x.shape
    with pytest.raises(DataError, match="tieredImageNet is not there"):
        TieredImageNet(data=tmp_path / "nowhere", **SHAPE)
    (official / "test_labels.pkl").write_bytes(pickle.dumps({"label_specific": np.arange(3)}))
    shutil.rmtree(tmp_path / "cache")
    tiered_imagenet._prepared.cache_clear()
    with pytest.raises(DataError, match="60 images have 3 labels"):
        TieredImageNet(data=tmp_path, **SHAPE)
