"""CIFAR-FS and FC100 from a small CIFAR-100 in the official layout: 5 and 2 images of each of the 100 classes."""

import hashlib
import json
import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch

from quickstudy import registry
from quickstudy.core.errors import DataError, UsageError
from quickstudy.tasks import CIFARFS, FC100
from quickstudy.tasks.images import cifar100_files

LISTS = Path(cifar100_files.__file__).parent / "lists"
NAMES = sorted(name for part in json.loads((LISTS / "fc100.json").read_text()).values() for name in part)
SHAPE = {"way": 3, "shot": 1, "query": 6}


def write(folder: Path, seed: int = 0) -> Path:
    """The official layout; the seed is of the rows' order. A class's number is in every image's first pixel."""
    folder.mkdir(parents=True)
    order = np.random.default_rng(seed)
    for file, each in (("train.bin", 5), ("test.bin", 2)):
        rows = np.random.default_rng(each).integers(256, size=(100 * each, 3074), dtype=np.uint8)
        rows[:, 1] = rows[:, 2] = np.arange(100).repeat(each)
        rows[order.permutation(len(rows))].tofile(folder / file)
    (folder / "fine_label_names.txt").write_text("\n".join(NAMES) + "\n")
    return folder


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch, own_cache: Path) -> None:
    monkeypatch.setattr(cifar100_files, "COUNTS", {"train.bin": 5, "test.bin": 2})


def test_splits_names_and_rebuilding(tmp_path: Path) -> None:
    write(tmp_path / "cifar100" / "cifar-100-binary")
    for cls, sizes in ((CIFARFS, (64, 16, 20)), (FC100, (60, 20, 20))):
        parts = {s: cls(split=s, data=tmp_path, **SHAPE) for s in ("train", "val", "test", "trainval")}
        assert tuple(parts[s].n_classes for s in ("train", "val", "test")) == sizes
        assert {*parts["trainval"].class_names} == {*parts["train"].class_names} | {*parts["val"].class_names}
        assert not {*parts["trainval"].class_names} & {*parts["test"].class_names}
        batch = parts["test"].sample(4, 0)
        for x, y, names in zip(batch.support.x, batch.support.y, batch.class_names, strict=True):
            assert [NAMES[round(float(one[0, 0, 0]) * 255)] for one in x] == [names[int(label)] for label in y]
        again = registry.build(registry.describe(parts["train"]), split="test")
        assert torch.equal(again.sample(4, 0).query.x, batch.query.x)
    assert parts["val"].describe() == "FC100 val (20 classes), 3-way 1-shot, 6 queries per class"


def test_the_order_of_the_rows_does_not_matter(tmp_path: Path) -> None:
    first, second = (CIFARFS(data=write(tmp_path / str(i), seed=i), **SHAPE).sample(2, 0) for i in (0, 1))
    assert torch.equal(first.query.x, second.query.x)


def test_download_once(served: tuple[Path, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd) -> None:
    folder, url = served
    write(tmp_path / "cifar-100-binary")
    with tarfile.open(folder / "c.tar.gz", "w:gz", compresslevel=1) as tar:
        tar.add(tmp_path / "cifar-100-binary", "cifar-100-binary")
    monkeypatch.setenv("QUICKSTUDY_CIFAR100_URL", f"{url}/c.tar.gz")
    with pytest.raises(DataError, match=r"did not arrive as published .*QUICKSTUDY_DATA"):
        CIFARFS(**SHAPE)
    monkeypatch.setattr(cifar100_files, "MD5", hashlib.md5((folder / "c.tar.gz").read_bytes()).hexdigest())
    batch = CIFARFS(**SHAPE).sample(2, 0)
    (folder / "c.tar.gz").unlink()
    assert torch.equal(FC100(**SHAPE).sample(2, 0).support.x, FC100(data=tmp_path, **SHAPE).sample(2, 0).support.x)
    assert torch.equal(CIFARFS(data=tmp_path, **SHAPE).sample(2, 0).query.x, batch.query.x)
    assert capfd.readouterr() == ("", ""), "the library is silent"


def test_what_is_wrong_is_said(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"not in .*nowhere: point --data DIR"):
        CIFARFS(data=tmp_path / "nowhere")
    folder = write(tmp_path / "a")
    with pytest.raises(UsageError, match=r"shot \+ query = 1 \+ 15 = 16"):
        CIFARFS(data=folder)
    with pytest.raises(UsageError, match="way=21 is larger than the 20 classes"):
        CIFARFS(data=folder, split="test", **{**SHAPE, "way": 21})
    for option in ({"jitter": 1.5}, {"crop": -1}, {"size": 4}, {"split": "all"}):
        with pytest.raises(UsageError, match=next(iter(option))):
            CIFARFS(data=folder, **SHAPE, **option)
    rows = (folder / "train.bin").read_bytes()
    for content in (rows[:-3074], rows[:1] + b"\x63" + rows[2:]):
        (folder / "train.bin").write_bytes(content)
        with pytest.raises(DataError, match=r"train.bin in .* is not CIFAR-100's: .*expected 5 rows"):
            CIFARFS(data=folder, **SHAPE)
    (folder / "fine_label_names.txt").unlink()
    with pytest.raises(DataError, match=r"has no fine_label_names.txt"):
        CIFARFS(data=folder, **SHAPE)
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / cifar100_files.ARCHIVE).write_bytes(b"\x1f\x8b damaged")
    with pytest.raises(DataError, match=r"damaged or not completely copied"):
        CIFARFS(data=tmp_path / "b", **SHAPE)


def test_only_training_images_are_changed(tmp_path: Path) -> None:
    folder = write(tmp_path / "a")
    changes = {"crop": 4, "flip": True, "jitter": 0.4}
    for split, same in (("train", False), ("trainval", False), ("val", True), ("test", True)):
        plain, changed = (CIFARFS(data=folder, split=split, **SHAPE, **more).sample(2, 0) for more in ({}, changes))
        assert torch.equal(plain.query.x, changed.query.x) is same
        assert torch.equal(plain.query.y, changed.query.y)


def test_another_size_and_an_image_of_ones_own(tmp_path: Path) -> None:
    tasks = CIFARFS(data=write(tmp_path / "a"), size=16, **SHAPE)
    assert tasks.x_shape == tasks.sample(1, 0).support.x.shape[2:] == (3, 16, 16)
    from PIL import Image

    Image.new("RGB", (40, 20), (255, 0, 0)).save(tmp_path / "own.png")
    assert tasks.read_image(tmp_path / "own.png")[:, 3, 3].tolist() == [1, 0, 0]
