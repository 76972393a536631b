"""Features are found again as they were put, or not at all."""

import multiprocessing
import os
import signal
import sqlite3
import warnings
from contextlib import contextmanager

import pytest
import torch

from quickstudy.encoders.cache import EmbeddingCache


def rows(*names):
    return {name: torch.arange(3.0) + len(name) for name in names}


def file_of(cache):
    return sqlite3.connect(cache.path)


def test_what_was_put_is_found_by_encoder_and_content(tmp_path):
    cache = EmbeddingCache(tmp_path)
    assert cache.get("one", "a") is None
    cache.put("one", rows("a", "bb"))
    cache.put("two", {"a": torch.tensor([7.0])})
    cache.put("two", {})
    again = EmbeddingCache(tmp_path)
    assert torch.equal(again.get("one", "bb"), rows("bb")["bb"])
    assert torch.equal(again.get("two", "a"), torch.tensor([7.0]))
    assert again.get("three", "a") is None


def test_by_default_it_is_in_the_cache_folder(session_cache):
    assert EmbeddingCache().path.is_relative_to(session_cache)


def test_a_damaged_entry_is_not_found_and_made_anew(tmp_path):
    cache = EmbeddingCache(tmp_path)
    cache.put("one", rows("a", "bb"))
    with file_of(cache) as file:
        file.execute("UPDATE features SET value = x'0000803f0000803f0000803f' WHERE rowid = 1")
    assert cache.get("one", "a") is None
    assert cache.get("one", "bb") is not None
    cache.put("one", rows("a"))
    assert torch.equal(cache.get("one", "a"), rows("a")["a"])


@pytest.mark.parametrize("damage", [lambda content: b"no database at all, but a text", lambda content: content[:100]])
def test_a_damaged_file_is_begun_anew(tmp_path, damage):
    cache = EmbeddingCache(tmp_path)
    cache.put("one", rows("a"))
    cache.path.write_bytes(damage(cache.path.read_bytes()))
    assert cache.get("one", "a") is None
    cache.put("one", rows("a"))
    assert cache.get("one", "a") is not None


def test_pages_that_were_overwritten(tmp_path):
    cache = EmbeddingCache(tmp_path)
    cache.put("one", {str(i): torch.full((2000,), float(i)) for i in range(20)})
    content = bytearray(cache.path.read_bytes())
    for start in range(len(content) // 2, len(content), 5000):
        content[start : start + 300] = b"x" * 300
    cache.path.write_bytes(content)
    for i in range(20):
        found = cache.get("one", str(i))
        assert found is None or torch.equal(found, torch.full((2000,), float(i)))
    assert cache.works


def test_the_oldest_go_first(tmp_path):
    cache = EmbeddingCache(tmp_path, most_bytes=200_000)
    for i in range(50):
        cache.put("one", {str(i): torch.full((2000,), float(i))})
    kept = [i for i in range(50) if cache.get("one", str(i)) is not None]
    assert kept == list(range(kept[0], 50))
    assert 10 < len(kept) < 25
    assert cache.path.stat().st_size < 300_000


def full(cache, monkeypatch):
    with file_of(cache) as file:
        pages = file.execute("PRAGMA page_count").fetchone()[0]
    opened = EmbeddingCache._opened

    @contextmanager
    def small(self):
        with opened(self) as file:
            file.execute(f"PRAGMA max_page_count = {pages}")
            yield file

    monkeypatch.setattr(EmbeddingCache, "_opened", small)


def test_a_full_disk_is_said_once_and_gone_on_without(tmp_path, monkeypatch):
    cache = EmbeddingCache(tmp_path)
    cache.put("one", rows("a"))
    full(cache, monkeypatch)
    many = {str(i): torch.zeros(1000) for i in range(20)}
    with pytest.warns(UserWarning, match=r"features are not kept, as .* cannot be used \(database or disk is full\)"):
        cache.put("one", many)
    cache.put("one", many)
    assert cache.get("one", "a") is None
    assert torch.equal(EmbeddingCache(tmp_path).get("one", "a"), rows("a")["a"])  # what was there stays


def test_a_folder_that_can_be_none(tmp_path):
    (tmp_path / "file").write_text("")
    cache = EmbeddingCache(tmp_path / "file")
    with pytest.warns(UserWarning, match="features are not kept"):
        assert cache.get("one", "a") is None
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        cache.put("one", rows("a"))


def _put_many(folder, who):
    cache = EmbeddingCache(folder)
    for i in range(15):
        cache.put(who, {str(i): torch.full((500,), float(i))})
    os._exit(0 if cache.works else 1)


def _put_until_killed(folder):
    cache = EmbeddingCache(folder)
    for i in range(10**6):
        cache.put("killed", {str(i): torch.full((500,), float(i))})


@pytest.mark.slow
def test_two_processes_at_once_and_a_kill(tmp_path):
    context = multiprocessing.get_context("fork")
    writers = [context.Process(target=_put_many, args=(tmp_path, who)) for who in "ab"]
    victim = context.Process(target=_put_until_killed, args=(tmp_path,))
    for process in (victim, *writers):
        process.start()
    for process in writers:
        process.join()
    os.kill(victim.pid, signal.SIGKILL)
    victim.join()
    assert [process.exitcode for process in writers] == [0, 0]
    cache = EmbeddingCache(tmp_path)
    for who in "ab":
        assert all(torch.equal(cache.get(who, str(i)), torch.full((500,), float(i))) for i in range(15))
    cache.put("after", rows("a"))
    assert cache.get("after", "a") is not None
