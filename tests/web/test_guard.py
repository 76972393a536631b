"""Whose requests are answered, and what every answer carries."""

import socket

import pytest

from quickstudy.web import guard
from quickstudy.web.guard import HEADERS
from quickstudy.web.teaching import Teaching
from served import HOOK, LINE, asked, classes, posted, pupil, serving

TWO = {"classes": classes(a=[LINE], b=[HOOK]), "drawing": LINE}


@pytest.fixture(scope="module")
def port():
    with serving(Teaching(pupil())) as port:
        yield port


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1", 200),
        ("localhost:9000", 200),  # through a tunnel
        ("LOCALHOST.", 200),
        ("evil.example", 421),
        ("127.0.0.1.evil.example", 421),
        ("192.168.0.7", 421),
        ("[::1]:80", 421),
        ("", 421),
    ],
)
def test_names(port, host, status):
    assert asked(port, "GET", "/", Host=host)[0].status == status


def test_a_server_for_others_goes_by_addresses():
    with serving(Teaching(None), names=["here"], addresses=True) as port:
        for host, status in {"192.168.0.7:80": 200, "[fe80::1]:80": 200, "here": 200, "evil.example": 421}.items():
            assert asked(port, "GET", "/", Host=host)[0].status == status, host


def test_other_sites(port):
    host = f"127.0.0.1:{port}"
    for headers, status in [
        ({"Origin": f"http://{host}"}, 200),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Sec-Fetch-Site": "same-origin"}, 200),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Content-Type": "text/plain"}, 415),
        ({"Content-Type": "application/x-www-form-urlencoded"}, 415),
    ]:
        assert asked(port, "POST", "/api/draw", TWO, **headers)[0].status == status, headers
    script = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"}
    assert asked(port, "GET", "/api/begin", **script)[0].status == 403
    link = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}
    assert asked(port, "GET", "/", **link)[0].status == 200


def test_every_answer_says_that_nothing_comes_from_elsewhere(port):
    for method, path in [("GET", "/"), ("GET", "/nowhere"), ("POST", "/api/draw"), ("GET", "/main.js")]:
        answer, _ = asked(port, method, path)
        for name, value in HEADERS.items():
            assert answer.headers[name] == value, path
        assert "server" not in answer.headers
    policy = HEADERS["Content-Security-Policy"]
    assert "unsafe" not in policy
    assert "http" not in policy


def test_too_large(port):
    assert posted(port, "/api/draw", b"[" + b" " * 4_000_001, status=413)["error"] == "That is more than 4 MB at once."


def test_a_request_without_an_end(port, monkeypatch):
    monkeypatch.setattr(guard, "PATIENCE", 0.05)
    with socket.create_connection(("127.0.0.1", port), 20) as connection:
        head = "POST /api/draw HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 100\r\n"
        connection.sendall(f"{head}\r\n{{".encode())
        assert b" 408 " in connection.recv(1000)


def test_what_is_no_request_for_it(port):
    for path in ("/../pyproject.toml", "/%2e%2e/server.py", "//etc/passwd", "/page/index.html", "/teaching.py"):
        assert asked(port, "GET", path)[0].status == 404, path
    assert asked(port, "DELETE", "/api/draw")[0].status == 405
    assert asked(port, "GET", "/api/draw")[0].status == 405
