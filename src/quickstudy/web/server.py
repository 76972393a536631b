"""The server of the page: what it answers to which request.

Every request holds all that its answer depends on; only what was learned last is remembered (``Recent``), by what it
was learned from, so that the page need not send it again with every stroke. Nothing is written anywhere.
"""

import base64
import functools
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from importlib import resources
from threading import Lock
from typing import Any

import anyio.to_thread
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from quickstudy.core.errors import QuickstudyError, UsageError
from quickstudy.web import keep, photos
from quickstudy.web.guard import Guard, RequestError, body_of
from quickstudy.web.lesson import CLASSES, EXAMPLES, PAD, Lesson, lesson, photo, said, strokes, text
from quickstudy.web.pupil import Pupil

DRAWN, SEEN, TABLE = 4_000_000, 48_000_000, 4_000_000
"""Bytes of a request about drawings, photos or a table."""
ASKED = 50
"""Photos in one request."""
LESSONS = 64
"""Of which it is remembered what was learned."""
KINDS = {"css": "text/css", "html": "text/html", "js": "text/javascript", "json": "application/json"}
KINDS |= {"svg": "image/svg+xml"}


class Recent:
    """What was learned last, by its lesson's key: at most ``LESSONS``, and what was asked for longest ago goes first."""

    def __init__(self) -> None:
        self._kept: OrderedDict[str, Any] = OrderedDict()
        self._lock = Lock()

    def get(self, key: str) -> Any | None:
        """What was learned, if it is remembered."""
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
            return self._kept.get(key)

    def put(self, key: str, learned: Any) -> None:
        """Remember."""
        with self._lock:
            self._kept[key] = learned
            while len(self._kept) > LESSONS:
                self._kept.popitem(last=False)


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

    def begin(self) -> dict[str, Any]:
        """What the page must know."""
        return {
            "tab": "draw",
            "drawings": [],
            "photos": [],
            "line": self.pupil.line if self.pupil else "",
            "noDrawings": self.without,
            "noPhotos": photos.why_not(self.run),
            "canDoubt": self.pupil is not None and self.pupil.doubt is not None,
            "most": {"classes": CLASSES, "examples": EXAMPLES, "asked": ASKED},
            **self.start,
        }

    def draw(self, asked: dict[str, Any]) -> dict[str, Any]:
        """Which class a drawing belongs to."""
        pupil = self._pupil()
        key, learned = self._learned(
            asked, lambda these: pupil.learned(pupil.drawn(list(map(strokes, these.every)), pad=PAD), these.labels)
        )
        if "drawing" not in asked:
            return {"key": key}
        x = pupil.drawn([strokes(asked["drawing"])], pad=PAD)
        seen = base64.b64encode((x[0, 0] * 255).round().byte().numpy().tobytes()).decode()
        return {"key": key, "shares": learned.shares(x)[0].tolist(), "seen": seen, "size": x.shape[-1]}

    def sort(self, asked: dict[str, Any]) -> dict[str, Any]:
        """Which class photos belong to, and which of several to name next."""
        key, sorter = self._learned(asked, self._sorter)
        images = _photos(asked.get("photos"), ASKED)
        next_one = sorter.next(images) if len(images) > 1 else None
        return {"key": key, "shares": sorter.shares(images).tolist() if images else [], "next": next_one}

    def fill(self, asked: dict[str, Any]) -> dict[str, Any]:
        """A table filled in."""
        try:
            from quickstudy.apply.fill_in import fill_in
        except ImportError as error:
            raise UsageError(f"tables need scikit-learn ({error}): pip install 'quickstudy[sklearn]'.") from error

        target = asked.get("target")
        target = None if target is None else text(target, "the target", TABLE)
        found = fill_in(text(asked.get("text"), "the table", TABLE), target)
        return {
            "columns": found.table.columns,
            "rows": found.table.rows,
            "target": found.target,
            "classes": found.classes,
            "filled": found.filled,
            "silent": found.silent,
            "checked": found.checked,
            "csv": found.to_csv(),
            "lines": keep.TABLE.format(target=found.target),
        }

    def drawings_zip(self, asked: dict[str, Any]) -> bytes:
        """See ``keep``."""
        return keep.zipped_drawings(lesson(asked.get("classes")), self.drawing_lines())

    def photos_zip(self, asked: dict[str, Any]) -> bytes:
        """See ``keep``."""
        these = lesson(asked.get("classes"))
        return keep.zipped_photos(these, keep.PHOTOS.format(folder=keep.folders(these.names)[0]))

    def drawing_lines(self) -> str:
        """The Python lines that do the same."""
        return keep.DRAWINGS.format(size=self._pupil().shape[-1], classifier=self.name)

    def _pupil(self) -> Pupil:
        if self.pupil is None:
            raise UsageError(self.without)
        return self.pupil

    def _sorter(self, these: Lesson) -> photos.Sorter:
        images = _photos(these.every, CLASSES * EXAMPLES)
        return photos.learned(self.run, images, these.names, these.labels)

    def _learned(self, asked: dict[str, Any], learn: Callable[[Lesson], Any]) -> tuple[str, Any]:
        """What was learned of the classes that are sent, or whose key is."""
        if "classes" not in asked:
            key = text(asked.get("key"), "the key", 64)
            if (learned := self.recent.get(key)) is None:
                raise RequestError(409, "Send the classes again.")
            return key, learned
        these = lesson(asked["classes"])
        learned = self.recent.get(these.key)
        if learned is None:
            if len(these.names) < 2:
                raise UsageError("it takes two classes to tell apart.")
            learned = learn(these)
            self.recent.put(these.key, learned)
        return these.key, learned


