"""Names of others: by entry points, found once and only when needed; what is broken hides nothing else."""

import pytest

import quickstudy as qs
from quickstudy import registry
from quickstudy.core.entry import Entry, Names


@pytest.fixture
def install(tmp_path, monkeypatch):
    """``install("group", "name = module:Class", ...)``: a distribution called ``others``."""

    def write(group, *lines):
        info = tmp_path / "others-1.2.dist-info"
        info.mkdir(exist_ok=True)
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: others\nVersion: 1.2\n")
        (info / "entry_points.txt").write_text("\n".join([f"[quickstudy.{group}]", *lines]))
        monkeypatch.syspath_prepend(tmp_path)
        return Names(group, registry.KINDS[group].own)

    return write


def test_entry_points_are_names(install):
    names = install("tasks", "theirs = quickstudy.tasks.functions.sinusoids:Sinusoids")
    assert "theirs" in names
    assert list(names)[-1] == "theirs"
    assert len(names) == len(names.own) + 1
    assert names["theirs"] == Entry("quickstudy.tasks.functions.sinusoids:Sinusoids", source="others 1.2")
    assert names["theirs"].load() is qs.tasks.Sinusoids
    assert "theirs" not in names.own


@pytest.mark.parametrize("value", ["no_such_module:Net", "json:NoSuchClass", "json:loads", "json", ":"])
def test_a_broken_one_is_said_when_it_is_asked_for(install, monkeypatch, value):
    monkeypatch.setitem(registry.KINDS, "nets", install("nets", f"broken = {value}"))
    assert registry.load("nets", "mlp") is qs.nets.MLP
    with pytest.raises(qs.UsageError, match=r"\(of the distribution others 1\.2\) cannot be loaded: ") as caught:
        registry.load("nets", "broken")
    assert "\n" not in str(caught.value)
    assert "cannot be loaded" in registry.line("nets", "broken")  # and the others have their lines


def test_a_name_that_is_taken_stays_what_it_is(install):
    names = install("nets", "mlp = their_nets:MLP", "wide = their_nets:Wide")
    with pytest.warns(UserWarning, match="others 1.2 offers 'mlp' among the nets, a name that is taken"):
        assert "wide" in names
    assert names["mlp"].load() is qs.nets.MLP


def test_nothing_is_looked_up_for_a_name_of_ours(monkeypatch):
    monkeypatch.setattr("importlib.metadata.entry_points", None)
    names = Names("nets", registry.NETS.own)
    assert names["mlp"].title == "MLP"
    with pytest.raises(TypeError):
        _ = names["theirs"]


def test_lines_are_read_without_an_import(tmp_path, monkeypatch):
    (tmp_path / "not_run.py").write_text(
        'raise SystemExit("was run")\n\nclass A:\n    """What it is.\n\n    More."""\n'
    )
    monkeypatch.syspath_prepend(tmp_path)
    assert Entry("not_run:A").line() == "What it is."
    assert Entry("not_run:A", what="Said here.").line() == "Said here."
    assert Entry("quickstudy.nets:MLP").line() == registry.summary(qs.nets.MLP)  # not in that file: imported


def test_what_is_ours_and_broken_is_no_error_of_the_user(monkeypatch):
    with pytest.raises(ModuleNotFoundError):
        Entry("quickstudy.nets.abacus:Abacus").load()
