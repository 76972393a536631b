"""Prepared images in a mapped file: written once, whole or not at all; a read-only map is not copied."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch

from quickstudy.core.errors import DataError
from quickstudy.tasks import Episodes
from quickstudy.tasks.images._arrays import as_examples
from quickstudy.tasks.images._mapped import ToPrepare, mapped


def plan(fill=None) -> ToPrepare:
    return ToPrepare(("a", "b"), (2, 1), (1, 2, 2), fill or (lambda array: array.__setitem__(slice(None), 7)))


def test_written_once_and_read_again(tmp_path: Path) -> None:
    path = tmp_path / "cache" / "x.bin"
    first = mapped(path, plan)
    again = mapped(path, lambda: pytest.fail("is there"))
    assert torch.equal(first.images, torch.full((3, 1, 2, 2), 7, dtype=torch.uint8))
    assert torch.equal(again.images, first.images)
    assert again.labels.tolist() == [0, 0, 1]
    assert sorted(p.suffix for p in path.parent.iterdir()) == [".bin", ".json", ".lock"]
    again.images.zero_()  # a copy of this process's own
    assert mapped(path, plan).images.sum() == 84


@pytest.mark.parametrize("damage", ["cut", "said", "gone"])
def test_what_is_damaged_is_built_anew(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "x.bin"
    mapped(path, plan)
    if damage == "cut":
        path.write_bytes(path.read_bytes()[:-1])
    elif damage == "said":
        path.with_suffix(".json").write_text(path.with_suffix(".json").read_text().replace("2, 1", "1, 2"))
    else:
        path.unlink()
    assert mapped(path, plan).images.sum() == 84


def test_what_fails_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(array) -> None:
        raise DataError("no image")

    with pytest.raises(DataError, match="no image"):
        mapped(tmp_path / "x.bin", lambda: plan(fails))
    assert [p.name for p in tmp_path.iterdir()] in ([], ["x.lock"])

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(DataError, match=r"No space left on device.*QUICKSTUDY_CACHE"):
        mapped(tmp_path / "x.bin", plan)
    assert not (tmp_path / "x.bin").exists()


@pytest.mark.parametrize("kind", [np.uint8, np.float32])
def test_a_read_only_map_is_not_copied(tmp_path: Path, kind: type) -> None:
    images = np.random.default_rng(0).integers(256, size=(40, 1, 4, 4)).astype(kind)
    np.save(tmp_path / "x.npy", images)
    held = np.load(tmp_path / "x.npy", mmap_mode="r")
    assert as_examples(held).data_ptr() == held.ctypes.data
    labels = np.arange(40) // 10
    batches = [Episodes(each, labels, way=2, query=2).sample(2, 0) for each in (images, held)]
    del held
    assert torch.equal(batches[0].query.x, batches[1].query.x)