def _photos(sent: Any, most: int) -> list[Any]:
    if not isinstance(sent, list) or len(sent) > most:
        raise UsageError(f"send a list of at most {most} photos.")
    return [photo(each, f"photo {number}") for number, each in enumerate(sent, 1)]


def application(teaching: Teaching, *, names: Sequence[str], addresses: bool = False, at_once: int = 2) -> Guard:
    """The ASGI application.

    Args:
        teaching: what it answers.
        names: hosts that it goes by.
        addresses: it may be asked by any address, too (see ``Guard``).
        at_once: requests that are computed at the same time; the others wait.
    """
    limiter: list[anyio.CapacityLimiter] = []  # made where the loop runs

    async def compute(work: Callable[[], Any]) -> Any:
        if not limiter:
            limiter.append(anyio.CapacityLimiter(at_once))
        return await anyio.to_thread.run_sync(work, limiter=limiter[0])

    def posted(answer: Callable[[dict[str, Any]], Any], most: int, kind: str = "application/json") -> Any:
        async def endpoint(request: Request) -> Response:
            body = await body_of(request, most)
            found = await compute(lambda: answer(said(body)))
            return JSONResponse(found) if kind == "application/json" else Response(found, media_type=kind)

        return endpoint

    async def begin(_: Request) -> Response:
        return JSONResponse(await compute(teaching.begin))

    async def lines(_: Request) -> Response:
        return JSONResponse({"lines": teaching.drawing_lines()})

    routes = [Route(path, _file(*found)) for path, found in page().items()]
    routes += [
        Route("/api/begin", begin),
        Route("/api/draw/lines", lines),
        Route("/api/draw", posted(teaching.draw, DRAWN), methods=["POST"]),
        Route("/api/draw/zip", posted(teaching.drawings_zip, DRAWN, "application/zip"), methods=["POST"]),
        Route("/api/photos", posted(teaching.sort, SEEN), methods=["POST"]),
        Route("/api/photos/zip", posted(teaching.photos_zip, SEEN, "application/zip"), methods=["POST"]),
        Route("/api/table", posted(teaching.fill, TABLE), methods=["POST"]),
    ]
    handlers: dict[Any, Any] = {QuickstudyError: _told, RequestError: _refused, Exception: _broken}
    app = Starlette(routes=routes, exception_handlers=handlers)
    return Guard(app, names=frozenset(names), addresses=addresses)


@functools.cache
def page() -> dict[str, tuple[bytes, str]]:
    """The page's files, by the path at which they are asked for; no other path leads to a file."""
    folder, report = resources.files("quickstudy.web") / "page", resources.files("quickstudy.report")
    files = {f"/{file.name}": file for file in folder.iterdir() if file.name.rpartition(".")[2] in KINDS}
    files |= {"/": folder / "index.html", "/palette.css": report / "palette.css"}
    return {path: (file.read_bytes(), KINDS[file.name.rpartition(".")[2]]) for path, file in files.items()}


def _file(content: bytes, kind: str) -> Callable[[Request], Any]:
    async def endpoint(_: Request) -> Response:
        return Response(content, media_type=kind)

    return endpoint


async def _told(_: Request, error: Exception) -> Response:
    return JSONResponse({"error": str(error)}, 400)


async def _refused(_: Request, error: Exception) -> Response:
    status = error.status if isinstance(error, RequestError) else 400
    return JSONResponse({"error": str(error)}, status)


async def _broken(_: Request, error: Exception) -> Response:
    return JSONResponse({"error": f"Something broke here: {type(error).__name__}. The terminal says more."}, 500)
