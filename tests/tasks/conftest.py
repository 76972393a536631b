"""A tiny Omniglot in the official layout: 2 alphabets of 3 characters in each part, 20 drawings each."""

import io
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from quickstudy.tasks.images import _omniglot_splits, omniglot_files

TINY = (
    omniglot_files.Part("images_background", "not published", 2, 6),
    omniglot_files.Part("images_evaluation", "not published", 2, 6),
)
ALPHABETS = {"images_background": ("Balinese", "Greek"), "images_evaluation": ("Keble", "ULOG")}


def drawings(part: str) -> dict[str, bytes]:
    """Names inside the archive and the PNGs: black noise on white."""
    rng = np.random.default_rng(len(part))
    files: dict[str, bytes] = {}
    for alphabet in ALPHABETS[part]:
        for character in range(1, 4):
            for number in range(1, 21):
                buffer = io.BytesIO()
                Image.fromarray(rng.random((20, 20)) > 0.2).save(buffer, "PNG")
                files[f"{part}/{alphabet}/character{character:02}/{character:04}_{number:02}.png"] = buffer.getvalue()
    return files


def write_zips(root: Path) -> Path:
    root.mkdir(parents=True, exist_ok=True)
    for part in ALPHABETS:
        with zipfile.ZipFile(root / f"{part}.zip", "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in drawings(part).items():
                archive.writestr(zipfile.ZipInfo(name), content)
    return root


def write_folders(root: Path) -> Path:
    for part in ALPHABETS:
        for name, content in drawings(part).items():
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
    return root


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Expect the tiny data set instead of the real one, with an empty cache; returns the cache."""
    monkeypatch.setattr(omniglot_files, "PARTS", TINY)
    monkeypatch.setattr(_omniglot_splits, "MAML_SIZES", (6, 2, 4))
    monkeypatch.delenv("QUICKSTUDY_DATA", raising=False)
    monkeypatch.setenv("QUICKSTUDY_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def zips() -> Callable[[Path], Path]:
    return write_zips


@pytest.fixture
def folders() -> Callable[[Path], Path]:
    return write_folders
