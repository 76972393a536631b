"""The command that opens the page: it says where, answers, and ends at once; what it cannot do is a line."""

import http.client
import json
import os
import re
import signal
import subprocess
import sys

import pytest

from quickstudy.cli.main import main


@pytest.mark.slow
def test_it_says_where_answers_and_ends_at_once(tmp_path):
    command = [sys.executable, "-m", "quickstudy", "teach", "--port", "0", "--no-browser"]
    # A shell lets what it starts in the background ignore Ctrl-C, and so would the tests and the server.
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=tmp_path,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    ) as served:
        said = served.stdout.readline()
        port = int(re.fullmatch(r"The page is http://127\.0\.0\.1:(\d+)/ \(Ctrl-C ends it\)\.\n", said)[1])
        for host, status in ((f"127.0.0.1:{port}", 200), ("elsewhere.example", 421)):
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=300)
            connection.request("GET", "/api/begin", headers={"Host": host})
            answer = connection.getresponse()
            assert answer.status == status
            body = answer.read()
            if status == 200:
                assert json.loads(body)["line"] == "964 other characters"
            connection.close()
        os.kill(served.pid, signal.SIGINT)
        try:
            rest, _ = served.communicate(timeout=60)
        finally:
            served.kill()
    assert (served.returncode, rest) == (0, "Closed.\n")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("given", "code", "says"),
    [
        (["nowhere"], 3, "nowhere is no folder"),
        (["--run", "nowhere"], 4, "nowhere"),
        (["--port", "70000", "--no-browser"], 2, "port 70000"),
        (["--host", "no.such.host.invalid", "--no-browser"], 2, "no.such.host.invalid"),
    ],
)
def test_what_cannot_be_opened_is_a_line(given, code, says, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["teach", *given]) == code
    error = capsys.readouterr().err
    assert says in error
    assert "Traceback" not in error


def test_without_the_extra_it_says_how_to_get_it(capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    monkeypatch.delitem(sys.modules, "quickstudy.web.serve", raising=False)
    assert main(["teach"]) == 2
    assert "pip install 'quickstudy[web]'" in capsys.readouterr().err
