"""Files appear whole or not at all."""

import os
import select
import stat
import sys
import threading
from pathlib import Path

import pytest

from quickstudy.core.errors import RunError
from quickstudy.core.files import put, read_json, remove_unfinished, write_atomic, write_json


def test_what_is_written_is_read_and_nothing_else_is_left(tmp_path):
    write_json(tmp_path / "deep" / "a.json", {"a": [1, 2]})
    assert read_json(tmp_path / "deep" / "a.json") == {"a": [1, 2]}
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["a.json"]


@pytest.mark.parametrize("beside", [None, ".half"])
def test_a_full_disk_leaves_what_was_there(tmp_path, monkeypatch, beside):
    def full(descriptor):
        raise OSError(28, "No space left on device")

    path = tmp_path / "a"
    path.write_bytes(b"old")
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        put(path, b"new", beside=None if beside is None else tmp_path / beside)
    with pytest.raises(RunError, match=r"cannot write .*No space left on device"):
        write_atomic(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_what_a_kill_left_is_written_over(tmp_path):
    path, half = tmp_path / "a", tmp_path / "a.half"
    half.write_bytes(b"much longer than what comes")
    put(path, b"new", beside=half)
    assert path.read_bytes() == b"new"
    assert not half.exists()


@pytest.mark.skipif(sys.platform == "win32", reason="no modes")
def test_who_may_read_is_as_the_umask_says_or_as_it_was(tmp_path):
    before = os.umask(0o027)
    try:
        write_atomic(tmp_path / "new", b"")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o640
    (tmp_path / "new").chmod(0o600)
    write_atomic(tmp_path / "new", b"again")
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o600


@pytest.mark.skipif(sys.platform == "win32", reason="no devices")
def test_a_device_stays_a_device(tmp_path):
    (tmp_path / "null").symlink_to(os.devnull)
    for path in (tmp_path / "null", Path(os.devnull)):
        write_atomic(path, b"gone", anywhere=True)
    assert stat.S_ISCHR(os.stat(os.devnull).st_mode)
    assert (tmp_path / "null").is_symlink()


@pytest.mark.skipif(sys.platform == "win32", reason="no pipes")
def test_a_pipe_without_a_reader_is_an_error_and_one_with_a_reader_gets_it_all(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(RunError, match="cannot write"):
        write_atomic(tmp_path / "pipe", b"new")
    with pytest.raises(RunError, match="no regular file"):
        read_json(tmp_path / "pipe")
    content, got = b"x" * 1_000_000, []
    reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    os.set_blocking(reader, True)

    def read():
        select.select([reader], [], [])  # until there is a writer
        with os.fdopen(reader, "rb") as file:
            got.append(file.read())

    thread = threading.Thread(target=read)
    thread.start()
    write_atomic(tmp_path / "pipe", content)
    thread.join()
    assert got == [content]


def test_links_are_followed_where_a_person_named_them(tmp_path):
    (tmp_path / "far").mkdir()
    (tmp_path / "far" / "a").write_text("old")
    (tmp_path / "folder").mkdir()
    link = tmp_path / "folder" / "link"
    link.symlink_to(tmp_path / "far" / "a")
    with pytest.raises(RunError, match="out of its folder"):
        write_atomic(link, b"new")
    assert (tmp_path / "far" / "a").read_text() == "old"
    write_atomic(link, b"new", anywhere=True)
    assert link.is_symlink()
    assert (tmp_path / "far" / "a").read_text() == "new"


def test_what_writers_left_that_were_killed_goes_and_nothing_else(tmp_path):
    names = {".999999999-0a1b2c3d.unfinished", ".step-00000002.safetensors.abcd1234"}  # of now, of an older version
    mine = {f".{os.getpid()}-0a1b2c3d.unfinished", ".hidden", "a.json", ".lock", ".notes.txt.abcd1234"}
    for name in names | mine:
        (tmp_path / name).touch()
    remove_unfinished(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == mine


@pytest.mark.parametrize("text", [b"[" * 100_000, b'{"a":' * 101 + b"1" + b"}" * 101, b"\xff", b"{", b"1" * 5000])
def test_json_that_is_none(tmp_path, text):
    (tmp_path / "a.json").write_bytes(text)
    with pytest.raises(RunError, match="should be JSON"):
        read_json(tmp_path / "a.json")


def test_a_name_as_long_as_can_be(tmp_path):
    write_atomic(tmp_path / ("a" * 255), b"")
    with pytest.raises(RunError, match="File name too long"):
        write_atomic(tmp_path / ("a" * 256), b"")
