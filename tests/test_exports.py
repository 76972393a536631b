"""What may be imported is what is registered, and what was always there; and it is imported when it is used."""

import importlib
import json
import subprocess
import sys
from pathlib import Path

import pytest
from torch import nn

import quickstudy as qs
from quickstudy import exports, registry
from quickstudy.core.entry import Entry, Names

ALWAYS = json.loads((Path(__file__).parent / "fixtures" / "public_names.json").read_text())
RENAMED = {"SelfPlay": "LOLA", "SequenceLearner": "NTMLearner"}


def fresh(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize("package", ALWAYS)
def test_every_public_name_is_still_there(package):
    module = importlib.import_module(package)
    assert {RENAMED.get(name, name) for name in ALWAYS[package]} <= set(module.__all__) <= set(dir(module))
    for name in module.__all__:
        assert getattr(module, name) is getattr(importlib.import_module(package), name)


@pytest.mark.parametrize("kind", registry.KINDS)
def test_what_is_registered_is_exported(kind):
    package = getattr(qs, kind)
    for name, entry in registry.KINDS[kind].own.items():
        if not entry.options:
            assert getattr(package, entry.title) is registry.load(kind, name)
            assert kind != "learners" or getattr(qs, entry.title) is registry.load(kind, name)


def test_what_is_not_there():
    with pytest.raises(AttributeError, match=r"module 'quickstudy\.nets' has no attribute 'Abacus'"):
        _ = qs.nets.Abacus


@pytest.mark.parametrize("name", [name for name in registry.LEARNERS.own if not name.endswith("-optimizer")])
def test_a_learners_file_class_and_name_agree(name):
    """``NAME`` is in ``NAME.py``, and its class is called so, or so with what kind of thing it is (RelationNet)."""
    module, _, cls = registry.LEARNERS[name].path.partition(":")
    assert module.rpartition(".")[2] == name.replace("-", "_")
    assert cls.lower().replace("plusplus", "pp").startswith(name.replace("-", ""))


@pytest.mark.parametrize("package", ["quickstudy", "quickstudy.learners"])
@pytest.mark.parametrize(("was", "now"), RENAMED.items())
def test_an_old_name_still_works_and_says_the_new_one(package, was, now):
    module = importlib.import_module(package)
    with pytest.warns(DeprecationWarning, match=rf"{package}\.{was} is called {now} now"):
        assert getattr(module, was) is getattr(module, now)
    assert was not in {*module.__all__, *dir(module)}


def test_a_learner_is_imported_without_the_others():
    loaded = fresh("import sys; from quickstudy import MAML; print(*sys.modules)").split()
    learners = {entry.path.partition(":")[0] for entry in registry.LEARNERS.own.values()}
    assert {*loaded} & learners == {"quickstudy.learners.gradient.maml"}


def test_the_package_itself_is_light():
    code = "import sys, quickstudy as qs; print(*(m for m in ('torch', 'numpy') if m in sys.modules), qs.__version__)"
    assert fresh(code).strip() == qs.__version__


def test_a_line_of_each_costs_no_torch():
    """What ``quickstudy list`` shows."""
    code = """if True:
        import sys
        from quickstudy import registry
        for kind, names in registry.KINDS.items():
            for name in names.own:
                print(kind, name, registry.line(kind, name))
        assert not {"torch", "matplotlib"} & set(sys.modules)
    """
    lines = fresh(code).splitlines()
    every = [(kind, name) for kind, names in registry.KINDS.items() for name in names.own]
    summaries = [registry.KINDS[k].own[n].what or registry.summary(registry.load(k, n)) for k, n in every]
    assert lines == [f"{k} {n} {line}" for (k, n), line in zip(every, summaries, strict=True)]


class Tuned(nn.Linear):
    """One class of several names."""

    def __init__(self, *, bias: bool, width: int = 1) -> None:
        super().__init__(width, width, bias)
        self.width = width


def test_a_name_that_fixes_options_is_exported_with_them(monkeypatch):
    path = f"{__name__}:Tuned"
    monkeypatch.setitem(sys.modules, __name__, sys.modules[__name__])
    names = Names("nets", {n: Entry(path, options={"bias": n == "yes"}, called=n.title()) for n in ("yes", "no")})
    monkeypatch.setitem(registry.KINDS, "nets", names)
    monkeypatch.setitem(sys.modules, "tuned_nets", type(sys)("tuned_nets"))
    monkeypatch.setattr(exports, "EXPORTS", {})
    get, _, public = exports.lazily("tuned_nets", kind="nets")
    assert public == ["No", "Yes"]
    assert get("Yes")(width=3).bias.shape == (3,)
    assert get("No")().bias is None
    with pytest.raises(qs.UsageError, match="no has no option bias"):
        get("No")(bias=True)


def test_what_needs_an_extra_says_so(monkeypatch):
    monkeypatch.setitem(sys.modules, "fruit", type(sys)("fruit"))
    monkeypatch.setattr(exports, "EXPORTS", {})
    get, _, public = exports.lazily("fruit", sklearn={"no_such_module": ["Apple"]})
    assert public == []
    with pytest.raises(ImportError, match=r"Apple needs scikit-learn .*'quickstudy\[sklearn\]'"):
        get("Apple")
