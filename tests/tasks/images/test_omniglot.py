"""Omniglot: the real one where it is at hand, and a tiny one in its layout for all that can go wrong."""

import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from PIL import Image

from quickstudy.core.errors import DataError, UsageError
from quickstudy.tasks import Omniglot, TaskDistribution
from quickstudy.tasks.images import _omniglot_splits, omniglot_files
from quickstudy.tasks.images._omniglot_splits import split_characters
from quickstudy.tasks.images.omniglot_files import Characters

Write = Callable[[Path], Path]


@pytest.fixture(scope="session")
def real(omniglot_data: Path) -> tuple[Characters, Path]:
    root = omniglot_files.find_root(omniglot_data)
    return omniglot_files.load_characters(root, 28), root


def test_characters_of_the_real_data(real: tuple[Characters, Path]) -> None:
    characters, _ = real
    assert characters.images.shape == (1623 * 20, 1, 28, 28)
    assert characters.images.dtype == torch.uint8
    assert len(set(characters.names)) == 1623
    assert characters.names[0] == "Alphabet_of_the_Magi/character01"
    assert characters.background == 964
    assert 0.05 < characters.images.float().mean() / 255 < 0.15, "ink is 1, paper is 0"


@pytest.mark.parametrize(
    ("protocol", "sizes"),
    [("maml", (1100, 100, 423)), ("vinyals", (1028, 172, 423)), ("lake", (809, 155, 659))],
)
def test_splits_of_the_real_data(real: tuple[Characters, Path], protocol: str, sizes: tuple[int, ...]) -> None:
    characters, root = real
    parts = {
        split: set(split_characters(characters, protocol=protocol, split=split, root=root))
        for split in ("train", "val", "test", "trainval")
    }
    assert tuple(len(parts[split]) for split in ("train", "val", "test")) == sizes
    assert parts["trainval"] == parts["train"] | parts["val"]
    assert len(parts["train"] | parts["val"] | parts["test"]) == 1623 == sum(sizes), "splits are disjoint"
    if protocol == "lake":
        alphabets = [{characters.names[i].split("/")[0] for i in parts[split]} for split in ("train", "val", "test")]
        assert [len(names) for names in alphabets] == [25, 5, 20]
        assert not (alphabets[0] & alphabets[1]) | (alphabets[1] & alphabets[2]) | (alphabets[0] & alphabets[2])


@pytest.mark.parametrize(
    ("split", "digest"), [("train", "2c932db69c458bef"), ("val", "fa0b14e8cc11dc66"), ("test", "538f2c2828f660be")]
)
def test_the_maml_split_never_changes(real: tuple[Characters, Path], split: str, digest: str) -> None:
    characters, root = real
    names = sorted(characters.names[i] for i in split_characters(characters, protocol="maml", split=split, root=root))
    assert hashlib.sha256("\n".join(names).encode()).hexdigest().startswith(digest)


def test_episodes_of_the_real_data(omniglot_data: Path) -> None:
    tasks = Omniglot(split="test", data=omniglot_data)
    batch = tasks.sample(32, seed=0)
    assert batch.support.x.shape == (32, 5, 1, 28, 28)
    assert batch.query.x.shape == (32, 75, 1, 28, 28)
    assert batch.query.y.tolist() == [[label for label in range(5) for _ in range(15)]] * 32
    assert torch.equal(tasks.sample(32, 0).query.x, batch.query.x)
    distance = torch.cdist(batch.query.x.flatten(2), batch.support.x.flatten(2))
    assert (distance.argmin(-1) == batch.query.y).float().mean() > 0.35, "chance is 0.2"
    assert tasks.describe() == "Omniglot test (maml split, 423 classes), 5-way 1-shot, 15 queries per class"
    assert (tasks.x_shape, tasks.outputs, tasks.kind) == ((1, 28, 28), 5, "classification")
    assert isinstance(tasks, TaskDistribution)
    vinyals = Omniglot(split="val", protocol="vinyals", data=omniglot_data)
    assert vinyals.n_classes == 688
    assert vinyals._episodes.images is tasks._episodes.images, "one array for all"


