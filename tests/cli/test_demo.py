"""``quickstudy demo``."""

from commands import TINY, config, quickstudy
from quickstudy.cli.train import train


def test_demo_without_omniglot_uses_glyphs_and_goes_on_where_it_stopped(tmp_path, monkeypatch):
    monkeypatch.setenv("QUICKSTUDY_DATA", str(tmp_path / "nowhere"))
    monkeypatch.setattr("quickstudy.cli.demo.train", lambda argv: train([*argv, *TINY]))
    run = tmp_path / "demo"
    done = quickstudy("demo", "--out", run, "--steps", 1, "--seed", 3, "--workers", 1, "--device", "cpu")
    assert done.code == 0, done.err
    assert "Going on with drawn glyphs instead." in done.err
    assert config(run)["tasks"]["tasks"] == "glyphs"
    assert config(run)["training"]["clip"] == 10.0  # the demo preset's
    assert config(run)["training"]["seed"] == 3
    assert (run / "report.html").exists()
    again = quickstudy("demo", "--out", run)
    assert again.code == 0, again.err
    assert again.out == done.out
