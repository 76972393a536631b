"""What a person takes away: the examples as a folder in a zip, and the Python lines that do what the page did."""

import csv
import re
from collections.abc import Callable, Iterable
from io import BytesIO, StringIO
from typing import Any
from zipfile import ZIP_STORED, ZipFile

from PIL import Image

from quickstudy.tasks.images.drawings import paper
from quickstudy.web.lesson import PAD, Lesson, photo, strokes

DRAWINGS = """\
from pathlib import Path

import torch

import quickstudy as qs
from quickstudy.tasks.images.tracing import read_drawing

files = sorted(Path("few").glob("*/*.png"))  # few/CLASS/1.png, ...: the folder in the zip
drawings = torch.stack([read_drawing(file, {size}) for file in files])

classifier = {classifier}
classifier.fit(drawings, [file.parent.name for file in files])
print(classifier.predict(drawings))  # or of other drawings: read_drawing(file, {size})
"""
PHOTOS = """\
import quickstudy as qs

classifier = qs.ImageClassifier().fit("few")  # few/CLASS/1.jpg, ...: the folder in the zip
print(classifier.predict("new"))  # a folder of others, or a list of files
"""
TABLE = """\
from pathlib import Path

from quickstudy.apply.tables.fill_in import fill_in

found = fill_in(Path("table.csv").read_text(), {target!r})
print(found.to_csv())
"""


def zipped_drawings(lesson: Lesson, lines: str) -> bytes:
    """``few/CLASS/1.png``, ... with dark ink on light paper, ``labels.csv`` and ``again.py``."""

    def file_of(drawing: Any) -> bytes:
        return _file(paper(strokes(drawing), pad=PAD), "PNG")

    return _zipped(lesson, file_of, "png", lines)


def zipped_photos(lesson: Lesson, lines: str) -> bytes:
    """``few/CLASS/1.jpg``, ..., ``labels.csv`` and ``again.py``."""

    def file_of(sent: Any) -> bytes:
        return _file(photo(sent, "a photo"), "JPEG", quality=95)

    return _zipped(lesson, file_of, "jpg", lines)


def folders(names: Iterable[str]) -> list[str]:
    """Names that any system takes for a folder, each another one.

    >>> folders(["a/b", "../a", "", "A", "a"])
    ['a_b', 'a', 'class', 'A 2', 'a 3']
    """
    found: list[str] = []
    for name in names:
        plain = re.sub(r"[^\w -]+", "_", name).strip(" _")[:60] or "class"
        taken = {other.lower() for other in found}
        count, own = 1, plain
        while own.lower() in taken:
            count, own = count + 1, f"{plain} {count + 1}"
        found.append(own)
    return found


def _zipped(lesson: Lesson, file_of: Callable[[Any], bytes], suffix: str, lines: str) -> bytes:
    out, labels = BytesIO(), StringIO()
    rows = csv.writer(labels, lineterminator="\n")
    rows.writerow(["file", "label"])
    with ZipFile(out, "w", ZIP_STORED) as archive:  # what is in it is compressed already
        for name, folder, group in zip(lesson.names, folders(lesson.names), lesson.examples, strict=True):
            for number, example in enumerate(group, 1):
                path = f"few/{folder}/{number}.{suffix}"
                archive.writestr(path, file_of(example))
                rows.writerow([path, name])
        archive.writestr("labels.csv", labels.getvalue())
        archive.writestr("again.py", lines)
    return out.getvalue()


def _file(image: Image.Image, kind: str, **options: Any) -> bytes:
    out = BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()
