"""Image files of every mode: white is white and black is black, or the file is refused with what is wrong."""

import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from quickstudy.core.errors import DataError
from quickstudy.tasks import Glyphs, ImageFolder, episodes_from
from quickstudy.tasks.images.folders import readable
from quickstudy.tasks.images.pixels import in_mode, open_image

RAMP = np.linspace(0, 255, 32, dtype=np.uint8)[None].repeat(32, 0)  # black to white
FULL = RAMP.astype(np.uint16) * 257
COLOURS = np.stack([RAMP, RAMP.T, np.full_like(RAMP, 90)], -1)
LOSSY = (".jpg", ".jfif", ".avif")
grey = Image.fromarray

FILES = {
    "16-bits.png": lambda: grey(FULL),
    "16-bits.tif": lambda: grey(FULL),
    "16-bits.pgm": lambda: grey(FULL),
    "16-bits.jp2": lambda: grey(FULL),
    "float.tif": lambda: grey((FULL / 65535).astype(np.float32)),
    "8-bits.png": lambda: grey(RAMP),
    "rgb.png": lambda: grey(RAMP).convert("RGB"),
    "palette.gif": lambda: grey(RAMP).convert("P"),
    "cmyk.tif": lambda: grey(RAMP).convert("RGB").convert("CMYK"),
    "a.jpg": lambda: grey(RAMP),
    "a.jfif": lambda: grey(RAMP),
    "a.avif": lambda: grey(RAMP).convert("RGB"),
    "a.webp": lambda: grey(RAMP).convert("RGB"),
    "a.tga": lambda: grey(RAMP),
}


def folder_of(tmp_path: Path, channels: int = 1) -> ImageFolder:
    for c in range(8):
        for i in range(2):
            (tmp_path / "f" / f"c{c}").mkdir(parents=True, exist_ok=True)
            Image.new("L", (32, 32), 9 * c).save(tmp_path / "f" / f"c{c}" / f"{i}.png")
    return ImageFolder(tmp_path / "f", way=1, query=1, size=32, channels=channels)


@pytest.mark.parametrize("name", FILES)
def test_a_ramp_is_a_ramp_in_every_reader(tmp_path: Path, name: str) -> None:
    file = tmp_path / name
    if file.suffix not in readable():
        pytest.skip(f"no {file.suffix} here")
    FILES[name]().save(file, **({"quality": 100} if file.suffix in (*LOSSY, ".webp") else {}))
    expected = torch.from_numpy(RAMP / 255).float()
    close = {"atol": 0.03 if file.suffix in (*LOSSY, ".webp") else 0.004, "rtol": 0}
    torch.testing.assert_close(folder_of(tmp_path).read_image(file)[0], expected, **close)
    for channel in folder_of(tmp_path, 3).read_image(file):
        torch.testing.assert_close(channel, expected, **close)
    torch.testing.assert_close(1 - Glyphs(size=32).read_image(file)[0], expected, **close)
    for c in range(8):  # and through the whole of it
        for i in range(2):
            (tmp_path / "f" / f"c{c}" / f"{i}.png").unlink()
            (tmp_path / "f" / f"c{c}" / f"{i}{file.suffix}").write_bytes(file.read_bytes())
    x = ImageFolder(tmp_path / "f", way=1, query=1, size=32, channels=1).sample(1, 0).query.x
    torch.testing.assert_close(x[0, 0, 0], expected, **close)
    with Image.open(file) as image:
        pairs = [(image.copy() if image.mode != "I" else grey(FULL), c) for c in range(2) for _ in range(2)]
    for options in ({}, {"size": 32}, {"channels": 1}, {"channels": 3}, {"size": 32, "channels": 3}):
        x = episodes_from(pairs, way=2, query=1, **options).sample(1, 0).query.x
        for channel in x[0, 0]:
            torch.testing.assert_close(channel, expected, **close)


def test_colours_of_sixteen_bits(tmp_path: Path) -> None:
    """Pillow has no such mode and writes none: this PNG is made by hand."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    rows = b"".join(b"\0" + row.tobytes() for row in (COLOURS.astype(">u2") * 257).astype(">u2"))
    header = struct.pack(">IIBBBBB", 32, 32, 16, 2, 0, 0, 0)
    content = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n" + content)
    assert np.array_equal(np.asarray(open_image(tmp_path / "a.png", "RGB")), COLOURS)


def opaque_but_for_a_corner(mode: str) -> Image.Image:
    image = grey(RAMP).convert("LA" if mode in ("LA", "La") else "RGBA")
    alpha = np.full_like(RAMP, 255)
    alpha[:16, :16] = 0
    image.putalpha(grey(alpha))
    return image.convert(mode)


@pytest.mark.parametrize("mode", ["LA", "La", "RGBA", "RGBa"])
def test_what_is_clear_is_white_paper(mode: str) -> None:
    found = np.asarray(in_mode(opaque_but_for_a_corner(mode), "L")).astype(int)
    assert (found[:16, :16] == 255).all()
    assert abs(found[16:] - RAMP[16:]).max() <= 1


@pytest.mark.parametrize(("array", "mode", "clear"), [(RAMP, "L", 0), (FULL, "I;16", 0), (RAMP, "P", None)])
def test_a_clear_value(tmp_path: Path, array: np.ndarray, mode: str, clear: int | None) -> None:
    image = grey(array).convert(mode)
    clear = int(np.asarray(image)[0, 0]) if clear is None else clear
    image.save(tmp_path / "a.png", transparency=clear)
    with Image.open(tmp_path / "a.png") as opened:
        assert opened.mode == mode
    found = np.asarray(open_image(tmp_path / "a.png", "L"))
    assert (found[:, 0] == 255).all(), "clear"
    assert (found[:, 2:] == RAMP[:, 2:]).all()


def test_bits(tmp_path: Path) -> None:
    grey(RAMP > 100).save(tmp_path / "a.png")
    assert np.array_equal(np.asarray(open_image(tmp_path / "a.png", "L")), (RAMP > 100) * 255)


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (lambda: grey(FULL.astype(np.int32)), "whole numbers of 32 bits, of which it is not known what is white"),
        (lambda: grey(FULL.astype(np.float32)), "floating-point numbers from 0 to 65535, expected 0 .black. to 1"),
        (lambda: grey(np.full((32, 32), np.nan, np.float32)), "floating-point numbers from nan"),
        (lambda: grey((FULL / 65535 - 0.5).astype(np.float32)), "from -0.5 to 0.5"),
    ],
)
def test_numbers_without_a_range_are_refused_by_every_reader(
    tmp_path: Path, image: Callable[[], Image.Image], message: str
) -> None:
    file = tmp_path / "a.tif"
    image().save(file)
    with pytest.raises(DataError, match=rf"a.tif .*{message}"):
        folder_of(tmp_path).read_image(file)
    with pytest.raises(DataError, match=rf"a.tif .*{message}"):
        Glyphs().read_image(file)
    in_train = folder_of(tmp_path).class_names[0]
    for i in range(2):
        (tmp_path / "f" / in_train / f"x{i}.tif").write_bytes(file.read_bytes())
    with pytest.raises(DataError, match=rf"2 of .* cannot be read; .*{message}") as raised:
        ImageFolder(tmp_path / "f", way=1, query=1, size=32)
    assert "remove" not in str(raised.value)
    if image().mode != "F":  # floating point is handed on as it is, as in an array
        with pytest.raises(DataError, match=message):
            episodes_from([(image(), i // 2) for i in range(4)], way=2, query=1)