def test_zips_folders_and_nesting_give_the_same(tiny: Path, zips: Write, folders: Write, tmp_path: Path) -> None:
    options = {"way": 3, "shot": 2, "query": 4}
    expected = Omniglot(data=zips(tmp_path / "a"), **options).sample(2, 0)
    nested = folders(tmp_path / "b" / "omniglot").parent
    for data in (nested, nested / "omniglot", str(nested)):
        assert torch.equal(Omniglot(data=data, **options).sample(2, 0).query.x, expected.query.x)
    assert sorted(path.suffix for path in (tiny / "omniglot").iterdir()) == [".lock"] * 2 + [".safetensors"] * 2


def test_data_named_by_the_environment(
    tiny: Path, zips: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QUICKSTUDY_DATA", str(zips(tmp_path / "data" / "omniglot").parent))
    assert Omniglot(way=2).n_classes == 6
    monkeypatch.setenv("QUICKSTUDY_DATA", str(tmp_path))
    with pytest.raises(DataError, match=r"no images_background.zip and no folder .*QUICKSTUDY_DATA.*glyphs"):
        Omniglot(way=2)


def test_rotation_and_streams(tiny: Path, zips: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = zips(tmp_path)

    def query(**options: object) -> torch.Tensor:
        return Omniglot(data=data, way=2, query=3, **options).sample(3, 0).query.x

    assert not torch.equal(query(), query(rotate=False)), "on in training"
    assert torch.equal(query(), query(rotate=True))
    assert torch.equal(query(split="test"), query(split="test", rotate=False)), "off in testing"
    assert not torch.equal(query(split="test"), query(split="test", rotate=True))
    monkeypatch.setitem(_omniglot_splits.VINYALS_SHA256, "train", write_split(data, "train"))
    vinyals = Omniglot(data=data, protocol="vinyals", way=8, query=3)
    assert vinyals.n_classes == 8, "two characters, four rotations"
    assert vinyals.describe().startswith("Omniglot train (vinyals split, 8 classes), 8-way")


def test_few_classes_and_affine_maps(tiny: Path, zips: Write, tmp_path: Path) -> None:
    data = zips(tmp_path)

    def seen(**options: object) -> set[bytes]:
        x = Omniglot(data=data, way=2, query=19, rotate=False, **options).sample(8, 0).query.x.flatten(0, 1)
        return {one.numpy().tobytes() for one in x}

    pools = [set(Omniglot(data=data, way=2, base_classes=n)._episodes.classes) for n in (2, 4, 5, None)]
    assert [len(pool) for pool in pools] == [2, 4, 5, 6]
    assert pools[0] < pools[1] < pools[2] < pools[3], "more classes hold the fewer"
    few = Omniglot(data=data, way=2, base_classes=3, affine="class")
    assert few.n_classes == 3
    assert "3 classes, affine maps per class" in few.describe()
    assert seen(split="test", base_classes=2, affine="drawing") == seen(split="test"), "in training only"
    assert not seen(affine="drawing") & seen()
    with pytest.raises(UsageError, match="base_classes=7 is more than the 6 characters"):
        Omniglot(data=data, way=2, base_classes=7)
    with pytest.raises(UsageError, match="base_classes must be"):
        Omniglot(data=data, way=2, base_classes=0)


def write_split(root: Path, split: str) -> str:
    names = [
        f"{name}/rot{angle:03}" for name in ("Greek/character01", "ULOG/character02") for angle in range(0, 360, 90)
    ]
    (root / "splits").mkdir()
    (root / "splits" / f"vinyals_{split}.txt").write_text("\n".join(names) + "\n")
    return hashlib.sha256("\n".join(sorted(names)).encode()).hexdigest()


def test_a_split_file_that_is_not_the_published_one(tiny: Path, zips: Write, tmp_path: Path) -> None:
    write_split(zips(tmp_path), "val")
    with pytest.raises(DataError, match=r"vinyals_val.txt \(8 lines\) is not the published one"):
        Omniglot(data=tmp_path, protocol="vinyals", split="val")


def damage_zip(root: Path) -> None:
    path = root / "images_background.zip"
    path.write_bytes(path.read_bytes()[:-5000])


def damage_member(root: Path) -> None:
    path = root / "images_background.zip"
    content = bytearray(path.read_bytes())
    content[100:140] = bytes(40)
    path.write_bytes(content)


def remove_part(root: Path) -> None:
    (root / "images_evaluation.zip").unlink()


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (damage_zip, r"images_background.zip is damaged or not completely copied .*Get it again"),
        (damage_member, r"images_background.zip"),
        (remove_part, r"no images_evaluation.zip and no folder images_evaluation/ in"),
    ],
)
def test_damaged_zips(tiny: Path, zips: Write, tmp_path: Path, damage: Callable[[Path], None], message: str) -> None:
    damage(zips(tmp_path / "data"))
    with pytest.raises(DataError, match=message):
        Omniglot(data=tmp_path / "data", way=2)
    assert not list(tiny.rglob("*.safetensors")), "nothing half-prepared stays"


