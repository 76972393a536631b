"""What the page asks and what it is answered, out of what was sent with the question alone.

Only what was learned last is remembered (``Recent``), by what it was learned from, so that the page need not send that
again with every stroke. Nothing is written anywhere.
"""

import base64
import contextlib
import importlib
import secrets
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from threading import Lock
from typing import Any

from quickstudy.core.errors import UsageError
from quickstudy.web import keep, photos
from quickstudy.web.exported import onnx_of
from quickstudy.web.guard import RequestError
from quickstudy.web.lesson import CLASSES, EXAMPLES, PAD, Lesson, lesson, photo, strokes, text
from quickstudy.web.pupil import Learned, Pupil
from quickstudy.web.start import encoded

ASKED = 50
"""Photos in one request."""
LESSONS, REMEMBERED = 64, 4000
"""Of so many it is remembered what was learned, if they have no more examples than that together."""
TEXT = 4_000_000
"""Characters of a table."""


class Recent:
    """What was learned last, by its lesson's key, within ``LESSONS`` and ``REMEMBERED``; the oldest goes first."""

    def __init__(self) -> None:
        self._kept: OrderedDict[str, tuple[Any, int]] = OrderedDict()
        self._lock = Lock()

    def get(self, key: str) -> Any | None:
        """What was learned, if it is remembered."""
        with self._lock:
            if key not in self._kept:
                return None
            self._kept.move_to_end(key)
            return self._kept[key][0]

    def put(self, key: str, learned: Any, examples: int) -> None:
        """Remember what was learned of so many examples."""
        with self._lock:
            self._kept[key] = learned, examples
            while len(self._kept) > LESSONS or self._examples() > max(REMEMBERED, examples):
                self._kept.popitem(last=False)

    def _examples(self) -> int:
        return sum(count for _, count in self._kept.values())


