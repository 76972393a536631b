"""Preparing and downloading: two at once, killed in the middle, wrong checksums, no network."""

import hashlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import torch

from quickstudy.core.errors import DataError
from quickstudy.tasks import Omniglot
from quickstudy.tasks.images import _omniglot_splits, omniglot_files
from quickstudy.tasks.images._cache import prepared

SOURCE = Path(omniglot_files.__file__).parents[3]
CHILD = """
import hashlib, os, sys, time
from pathlib import Path
from quickstudy.tasks import Omniglot
from quickstudy.tasks.images import _cache, _omniglot_splits as splits, omniglot_files as files
files.PARTS = tuple(files.Part(part.name, "", 2, 6) for part in files.PARTS)
splits.MAML_SIZES = (6, 2, 4)
log, mode = Path(sys.argv[2]), sys.argv[3]

def logged(*args, build=files._build):
    with log.open("a") as file:
        file.write("built\\n")
    time.sleep(1)
    return build(*args)

def stuck(descriptor):
    log.write_text("writing")
    time.sleep(600)

files._build = logged
if mode == "stuck":
    os.fsync = stuck
batch = Omniglot(data=sys.argv[1], way=3).sample(2, 0)
print(hashlib.sha256(batch.query.x.numpy().tobytes()).hexdigest())
"""


def child(data: Path, log: Path, mode: str) -> subprocess.Popen[str]:
    environment = os.environ | {"PYTHONPATH": str(SOURCE), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", CHILD, str(data), str(log), mode]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)


def test_two_processes_at_once_prepare_once(tiny: Path, zips: Callable[[Path], Path], tmp_path: Path) -> None:
    data = zips(tmp_path / "data")
    children = [child(data, tmp_path / "log", "plain") for _ in range(2)]
    digests = [process.communicate(timeout=120)[0] for process in children]
    assert [process.returncode for process in children] == [0, 0]
    assert (tmp_path / "log").read_text() == "built\n"
    here = Omniglot(data=data, way=3).sample(2, 0).query.x
    assert digests == [hashlib.sha256(here.numpy().tobytes()).hexdigest() + "\n"] * 2


def test_a_kill_in_the_middle_of_writing(tiny: Path, zips: Callable[[Path], Path], tmp_path: Path) -> None:
    data, log = zips(tmp_path / "data"), tmp_path / "log"
    process = child(data, log, "stuck")
    while not (log.exists() and log.read_text() == "writing"):
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=60)
    assert not list(tiny.rglob("*.safetensors")), "not there before it is whole"
    assert Omniglot(data=data, way=3).n_classes == 6
    assert sorted(path.suffix for path in (tiny / "omniglot").iterdir()) == [".lock", ".safetensors"]


def test_a_damaged_prepared_file_is_built_anew(tmp_path: Path) -> None:
    images = torch.arange(32, dtype=torch.uint8).view(2, 1, 4, 4)
    path = tmp_path / "kept.safetensors"
    assert prepared(path, lambda: (images, ["a", "b"]))[1] == ["a", "b"]
    path.write_bytes(path.read_bytes()[:-7])
    again = prepared(path, lambda: (images, ["c"]))
    assert torch.equal(again[0], images)
    assert prepared(path, lambda: pytest.fail("is there"))[1] == ["c"]
    content = bytearray(path.read_bytes())
    for place in (len(content) - 3, content.index(b'[\\"c\\"]') + 3):  # a pixel, a name
        content[place] ^= 1
        path.write_bytes(content)
        assert prepared(path, lambda: (images, ["c"]))[1] == ["c"]
        assert torch.equal(prepared(path, lambda: pytest.fail("is there"))[0], images)
        content = bytearray(path.read_bytes())


def test_a_cache_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(DataError, match="QUICKSTUDY_CACHE"):
        prepared(tmp_path / "file" / "kept.safetensors", lambda: pytest.fail("not reached"))


def test_a_full_disk_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(DataError, match=r"No space left on device.*free some space"):
        prepared(tmp_path / "kept.safetensors", lambda: (torch.zeros(1, 1, 4, 4, dtype=torch.uint8), ["a"]))
    assert [path.name for path in tmp_path.iterdir()] in ([], ["kept.lock"])


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def server(tiny: Path, zips: Callable[[Path], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A local stand-in for the official address; returns the folder that it serves."""
    folder = zips(tmp_path / "served")
    parts = [
        replace(part, md5=hashlib.md5((folder / f"{part.name}.zip").read_bytes()).hexdigest())
        for part in omniglot_files.PARTS
    ]
    monkeypatch.setattr(omniglot_files, "PARTS", tuple(parts))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder))) as http:
        url = f"http://127.0.0.1:{http.server_port}"
        monkeypatch.setenv("QUICKSTUDY_OMNIGLOT_URL", url)
        monkeypatch.setenv("QUICKSTUDY_OMNIGLOT_SPLITS_URL", url)
        thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield folder
        http.shutdown()
        thread.join()


def test_download_once(server: Path, tiny: Path, capfd: pytest.CaptureFixture[str]) -> None:
    first = Omniglot(way=3).sample(2, 0)
    for path in server.iterdir():
        path.unlink()
    assert torch.equal(Omniglot(way=3).sample(2, 0).query.x, first.query.x), "from the cache"
    assert {path.name for path in (tiny / "omniglot").glob("*.zip")} == {
        "images_background.zip",
        "images_evaluation.zip",
    }
    assert capfd.readouterr() == ("", ""), "the library is silent"


def test_a_wrong_checksum_is_refused(server: Path, tiny: Path) -> None:
    (server / "images_evaluation.zip").write_bytes(b"<html>please log in</html>")
    with pytest.raises(DataError, match=r"images_evaluation.zip did not arrive as published .*QUICKSTUDY_DATA"):
        Omniglot(way=3)
    assert [path.name for path in (tiny / "omniglot").glob("*.zip")] == ["images_background.zip"]


def test_no_such_file_and_no_network(server: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (server / "images_background.zip").unlink()
    with pytest.raises(DataError, match=r"could not be downloaded .*404.*check the network or point --data DIR"):
        Omniglot(way=3)
    monkeypatch.setenv("QUICKSTUDY_OMNIGLOT_URL", "http://127.0.0.1:9")
    with pytest.raises(DataError, match="could not be downloaded"):
        Omniglot(way=3)


def test_split_files_are_downloaded_and_checked(server: Path, tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = [f"Keble/character01/rot{angle:03}" for angle in (0, 90, 180, 270)]
    (server / "test.txt").write_text("\n".join(lines))
    with pytest.raises(DataError, match=r"vinyals_test.txt \(4 lines\) is not the published one"):
        Omniglot(protocol="vinyals", split="test", way=4)
    digest = hashlib.sha256("\n".join(lines).encode()).hexdigest()
    monkeypatch.setitem(_omniglot_splits.VINYALS_SHA256, "test", digest)
    assert Omniglot(protocol="vinyals", split="test", way=4).n_classes == 4
