"""The server at work: where it listens, under which names, and how it ends."""

import contextlib
import ipaddress
import os
import socket
import sys
import threading
from collections.abc import Callable

import torch
import uvicorn

from quickstudy.core.errors import UsageError
from quickstudy.core.files import reason
from quickstudy.web.server import application
from quickstudy.web.teaching import Teaching

PORT = 8017
"""Unless another is asked for; where it is taken, the system's choice."""
LOOPBACK = ("localhost", "127.0.0.1", "::1")
CONNECTIONS = 200
PATIENCE = 1.0
"""Seconds that a running answer is waited for when the server ends."""


def listen(host: str, port: int | None) -> socket.socket:
    """A socket that listens.

    Raises:
        UsageError: nothing can listen there.
    """
    last = OSError("a port is a number from 0 to 65535")
    for wanted in (PORT, 0) if port is None else [port] * (0 <= port < 2**16):
        try:
            family = socket.getaddrinfo(host, wanted, type=socket.SOCK_STREAM)[0][0]
            return socket.create_server((host, wanted), family=family, backlog=CONNECTIONS)
        except (OSError, UnicodeError) as error:
            last = error
    why = reason(last).rstrip(".")
    raise UsageError(
        f"nothing can listen at {host}, port {PORT if port is None else port}: {why}. Choose another --port (0: any)."
    ) from last


def address(listening: socket.socket, host: str) -> str:
    """What to open in a browser on this machine."""
    name, port = listening.getsockname()[:2]
    if _everywhere(name):
        name = "localhost"
    return f"http://{f'[{name}]' if ':' in name else host if host in LOOPBACK else name}:{port}/"


def serve(
    teaching: Teaching,
    listening: socket.socket,
    host: str,
    *,
    ready: Callable[[], None],
    closed: Callable[[], None],
) -> None:
    """Answer until the process is interrupted, which ends it at once.

    Args:
        teaching: what to answer.
        listening: a socket that does.
        host: that was asked for; besides loopback's names it is the only one that the server goes by. Where it stands
            for all of the machine's addresses, these and the machine's name are, too.
        ready: is called when there is an answer.
        closed: is called at the end, the last thing of all where something is still computed.
    """
    name = listening.getsockname()[0]
    names = {*LOOPBACK, host.lower(), *((socket.gethostname().lower(),) if _everywhere(name) else ())}
    cores = os.cpu_count() or 1
    torch.set_num_threads(max(1, cores // 2))
    app = application(teaching, names=sorted(names), addresses=_everywhere(name), at_once=min(2, cores))
    config = uvicorn.Config(
        app, log_level="warning", limit_concurrency=CONNECTIONS, server_header=False, proxy_headers=False, ws="none"
    )
    server = uvicorn.Server(config)
    # Threads that a daemon starts are daemons: nobody waits for what one computes when the process ends.
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    try:
        while not server.started and thread.is_alive():
            thread.join(0.01)
        ready()
        threading.Thread(target=teaching.warm_up, daemon=True).start()
        while thread.is_alive():
            thread.join(0.5)
    finally:
        server.should_exit = server.force_exit = True
        with contextlib.suppress(KeyboardInterrupt):  # a second one does not hurry it
            thread.join(PATIENCE)
        closed()
        if threading.active_count() > 1:  # in the middle of a computation, which must not be torn down under it
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(0)


def _everywhere(name: str) -> bool:
    return ipaddress.ip_address(name.partition("%")[0]).is_unspecified
