"""Archives and images from somebody else: a DataError, never a hang, another error or all of the memory."""

import os
import zipfile
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image

from quickstudy.core.errors import DataError
from quickstudy.tasks import ImageFolder, Omniglot
from quickstudy.tasks.images import omniglot_files
from quickstudy.tasks.images.omniglot_files import Part
from quickstudy.tasks.images.pixels import open_image


def whole(path: Path, part: Part, content: bytes | None = None) -> None:
    drawn = BytesIO()
    Image.new("L", (8, 8)).save(drawn, "PNG")
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for drawing in range(omniglot_files.DRAWINGS):
            archive.writestr(f"{part.name}/A/character01/{drawing:02d}.png", content or drawn.getvalue())


def encrypted(path: Path, part: Part) -> None:
    whole(path, part)
    content = bytearray(path.read_bytes())
    for signature, flags in ((b"PK\x01\x02", 8), (b"PK\x03\x04", 6)):
        at = content.find(signature)
        while at >= 0:
            content[at + flags] |= 1
            at = content.find(signature, at + 4)
    path.write_bytes(content)


DAMAGED: dict[str, tuple[Callable[[Path, Part], object], str]] = {
    "encrypted": (encrypted, "password required"),
    "bomb": (lambda path, part: whole(path, part, bytes(2_000_000)), "more than a drawing needs"),
    "pipe": (lambda path, part: os.mkfifo(path), "no regular file"),
    "empty": (lambda path, part: path.write_bytes(b""), "not a zip file"),
}


@pytest.mark.parametrize("kind", DAMAGED)
def test_archives(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write, says = DAMAGED[kind]
    if kind == "pipe" and not hasattr(os, "mkfifo"):
        pytest.skip("no named pipes here")
    monkeypatch.setattr(omniglot_files, "PARTS", tuple(Part(p.name, "", 1, 1) for p in omniglot_files.PARTS))
    for part in omniglot_files.PARTS:
        write(tmp_path / f"{part.name}.zip", part)
    with pytest.raises(DataError, match=says):
        Omniglot(data=tmp_path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_a_pipe_is_no_image(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.png")
    with pytest.raises(DataError, match="no regular file"):
        open_image(tmp_path / "a.png", "L")


@pytest.mark.parametrize("read", [lambda path: Omniglot(data=path), ImageFolder, lambda path: open_image(path, "L")])
def test_a_name_too_long(read: Callable[[str], object]) -> None:
    with pytest.raises(DataError, match="File name too long"):
        read("a" * 300)