def test_folders_with_something_missing(tiny: Path, folders: Write, tmp_path: Path) -> None:
    root = folders(tmp_path / "data")
    drawing = root / "images_evaluation" / "ULOG" / "character03" / "0003_07.png"
    content = drawing.read_bytes()
    drawing.unlink()
    with pytest.raises(
        DataError, match=r"2 alphabets and 6 characters, and ULOG/character03 has 19 drawings; expected"
    ):
        Omniglot(data=root, way=2)
    drawing.write_bytes(content[:60])
    with pytest.raises(DataError, match=r"0003_07.png.* cannot be read as an image"):
        Omniglot(data=root, way=2)
    shutil.rmtree(root / "images_evaluation" / "ULOG")
    with pytest.raises(DataError, match="holds 1 alphabets and 3 characters; expected 2 alphabets and 6 characters"):
        Omniglot(data=root, way=2)


def test_a_folder_that_changes_is_prepared_again(tiny: Path, folders: Write, tmp_path: Path) -> None:
    root = folders(tmp_path / "data")
    Omniglot(data=root, way=2)
    (root / "images_background" / "Greek" / "character01" / "0001_01.png").unlink()
    with pytest.raises(DataError, match="has 19 drawings"):
        Omniglot(data=root, way=2)


def test_options_that_cannot_be_met(tiny: Path, zips: Write, tmp_path: Path) -> None:
    data = zips(tmp_path)
    with pytest.raises(UsageError, match=r"shot \+ query = 10 \+ 11 is more than the 20 drawings"):
        Omniglot(data=data, shot=10, query=11)
    with pytest.raises(UsageError, match="way=7 is larger than the 6 classes"):
        Omniglot(data=data, way=7)
    with pytest.raises(UsageError, match="does not go with protocol='vinyals'"):
        Omniglot(data=data, protocol="vinyals", rotate=True)
    with pytest.raises(UsageError, match="split must be one of"):
        Omniglot(data=data, split="holdout")


def test_read_image_prepares_as_the_data_were_prepared(tiny: Path, folders: Write, tmp_path: Path) -> None:
    tasks = Omniglot(data=folders(tmp_path), way=2, size=16)
    path = tmp_path / "images_background" / "Balinese" / "character01" / "0001_01.png"
    x = tasks.read_image(path)
    assert x.shape == (1, 16, 16)
    assert torch.equal((x * 255).round().byte(), tasks._episodes.images[0])
    Image.open(path).convert("RGB").save(tmp_path / "colour.png")
    assert torch.equal(tasks.read_image(tmp_path / "colour.png"), x)
