"""Pictures from a stranger: read alike whatever they are in, or refused by name."""

import io

import numpy as np
import pytest
from PIL import Image

import quickstudy as qs
from quickstudy.encoders.reading import content_hash, opened, read_image

RED, BLUE = (200, 10, 20), (10, 20, 200)


def flag(size=(40, 20)):
    """Red on the left, blue on the right."""
    image = Image.new("RGB", size, RED)
    image.paste(BLUE, (size[0] // 2, 0, *size))
    return image


def near(image, at, colour):
    return np.abs(np.array(image.getpixel(at), int) - colour).max() < 12


def saved(folder, name, image, **options):
    image.save(folder / name, **options)
    return folder / name


def test_a_camera_that_was_turned(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees clockwise
    image = read_image(saved(tmp_path, "a.jpg", flag(), exif=exif, quality=95))
    assert image.size == (20, 40)
    assert near(image, (10, 5), RED)
    assert near(image, (10, 35), BLUE)


def test_modes(tmp_path):
    grey = Image.fromarray(np.array([[0, 65535]] * 4, np.uint16))
    pink = Image.new("RGBA", (4, 4), (255, 0, 0, 128))
    clear = Image.new("P", (4, 4), 1)
    clear.putpalette([0, 0, 0, 250, 0, 0])
    found = {
        "sixteen.png": (grey, {}, (1, 3), (255, 255, 255)),
        "ink.jpg": (flag().convert("CMYK"), {"quality": 95}, (2, 2), RED),
        "pink.png": (pink, {}, (1, 1), (255, 127, 127)),
        "clear.png": (clear, {"transparency": 1}, (1, 1), (255, 255, 255)),
        "palette.gif": (flag().quantize(), {}, (2, 2), RED),
    }
    for name, (image, options, at, colour) in found.items():
        read = read_image(saved(tmp_path, name, image, **options))
        assert read.mode == "RGB", name
        assert near(read, at, colour), name


def test_a_large_jpeg_is_decoded_at_a_fraction_that_is_large_enough(tmp_path):
    path = saved(tmp_path, "large.jpg", flag((1600, 800)), quality=95)
    image = read_image(path, at_least=190)
    assert image.size == (400, 200)
    assert near(image, (100, 100), RED)
    assert read_image(path).size == (1600, 800)
    assert read_image(saved(tmp_path, "small.jpg", flag()), at_least=190).size == (40, 20)
    assert read_image(saved(tmp_path, "large.png", flag((1600, 800))), at_least=190).size == (1600, 800)


@pytest.fixture
def stranger(tmp_path):
    whole = io.BytesIO()
    flag((400, 300)).save(whole, "jpeg")
    files = {
        "cut.jpg": whole.getvalue()[: len(whole.getvalue()) // 2],
        "text.jpg": b"not an image at all",
        "empty.png": b"",
    }
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    (tmp_path / "folder.jpg").mkdir()
    return tmp_path


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("cut.jpg", "truncated"),
        ("text.jpg", "is not an image that can be read"),
        ("empty.png", "is not an image that can be read"),
        ("folder.jpg", "it is no regular file"),
        ("missing.jpg", "No such file"),
        ("a\0b.jpg", "null"),
    ],
)
def test_a_file_that_cannot_be_read_is_named_with_the_reason(stranger, name, why):
    with pytest.raises(qs.DataError, match=why) as error:
        read_image(stranger / name)
    assert str(stranger / name) in str(error.value)


@pytest.mark.parametrize("most", [100, 300])  # below the half Pillow refuses, below the whole it would only warn
def test_a_decompression_bomb(tmp_path, monkeypatch, most):
    path = saved(tmp_path, "bomb.png", Image.new("L", (20, 20)))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", most)
    for at_least in (None, 8):
        with pytest.raises(qs.DataError, match=r"bomb\.png is too large to be decoded safely .*; save it with fewer"):
            read_image(path, at_least=at_least)


def test_a_jpeg_that_is_small_enough_when_it_is_decoded_is_none(tmp_path, monkeypatch):
    path = saved(tmp_path, "large.jpg", flag((160, 80)))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 160 * 80 - 1)
    with pytest.warns(Image.DecompressionBombWarning):  # Pillow's own, of the size that the file says
        assert read_image(path, at_least=20).size == (40, 20)


@pytest.mark.parametrize(
    "array",
    [
        np.full((4, 6), 128, np.uint8),
        np.full((4, 6, 1), 128, np.uint8),
        np.full((4, 6, 3), 128, np.uint8),
        np.full((4, 6, 3), 128 / 255),
        np.full((4, 6), 128 / 255, np.float16),
        np.dstack([np.full((4, 6, 3), 128, np.uint8), np.full((4, 6), 255, np.uint8)]),
        np.full((8, 12, 3), 128, np.uint8)[::2, ::2],
    ],
)
def test_arrays(array):
    image = read_image(array)
    assert (image.size, image.mode, image.getpixel((5, 3))) == ((6, 4), "RGB", (128, 128, 128))


def test_a_mask():
    assert read_image(np.eye(3, dtype=bool)).getpixel((1, 1)) == (255, 255, 255)


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((3, 8, 8), np.uint8), r"an array \[3, 8, 8\] is no image: expected \[height, width\]"),
        (np.zeros((0, 8), np.uint8), "is no image"),
        (np.full((4, 4), 3.0), "holds floating-point numbers from 3 to 3, expected 0"),
        (np.full((4, 4), np.nan), "holds floating-point numbers from nan to nan"),
        (np.zeros((4, 4), np.int64), "holds int64, expected uint8"),
    ],
)
def test_arrays_that_are_no_images(array, message):
    with pytest.raises(qs.DataError, match=message):
        read_image(array)


def test_something_else():
    with pytest.raises(qs.UsageError, match=r"an image must be a path, a Pillow image, or an array .* got a list"):
        opened([1, 2])


def test_the_content_is_what_counts(tmp_path):
    first, second = saved(tmp_path, "a.png", flag()), saved(tmp_path, "b.png", flag())
    assert content_hash(first) == content_hash(str(second)) != content_hash(saved(tmp_path, "c.png", flag((20, 20))))
    assert content_hash(flag()) == content_hash(np.asarray(flag())) != content_hash(flag((20, 40)))
