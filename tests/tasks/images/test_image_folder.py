from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from quickstudy.core.errors import DataError, UsageError
from quickstudy.tasks import ImageFolder, TaskDistribution


def fill(folder: Path, classes: int, images: int = 4, first: int = 0) -> Path:
    """Class folders of mixed sizes, modes and formats; the red of a class says which it is."""
    for index in range(first, first + classes):
        child = folder / f"class{index:02}"
        child.mkdir(parents=True)
        for number in range(images):
            size = (20 + 7 * number, 50 - 6 * number)
            image = Image.new("RGB", size, (index * 10, 200, number * 20))
            if number == 2:
                image = image.convert("RGBA")
            image.save(child / f"{number}.{'PNG' if number % 2 == 0 else 'bmp'}")
        (child / "notes.txt").write_text("not an image")
    return folder


def classes_of(tasks: ImageFolder) -> set[int]:
    batch = tasks.sample(100, 0)
    return set((batch.query.x[:, :, 0, 4, 4] * 25.5).round().int().flatten().tolist())


def test_classes_are_split_by_name_always_in_the_same_way(tmp_path: Path) -> None:
    fill(tmp_path, 10)
    (tmp_path / ".hidden").mkdir()
    options = {"way": 1, "shot": 1, "query": 3, "size": 16}
    parts = {split: ImageFolder(tmp_path, split=split, **options) for split in ("train", "val", "test", "trainval")}
    found = {split: classes_of(tasks) for split, tasks in parts.items()}
    assert [len(found[split]) for split in ("train", "val", "test")] == [5, 2, 3]
    assert found["train"] | found["val"] | found["test"] == set(range(10))
    assert found["trainval"] == found["train"] | found["val"]
    assert {f"class{index:02}" for index in found["test"]} == set(parts["test"].class_names)
    assert parts["test"].describe().endswith(f"{tmp_path.name} test (3 classes), 1-way 1-shot, 3 queries per class")
    for tasks in parts.values():
        assert {f"class{index:02}" for index in range(10)} == {n for names in tasks.splits.values() for n in names}
        batch = tasks.sample(3, 0)
        assert batch.class_names is not None
        for x, y, names in zip(batch.support.x, batch.support.y, batch.class_names, strict=True):
            found_names = [f"class{round(float(one[0, 4, 4]) * 25.5):02}" for one in x]
            assert found_names == [names[int(label)] for label in y], "a batch says what its classes are called"


def test_a_new_or_renamed_class_moves_no_other(tmp_path: Path) -> None:
    fill(tmp_path, 20)
    options = {"way": 1, "shot": 1, "query": 3, "size": 8}
    before = ImageFolder(tmp_path, **options).splits
    fill(tmp_path / "more", 1)
    (tmp_path / "more" / "class00").rename(tmp_path / "aardvark")  # first of all in the order of names
    (tmp_path / "more").rmdir()
    (tmp_path / "class07").rename(tmp_path / "zebra")
    after = ImageFolder(tmp_path, split="test", **options).splits
    for part, names in before.items():
        assert set(names) - {"class07"} == set(after[part]) - {"aardvark", "zebra"}
    then = ImageFolder(tmp_path, split_by="position", split="test", **options)
    assert then.splits != after
    assert [len(then.splits[part]) for part in ("train", "val", "test")] == [13, 4, 4]
    assert ImageFolder(tmp_path, split_seed=1, **options).splits != after


def test_own_splits_modes_and_sizes(tmp_path: Path) -> None:
    for first, split in ((0, "train"), (6, "val"), (9, "test")):
        fill(tmp_path / split, 3, first=first)
    tasks = ImageFolder(tmp_path, split="test", way=3, query=3, size=12)
    assert classes_of(tasks) == {9, 10, 11}
    assert classes_of(ImageFolder(tmp_path, split="trainval", way=6, query=3, size=12)) == {0, 1, 2, 6, 7, 8}
    batch = tasks.sample(2, 0)
    assert batch.support.x.shape == (2, 3, 3, 12, 12)
    assert batch.query.x.max() <= 1
    assert torch.equal(tasks.sample(2, 0).query.x, batch.query.x)
    assert isinstance(tasks, TaskDistribution)
    assert (tasks.x_shape, tasks.outputs, tasks.kind) == ((3, 12, 12), 3, "classification")
    grey = ImageFolder(str(tmp_path), way=3, query=3, size=12, channels=1, rotate=True)
    assert grey.x_shape == (1, 12, 12)
    assert not torch.equal(grey.sample(1, 0).query.x, grey.sample(1, 1).query.x)


def test_the_shorter_side_is_resized_and_the_centre_cut_out(tmp_path: Path) -> None:
    fill(tmp_path, 10)
    tasks = ImageFolder(tmp_path, way=2, query=3, size=10)
    pixels = np.zeros((20, 60, 3), np.uint8)
    pixels[:, 20:40] = 255  # the centre square of a wide image
    Image.fromarray(pixels).save(tmp_path / "wide.png")
    assert (tasks.read_image(tmp_path / "wide.png")[:, :, 1:-1] > 0.9).all()


def test_broken_files_are_named(tmp_path: Path) -> None:
    fill(tmp_path / "train", 5)
    fill(tmp_path / "val", 5, first=5)
    for number, suffix in enumerate(("PNG", "bmp", "PNG", "bmp")):
        for index in (0, 3):
            (tmp_path / "train" / f"class{index:02}" / f"{number}.{suffix}").write_bytes(b"\x89PNG broken")
    with pytest.raises(DataError, match=r"8 of 40 image files in .* cannot be read; .*: .*0.PNG is not .* and 3 more"):
        ImageFolder(tmp_path, split="trainval", way=2, query=3)
    with pytest.raises(DataError, match=r"0.PNG is not an image"):
        ImageFolder(fill(tmp_path / "other", 10), way=2, query=3).read_image(tmp_path / "train" / "class00" / "0.PNG")


def test_folders_that_do_not_fit(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="missing is not a folder"):
        ImageFolder(tmp_path / "missing")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="holds no class folders"):
        ImageFolder(tmp_path / "empty")
    with pytest.raises(UsageError, match=r"3 class folders .* are too few to be split"):
        ImageFolder(fill(tmp_path / "few", 3))
    root = fill(tmp_path / "many", 10)
    with pytest.raises(UsageError, match="way=7 is larger than the 5 classes of the train split"):
        ImageFolder(root, way=7, query=3)
    with pytest.raises(UsageError, match=r"shot \+ query = 1 \+ 15 = 16 images .* has 4 \(5 of 5 classes"):
        ImageFolder(root, way=5)
    (root / "class99").mkdir()
    with pytest.raises(DataError, match=r"'class99' in .* holds no images: .*jpg.* Put images into it") as raised:
        ImageFolder(root, way=5, query=3)
    assert "remove" not in str(raised.value)
    with pytest.raises(UsageError, match=r"way=3 is larger than the 2 classes of the val .*, split_seed="):
        ImageFolder(fill(tmp_path / "ten", 10), split="val", way=3, query=1)


def test_own_splits_that_do_not_fit(tmp_path: Path) -> None:
    fill(tmp_path / "train", 3)
    fill(tmp_path / "test", 3, first=2)
    with pytest.raises(DataError, match=r"'class02' is in both .*train and .*test"):
        ImageFolder(tmp_path, way=2, query=3)
    fill(tmp_path / "b" / "train", 3)
    fill(tmp_path / "b" / "test", 3, first=3)
    with pytest.raises(DataError, match="no val/, which split='val' needs"):
        ImageFolder(tmp_path / "b", split="val", way=2, query=3)
