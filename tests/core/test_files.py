"""Files appear whole or not at all."""

import os

import pytest

from quickstudy.core.errors import RunError
from quickstudy.core.files import put, read_json, write_atomic, write_json


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
