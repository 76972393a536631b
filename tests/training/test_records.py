"""Lines of JSON: what a full disk or a kill has cut hides nothing, and nothing good is deleted."""

import os

import pytest

import quickstudy as qs


def new_run(tmp_path):
    run = qs.Run.create(tmp_path / "r", {"learner": None, "tasks": None})
    for step in (1, 2, 3, 4):
        run.log({"step": step, "train/loss": 1.0})
    return run, tmp_path / "r" / "metrics.jsonl"


BAD = [
    b'{"step": 2, "tra',
    b"\xff\xfe{}",
    b"[1, 2]",
    b'{"step": "2"}',
    b'{"step": 1e999}',
    b"[" * 100_000,
    b'{"step": ' + b"1" * 5000 + b"}",
]


@pytest.mark.parametrize("bad", BAD, ids=lambda b: str(b[:16]))
def test_a_damaged_line_is_passed_over_and_counted(tmp_path, bad):
    run, file = new_run(tmp_path)
    lines = file.read_bytes().splitlines()
    file.write_bytes(b"\n".join([lines[0], bad, *lines[2:]]) + b"\n")
    assert [r["step"] for r in run.metrics()] == [1, 3, 4]
    assert run.unread() == {"metrics.jsonl": 1}
    run.forget_after(3)
    assert [r["step"] for r in run.metrics()] == [1, 3]
    assert bad in file.read_bytes(), "what cannot be read is not ours to delete"


def test_the_next_line_after_a_cut_one_is_a_line_of_its_own(tmp_path):
    run, file = new_run(tmp_path)
    run.add_result({"mean": 1.0})
    for name in ("metrics.jsonl", "results.jsonl"):
        with open(file.with_name(name), "a") as opened:
            opened.write('{"step": 5, "mea')
    run.log({"step": 6})
    run.add_result({"mean": 2.0})
    assert [r["step"] for r in run.metrics()] == [1, 2, 3, 4, 6]
    assert [r["mean"] for r in run.results()] == [1.0, 2.0]
    assert run.unread() == {"metrics.jsonl": 1, "results.jsonl": 1}


def test_nothing_to_forget_writes_nothing(tmp_path):
    run, file = new_run(tmp_path)
    os.utime(file, (1, 1))
    run.forget_after(4)
    assert file.stat().st_mtime == 1


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_a_named_pipe_is_refused_at_once(tmp_path):
    run, file = new_run(tmp_path)
    file.unlink()
    os.mkfifo(file)
    for action in (run.metrics, lambda: run.log({"step": 5}), lambda: run.forget_after(1)):
        with pytest.raises(qs.RunError, match="no regular file"):
            action()


def test_a_line_is_not_written_through_a_link_out_of_the_folder(tmp_path):
    run, file = new_run(tmp_path)
    (tmp_path / "mine").write_text("keep")
    file.unlink()
    file.symlink_to(tmp_path / "mine")
    with pytest.raises(qs.RunError, match=r"a link to .*mine, out of its folder"):
        run.log({"step": 5})
    assert (tmp_path / "mine").read_text() == "keep"
