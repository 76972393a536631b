"""``quickstudy report``."""

from commands import quickstudy


def test_report_of_one_and_of_several(copied, waves, tmp_path):
    (copied / "report.html").unlink()
    done = quickstudy("report", copied)
    assert (done.code, done.out) == (0, f"report: {copied / 'report.html'}\n"), done.err
    assert (copied / "report.html").exists()
    out = tmp_path / "both.html"
    done = quickstudy("report", copied, waves[0], "--out", out)
    assert (done.code, done.out) == (0, f"report: {out}\n"), done.err
    assert copied.name in out.read_text()
    assert waves[0].name in out.read_text()
