"""The folder that the page begins with."""

import numpy as np
import pytest
from PIL import Image

import quickstudy as qs
from quickstudy.tasks.images.drawings import paper
from quickstudy.web.lesson import CLASSES, EXAMPLES, strokes
from quickstudy.web.start import read_folder


@pytest.fixture
def few(tmp_path):
    for i, name in enumerate("ab"):
        (tmp_path / name).mkdir()
        paper([np.array([[0.1, 0.1], [0.9, 0.2 + 0.5 * i]])]).save(tmp_path / name / "1.png")
    return tmp_path


def test_drawings_become_strokes(few):
    kind, classes = read_folder(few)
    assert kind == "drawings"
    assert [each["name"] for each in classes] == ["a", "b"]
    assert all(len(strokes(drawing)) == 1 for each in classes for drawing in each["examples"])
    assert read_folder(few, "photos")[0] == "photos"


def test_no_folder_to_begin_with(few, tmp_path):
    with pytest.raises(qs.DataError, match="is no folder"):
        read_folder(tmp_path / "nowhere")
    with pytest.raises(qs.DataError, match="no class folders"):
        read_folder(few / "a")
    (few / "a" / "2.png").write_bytes(b"no image")
    with pytest.raises(qs.DataError, match=r"2\.png is not an image"):
        read_folder(few)


def test_a_drawing_without_ink_is_named(few):
    Image.new("L", (30, 30), 255).save(few / "a" / "3.png")
    with pytest.raises(qs.DataError, match=r"3\.png holds no drawing"):
        read_folder(few, "drawings")


def test_too_much_for_the_page(few):
    for i in range(EXAMPLES):
        (few / "a" / f"x{i}.png").write_bytes(b"")
    with pytest.raises(qs.UsageError, match=f"up to {EXAMPLES + 1} images; the page takes {CLASSES} of {EXAMPLES}"):
        read_folder(few)
