"""The server of the page: its files, and what answers to which request."""

import functools
from collections.abc import Callable, Sequence
from importlib import resources
from typing import Any

import anyio.to_thread
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from quickstudy.core.errors import QuickstudyError
from quickstudy.web.guard import Guard, RequestError, body_of
from quickstudy.web.lesson import said
from quickstudy.web.teaching import TEXT, Teaching

DRAWN, SEEN = 4_000_000, 48_000_000
"""Bytes of a request about drawings, or photos."""
KINDS = {
    **{"css": "text/css", "html": "text/html", "js": "text/javascript", "json": "application/json"},
    "svg": "image/svg+xml",
}


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

    routes = [Route(path, _file(*found)) for path, found in page().items()]
    routes += [
        Route("/api/begin", begin),
        Route("/api/draw", posted(teaching.draw, DRAWN), methods=["POST"]),
        Route("/api/draw/zip", posted(teaching.drawings_zip, DRAWN, "application/zip"), methods=["POST"]),
        Route("/api/draw/onnx", posted(teaching.drawings_onnx, DRAWN, "application/octet-stream"), methods=["POST"]),
        Route("/api/photos", posted(teaching.sort, SEEN), methods=["POST"]),
        Route("/api/photos/onnx", posted(teaching.photos_onnx, SEEN, "application/octet-stream"), methods=["POST"]),
        Route("/api/photos/read", posted(teaching.read, SEEN), methods=["POST"]),
        Route("/api/photos/zip", posted(teaching.photos_zip, SEEN, "application/zip"), methods=["POST"]),
        Route("/api/table", posted(teaching.fill, TEXT), methods=["POST"]),
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
