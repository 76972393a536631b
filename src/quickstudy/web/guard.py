"""What stands before every request: whose it may be, how large, how long it may take, and what the browser is told.

A page somewhere else in the same browser can send requests to this server, too. So the ``Host`` must be one of the
server's own names (a name of somebody else's that is made to lead here is refused: DNS rebinding), and what another
page sends is known by its ``Origin``, by ``Sec-Fetch-Site``, and by JSON, which no form can send.
"""

import asyncio
import ipaddress
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import PlainTextResponse

Scope = MutableMapping[str, Any]
App = Callable[[Scope, Any, Any], Awaitable[None]]

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; connect-src 'self'; "
        "media-src 'self' blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
        "require-trusted-types-for 'script'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(self), microphone=(), geolocation=()",
    "Cache-Control": "no-store",
}
"""Of every answer: nothing from elsewhere, nothing written into the page, no frame around it."""
PATIENCE = 30  # seconds in which a request must have come


class Guard:
    """Refuses what is not this page's own, and puts ``HEADERS`` on every answer.

    Args:
        app: what answers.
        names: hosts that the server goes by, without port.
        addresses: any address of four or eight numbers is one of them, too; to such no name can be made to lead.
    """

    def __init__(self, app: App, *, names: frozenset[str], addresses: bool) -> None:
        self.app = app
        self.names = names
        self.addresses = addresses

    async def __call__(self, scope: Scope, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send) if scope["type"] == "lifespan" else None

        async def with_headers(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers[name] = value
            await send(message)

        refused = self._refused(scope, Headers(scope=scope))
        app = self.app if refused is None else PlainTextResponse(refused[1], refused[0])
        return await app(scope, receive, with_headers)

    def _refused(self, scope: Scope, headers: Headers) -> tuple[int, str] | None:
        host = headers.get("host", "")
        if not self._own(_name(host)):
            return 421, f"This server does not go by the name {host!r}.\n"
        origin = headers.get("origin")
        if origin is not None and origin not in (f"http://{host}", f"https://{host}"):
            return 403, "Requests of other sites are not answered.\n"
        opened = scope["method"] == "GET" and headers.get("sec-fetch-mode") == "navigate"
        if headers.get("sec-fetch-site", "none") not in ("same-origin", "none") and not opened:
            return 403, "Requests of other sites are not answered.\n"
        if scope["method"] == "POST" and headers.get("content-type", "").split(";")[0] != "application/json":
            return 415, "Send JSON.\n"
        return None

    def _own(self, name: str) -> bool:
        if name in self.names:
            return True
        try:
            return self.addresses and bool(ipaddress.ip_address(name))
        except ValueError:
            return False


def _name(host: str) -> str:
    """Without the port, and without the brackets of eight numbers."""
    if host.startswith("["):
        return host[1:].partition("]")[0].lower()
    return host.partition(":")[0].lower().removesuffix(".")


class RequestError(Exception):
    """A request that is larger than it may be, or does not come to an end; ``status`` is what HTTP calls it."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


async def body_of(request: Request, most: int) -> bytes:
    """All of a request's body.

    Raises:
        RequestError: more bytes than ``most``, or not all there in time.
    """
    parts: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(PATIENCE):
            async for part in request.stream():
                size += len(part)
                if size > most:
                    raise RequestError(413, f"That is more than {most // 1_000_000} MB at once.")
                parts.append(part)
    except TimeoutError as error:
        raise RequestError(408, "The request did not come to an end.") from error
    return b"".join(parts)