@dataclass(frozen=True)
class Teaching:
    """What the page is opened with, and the answers to what it asks.

    Args:
        pupil: of the drawings (None: there is none here, see ``without``).
        run: the learner that was asked for, if it is one of photos.
        without: why there are no drawings.
        start: ``{"tab": ..., "drawings": [...], "photos": [...]}``, classes to begin with.
        name: how the Python lines get the classifier.
    """

    pupil: Pupil | None
    run: Pupil | None = None
    without: str = ""
    start: dict[str, Any] = field(default_factory=dict[str, Any])
    name: str = 'qs.FewShotClassifier(qs.pretrained.load("characters"))'
    recent: Recent = field(default_factory=Recent)
    id: str = field(default_factory=lambda: secrets.token_hex(8))
    """Of this server: what a page keeps for when it is loaded again is of no use to another one's."""

    def begin(self) -> dict[str, Any]:
        """What the page must know."""
        return {
            "tab": "draw",
            "drawings": [],
            "photos": [],
            "id": self.id,
            "line": self.pupil.line if self.pupil else "",
            "noDrawings": self.without,
            "noPhotos": photos.why_not(self.run),
            "canDoubt": self.pupil is not None and self.pupil.doubt is not None,
            "lines": {"drawings": self._lines() if self.pupil else "", "photos": keep.PHOTOS},
            "most": {"classes": CLASSES, "examples": EXAMPLES, "asked": ASKED},
            **self.start,
        }

    def warm_up(self) -> None:
        """Do once what takes longer the first time."""
        if self.pupil is not None:
            line, bow = [[0, 0, PAD, PAD]], [[0, 0, PAD, 0, PAD, PAD]]
            two = [{"name": "line", "examples": [line]}, {"name": "bow", "examples": [bow]}]
            self.draw({"classes": two, "drawing": bow})
        with contextlib.suppress(ImportError):
            importlib.import_module("quickstudy.apply.tables.fill_in")
        photos.warm_up()

    def draw(self, asked: dict[str, Any]) -> dict[str, Any]:
        """Which class a drawing belongs to."""
        pupil = self._pupil()
        key, learned = self._learned_drawings(asked)
        if "drawing" not in asked:
            return {"key": key}
        x = pupil.drawn([strokes(asked["drawing"])], pad=PAD)
        seen = base64.b64encode((x[0, 0] * 255).round().byte().numpy().tobytes()).decode()
        return {"key": key, "shares": learned.shares(x)[0].tolist(), "seen": seen, "size": x.shape[-1]}

    def sort(self, asked: dict[str, Any]) -> dict[str, Any]:
        """Which class photos belong to, and which of several to name next."""
        key, sorter = self._learned("photos", asked, self._sorter)
        images = _photos(asked.get("photos"), ASKED)
        if not images:
            return {"key": key, "shares": [], "next": None}
        shares, next_one = sorter.sort(images)
        return {"key": key, "shares": shares.tolist(), "next": next_one if len(images) > 1 else None}

    def read(self, asked: dict[str, Any]) -> dict[str, Any]:
        """An image of a kind that the browser does not know, as one that it does."""
        name = text(asked.get("name"), "the name", 1000)
        return {"file": encoded(photo(asked.get("photo"), name))}

    def fill(self, asked: dict[str, Any]) -> dict[str, Any]:
        """A table filled in."""
        try:
            from quickstudy.apply.tables.fill_in import fill_in
        except ImportError as error:
            raise UsageError(f"tables need scikit-learn ({error}): pip install 'quickstudy[sklearn]'.") from error

        target = asked.get("target")
        target = None if target is None else text(target, "the target", 1000)
        found = fill_in(text(asked.get("text"), "the table", TEXT), target)
        return {
            "columns": [*found.table.columns],
            "rows": found.rows,
            "target": found.target,
            "classes": found.classes,
            "filled": found.filled,
            "silent": found.silent,
            "checked": found.checked,
            "csv": found.to_csv(),
            "lines": keep.TABLE.format(target=found.target),
        }

    def drawings_onnx(self, asked: dict[str, Any]) -> bytes:
        """See ``exported``."""
        these = lesson(asked.get("classes"))
        _, learned = self._learned_drawings({"classes": asked.get("classes")})
        return onnx_of(learned, these.names)

    def photos_onnx(self, asked: dict[str, Any]) -> bytes:
        """See ``exported``, or ``ImageClassifier.to_onnx``."""
        these = lesson(asked.get("classes"))
        return self._learned("photos", asked, self._sorter)[1].onnx(these.names)

    def drawings_zip(self, asked: dict[str, Any]) -> bytes:
        """See ``keep``."""
        return keep.zipped_drawings(lesson(asked.get("classes")), self._lines())

    def photos_zip(self, asked: dict[str, Any]) -> bytes:
        """See ``keep``."""
        return keep.zipped_photos(lesson(asked.get("classes")), keep.PHOTOS)

    def _lines(self) -> str:
        return keep.DRAWINGS.format(size=self._pupil().shape[-1], classifier=self.name)

    def _pupil(self) -> Pupil:
        if self.pupil is None:
            raise UsageError(self.without)
        return self.pupil

    def _learned_drawings(self, asked: dict[str, Any]) -> tuple[str, Learned]:
        pupil = self._pupil()
        return self._learned(
            "drawings",
            asked,
            lambda these: pupil.learned(pupil.drawn(list(map(strokes, these.every)), pad=PAD), these.labels),
        )

    def _sorter(self, these: Lesson) -> photos.Sorter:
        images = _photos(these.every, CLASSES * EXAMPLES)
        return photos.learned(self.run, images, these.names, these.labels)

    def _learned(self, kind: str, asked: dict[str, Any], learn: Callable[[Lesson], Any]) -> tuple[str, Any]:
        """What was learned of the classes that are sent, or whose key is."""
        if "classes" not in asked:
            key = text(asked.get("key"), "the key", 64)
            if (learned := self.recent.get(kind + key)) is None:
                raise RequestError(409, "Send the classes again.")
            return key, learned
        these = lesson(asked["classes"])
        learned = self.recent.get(kind + these.key)
        if learned is None:
            if len(these.names) < 2:
                raise UsageError("it takes two classes to tell apart.")
            learned = learn(these)
            self.recent.put(kind + these.key, learned, len(these.every))
        return these.key, learned


def _photos(sent: Any, most: int) -> list[Any]:
    if not isinstance(sent, list) or len(sent) > most:
        raise UsageError(f"send a list of at most {most} photos.")
    return [photo(each, f"photo {number}") for number, each in enumerate(sent, 1)]
