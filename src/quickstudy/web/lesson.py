"""What the page sends, checked: everything in it is bounded, and nothing else is looked at."""

import base64
import binascii
import hashlib
import json
import math
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import numpy as np
from PIL import Image

from quickstudy.core.errors import DataError, UsageError
from quickstudy.core.files import parse_json
from quickstudy.tasks.images.drawings import Stroke
from quickstudy.tasks.images.pixels import open_image

CLASSES = 50
EXAMPLES = 50
"""Of one class."""
NAME = 60
"""Characters of a name."""
POINTS = 5000
"""Of one drawing; a busy one has some hundreds."""
PAD = 1000
"""The side of the page's pads, in the unit of its strokes."""
IMAGE_BYTES = 12_000_000
PIXELS = 40_000_000
"""Of one photo; the page makes its photos smaller before it sends them."""


@dataclass(frozen=True)
class Lesson:
    """Examples of named classes, as they came (``key`` says what they are, so that the same ones are known again)."""

    names: list[str]
    examples: list[list[Any]]
    key: str

    @property
    def labels(self) -> list[int]:
        """Of every example, class by class."""
        return [label for label, group in enumerate(self.examples) for _ in group]

    @property
    def every(self) -> list[Any]:
        """The examples, class by class."""
        return [example for group in self.examples for example in group]


def said(body: bytes) -> dict[str, Any]:
    """The JSON object of a request.

    Raises:
        UsageError: it is none.
    """
    try:
        found = parse_json(body)
    except ValueError as error:
        raise UsageError(f"the request is not JSON: {error}.") from error
    if not isinstance(found, dict):
        raise UsageError("the request is no JSON object.")
    return found


def lesson(classes: Any) -> Lesson:
    """What is to be learned: ``[{"name": ..., "examples": [...]}, ...]``; examples are looked at when they are read.

    Raises:
        UsageError: anything else, classes of the same name or without a name, or too many of them or of examples.
    """
    if not isinstance(classes, list) or not all(isinstance(each, dict) for each in classes):
        raise UsageError("the classes are no list of objects.")
    if len(classes) > CLASSES:
        raise UsageError(f"{len(classes)} classes are more than the {CLASSES} that this page takes.")
    names = [text(each.get("name"), "a class's name", NAME).strip() for each in classes]
    examples = [each.get("examples") for each in classes]
    for name, group in zip(names, examples, strict=True):
        if not name:
            raise UsageError("a class has no name.")
        if names.count(name) > 1:
            raise UsageError(f"two classes are called {name}; give each a name of its own.")
        if not isinstance(group, list) or not 1 <= len(group) <= EXAMPLES:
            raise UsageError(f"{name} needs 1 to {EXAMPLES} examples.")
    key = hashlib.sha256(json.dumps([names, examples]).encode()).hexdigest()
    return Lesson(names, examples, key)


def text(value: Any, what: str, most: int) -> str:
    """Raises ``UsageError`` for what is no text, or a longer one."""
    if not isinstance(value, str) or len(value) > most:
        raise UsageError(f"{what} must be a text of at most {most:,} characters.")
    if not value.isascii() and any("\ud800" <= character <= "\udfff" for character in value):
        raise UsageError(f"{what} holds half a character.")
    return value


def strokes(drawing: Any) -> list[Stroke]:
    """A drawing: strokes ``[x, y, x, y, ...]`` in thousandths of the pad, which they may leave by its own size.

    Raises:
        UsageError: anything else, or more than ``POINTS`` points.
    """
    wrong = UsageError(f"a drawing is 1 to {POINTS:,} points on the pad, as lists of numbers x, y, x, y, ...")
    if not isinstance(drawing, list) or not drawing or not all(isinstance(way, list) and way for way in drawing):
        raise wrong
    if sum(map(len, drawing)) > 2 * POINTS or any(len(way) % 2 for way in drawing):
        raise wrong
    for way in drawing:
        for value in way:
            if type(value) not in (int, float) or not math.isfinite(value) or not -PAD <= value <= 2 * PAD:
                raise wrong
    return [np.array(way, np.float64).reshape(-1, 2) for way in drawing]


def photo(encoded: Any, name: str) -> Image.Image:
    """A photo, RGB, out of the text (base64) of its file.

    Raises:
        DataError: no image that can be read, or one of too many pixels.
        UsageError: no such text, or a longer one.
    """
    written = text(encoded, name, IMAGE_BYTES * 4 // 3 + 4)
    try:
        content = base64.b64decode(written, validate=True)
    except binascii.Error as error:
        raise UsageError(f"{name} is not written in base64.") from error
    return picture(content, name)


def picture(content: bytes, name: str) -> Image.Image:
    """The content of an image file, RGB.

    Raises:
        DataError: no image that can be read, or one of too many pixels.
    """
    open_size(content, name)
    return open_image(BytesIO(content), "RGB", name)


def open_size(content: bytes, name: str) -> None:
    """Raise ``DataError`` where an image says that it has more than ``PIXELS`` pixels."""
    try:
        with Image.open(BytesIO(content)) as opened:
            across, down = opened.size
    except Exception:  # what is wrong with it, reading it says
        return
    if across * down > PIXELS:
        raise DataError(f"{name} has {across} x {down} pixels, more than the {PIXELS:,} that are read.")
