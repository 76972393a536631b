"""The page's server under load: many pages at once that draw, each another lesson and an answer after each stroke.

    python benchmarks/teach_load.py --pages 20 --seconds 60

The server runs as `quickstudy teach` runs it, in a process of its own. Each page has five characters of its own (random
strokes), sends them once, asks for a drawing every half second, and changes a character every tenth time, which is then
learned anew. Printed: answers, errors, how long they took, and the server's memory and time on the cores.
"""

import argparse
import http.client
import json
import os
import random
import re
import signal
import statistics
import subprocess
import sys
import threading
import time
from pathlib import Path

PAUSE = 0.5  # seconds between two strokes of a page
FEW, ANEW = 5, 10  # characters, and how many answers go by until one is drawn anew


def drawing(rng: random.Random) -> list[list[int]]:
    """One to four strokes of thirty points each, a walk."""
    found: list[list[int]] = []
    for _ in range(rng.randint(1, 4)):
        x, y = rng.randint(200, 800), rng.randint(200, 800)
        way: list[int] = []
        for _ in range(30):
            x, y = (min(max(at + rng.randint(-60, 60), 0), 1000) for at in (x, y))
            way += [x, y]
        found.append(way)
    return found


class Page(threading.Thread):
    """What one page sends, until ``end``; ``took`` holds the seconds of each answer."""

    def __init__(self, port: int, number: int, end: float) -> None:
        super().__init__()
        self.port, self.end, self.rng = port, end, random.Random(number)
        self.took: list[float] = []
        self.errors: list[str] = []

    def run(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        classes = [{"name": f"c{i}", "examples": [drawing(self.rng)]} for i in range(FEW)]
        key, count = None, self.rng.randrange(ANEW)  # not all pages change a character at once
        time.sleep(self.rng.random() * PAUSE)
        while time.monotonic() < self.end:
            if count % ANEW == ANEW - 1:
                self.rng.choice(classes)["examples"] = [drawing(self.rng)]
                key = None
            known = {"classes": classes} if key is None else {"key": key}
            started = time.monotonic()
            try:
                sent = json.dumps({**known, "drawing": drawing(self.rng)})
                connection.request("POST", "/api/draw", sent, {"Content-Type": "application/json"})
                answer = connection.getresponse()
                said = json.loads(answer.read())
                if answer.status == 200:
                    key = said["key"]
                    self.took.append(time.monotonic() - started)
                elif answer.status == 409:  # forgotten: the page sends its classes again
                    key = None
                else:
                    self.errors.append(f"{answer.status}: {said}")
            except (OSError, http.client.HTTPException, ValueError) as error:
                self.errors.append(repr(error))
                connection.close()
            count += 1
            time.sleep(max(0.0, PAUSE - (time.monotonic() - started)))
        connection.close()


def memory(pid: int) -> float:
    """Of a process, resident, in MB (Linux)."""
    return int(re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())[1]) / 1000  # pyright: ignore


def core_seconds(pid: int) -> float:
    """That a process has spent (Linux)."""
    return sum(map(int, Path(f"/proc/{pid}/stat").read_text().split()[13:15])) / os.sysconf("SC_CLK_TCK")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pages", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=60)
    given = parser.parse_args()
    command = [sys.executable, "-m", "quickstudy", "teach", "--port", "0", "--no-browser"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        port = int(re.search(r":(\d+)/", server.stdout.readline())[1])  # pyright: ignore
        try:
            for seconds in (given.seconds / 6, given.seconds):  # the first to warm up
                before, spent = memory(server.pid), -core_seconds(server.pid)
                pages = [Page(port, number, time.monotonic() + seconds) for number in range(given.pages)]
                for page in pages:
                    page.start()
                for page in pages:
                    page.join()
                spent += core_seconds(server.pid)
            after = memory(server.pid)
        finally:
            server.send_signal(signal.SIGINT)
            server.wait(10)
    took = sorted(1000 * each for page in pages for each in page.took)
    errors = [error for page in pages for error in page.errors]
    print(f"{given.pages} pages for {given.seconds:.0f} s: {len(took)} answers, {len(errors)} errors {errors[:3]}")
    tenths = statistics.quantiles(took, n=10)
    print(f"milliseconds: median {statistics.median(took):.0f}, slowest tenth {tenths[-1]:.0f}, slowest {took[-1]:.0f}")
    print(f"the server: {before:.0f} MB before, {after:.0f} MB after")
    print(f"of a core: {1000 * spent / len(took):.0f} ms an answer")


if __name__ == "__main__":
    main()
