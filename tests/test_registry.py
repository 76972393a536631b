"""What is registered can be named, written down as JSON, and built again."""

import inspect
import json
import shutil
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

import quickstudy as qs
from quickstudy import registry
from quickstudy.core.entry import Entry
from quickstudy.report import write_report

EXAMPLES = {
    ("learners", "maml"): lambda images: qs.MAML(
        qs.nets.MLP(hidden=(8, 4)), inner_lr=0.3, order=1, loss="mse", chunk=2
    ),
    ("learners", "fomaml"): lambda images: qs.FOMAML(qs.nets.MLP(hidden=(8,)), inner_steps=2, loss="mse"),
    ("learners", "anil"): lambda images: qs.ANIL(qs.nets.MLP(hidden=(8,)), head="layers.2.", order=1, loss="mse"),
    ("learners", "boil"): lambda images: qs.BOIL(qs.nets.Conv4(filters=3, size=16), inner_lr=0.3, bn="support"),
    ("learners", "meta-sgd"): lambda images: qs.MetaSGD(qs.nets.MLP(hidden=(8,)), inner_lr=(0.1, 0.2), loss="mse"),
    ("learners", "meta-curvature"): lambda images: qs.MetaCurvature(qs.nets.Conv4(filters=3, size=16), inner_lr=0.2),
    ("learners", "protomaml"): lambda images: qs.ProtoMAML(qs.nets.Conv4(filters=3, size=16), inner_steps=3, chunk=1),
    ("learners", "lstm-meta"): lambda images: qs.LSTMMetaLearner(
        qs.nets.MLP(hidden=(8,)), inner_batch=3, hidden_size=4, step_bias=(-2.0, -1.0), loss="mse"
    ),
    ("learners", "adam-optimizer"): lambda images: qs.AdamOptimizer(lr=0.02, betas=(0.8, 0.9), truncation=3),
    ("learners", "lstm-optimizer"): lambda images: qs.LSTMOptimizer(hidden_size=3, normalize=False, order=2),
    ("learners", "mlp-optimizer"): lambda images: qs.MLPOptimizer(hidden_size=4, estimator="pes", sigma=0.1, pairs=2),
    ("learners", "hyper-optimizer"): lambda images: qs.HyperOptimizer(
        hidden_size=4, bank=2, lstm=3, curriculum=10, chunk=1
    ),
    ("learners", "reptile"): lambda images: qs.Reptile(qs.nets.Conv4(filters=3, size=16), eval_steps=7, bn="support"),
    ("learners", "cavia"): lambda images: qs.CAVIA(qs.nets.MLP(hidden=(8,)), context=3, at="layers.2", loss="mse"),
    ("learners", "mamlpp"): lambda images: qs.MAMLPlusPlus(qs.nets.Conv4(filters=3, size=16), per_step_statistics=True),
    ("learners", "imaml"): lambda images: qs.IMAML(qs.nets.MLP(hidden=(8,)), lam=0.5, cg_steps=2, loss="mse"),
    ("learners", "protonet"): lambda images: qs.ProtoNet(
        qs.nets.Conv4(filters=3, size=16, out_features=None), distance="cosine", scale=10.0
    ),
    ("learners", "matching"): lambda images: qs.MatchingNet(
        qs.nets.Conv4(filters=3, size=16, out_features=None), fce=True, processing_steps=2
    ),
    ("learners", "relation"): lambda images: qs.RelationNet(
        qs.nets.Conv4(filters=3, size=16, out_features=None, pools=2, features="maps"), relation_filters=4, pool="sum"
    ),
    ("learners", "r2d2"): lambda images: qs.R2D2(qs.nets.MLP(out_features=None), lam=0.5, scale=2.0, loss="mse"),
    ("learners", "incontext"): lambda images: qs.InContext(
        qs.nets.Flat(in_features=4), table=True, width=8, label_width=4, layers=1, heads=2, groups=1, whitened=1
    ),
    ("learners", "cnp"): lambda images: qs.CNP(
        qs.nets.MLP(in_features=2, out_features=None), loss="gaussian", out_features=2, width=8, min_std=0.2
    ),
    ("learners", "anp"): lambda images: qs.ANP(
        qs.nets.MLP(out_features=None), loss="gaussian", width=8, heads=2, self_attention=False
    ),
    ("learners", "snail"): lambda images: qs.SNAIL(
        qs.nets.MLP(out_features=None), out_features=1, length=4, keys=(2, 3, 4), values=(4, 3, 2), loss="mse"
    ),
    ("learners", "ntm"): lambda images: qs.NTMLearner(
        in_features=3, out_features=2, hidden_size=4, slots=6, slot_width=3, reads=2, controller="feedforward"
    ),
    ("learners", "mann"): lambda images: qs.MANN(
        qs.nets.Flat(in_features=9),
        out_features=3,
        memory="lstm",
        labels="string",
        hidden_size=4,
        decay=0.9,
        stream=False,
    ),
    ("learners", "hypernet"): lambda images: qs.Hypernet(
        qs.nets.Conv4(filters=3, size=16), generates="head", width=4, prototypes=False, inner_steps=2
    ),
    ("learners", "solver-gan"): lambda images: qs.SolverGAN(
        qs.nets.MLP(hidden=(8,)), loss="mse", width=4, draws=3, real_from="support", real_lr=0.02
    ),
    ("learners", "metagan"): lambda images: qs.MetaGAN(
        qs.nets.Conv4(filters=3, size=16, out_features=None), out_features=3, x_shape=(1, 16, 16), base="relation"
    ),
    ("learners", "task-gan"): lambda images: qs.TaskGAN(
        x_shape=(1, 16, 16),
        generator_type="pixels",
        drawings=3,
        class_code=4,
        drawing_code=2,
        width=4,
        critic_width=4,
        ema=0.5,
    ),
    ("learners", "lola"): lambda images: qs.LOLA(method="dice", pairs=3, lookahead_lr=0.5, rollouts=4),
    ("learners", "meta-agent"): lambda images: qs.MetaAgent(inner_steps=3, hidden_size=0, learn_rates=False),
    ("tasks", "games"): None,  # no examples; its own tests rebuild it
    ("learners", "meta-nas"): lambda images: qs.MetaNAS(
        x_shape=(1, 16, 16), filters=2, nodes=1, operations=("skip", "sep5"), temperatures=(0.5, 0.2), discretise=False
    ),
    ("learners", "maml-rl"): lambda images: qs.MAMLRL(in_features=3, hidden=(8,), later_lr=0.2, outer="gradient"),
    ("learners", "rl2"): lambda images: qs.RL2(
        in_features=3, out_features=2, hidden_size=4, episodes=3, entropy_coef=0.1
    ),
    ("tasks", "synthesized"): None,  # needs a trained generator; its own tests rebuild it
    ("tasks", "omniglot"): None,  # needs its data; its own tests rebuild it
    ("tasks", "cifar-fs"): None,  # these need their data; their own tests rebuild them
    ("tasks", "fc100"): None,
    ("tasks", "mini-imagenet"): None,
    ("tasks", "tiered-imagenet"): None,
    ("tasks", "cub"): None,
    ("tasks", "fashion-mnist"): None,
    ("tasks", "split-folder"): None,
    ("tasks", "mixture"): lambda images: qs.tasks.Mixture(
        ("glyphs", "glyphs"), way=(2, 3), query=2, weights=(1.0, 2.0)
    ),
    ("tasks", "glyphs"): lambda images: qs.tasks.Glyphs(way=3, size=16, rotate=False),
    ("tasks", "sinusoids"): lambda images: qs.tasks.Sinusoids(amplitude=(1.0, 2.0), split="val"),
    ("tasks", "gp"): lambda images: qs.tasks.GaussianProcesses(shot=(2, 4), kernel="periodic", split="val"),
    ("tasks", "copy"): lambda images: qs.tasks.Copy(bits=3, length=(2, 5), split="val"),
    ("tasks", "repeat-copy"): lambda images: qs.tasks.RepeatCopy(bits=3, length=(2, 5), copies=(1, 4)),
    ("tasks", "recall"): lambda images: qs.tasks.AssociativeRecall(bits=3, items=(2, 5), item_length=2),
    ("tasks", "tabular"): lambda images: qs.tasks.TabularPrior(way=3, shot=2, query=4, features=5, split="val"),
    ("tasks", "folder"): lambda images: qs.tasks.ImageFolder(images, way=1, shot=1, query=1, size=16, channels=1),
    ("tasks", "problems"): lambda images: qs.tasks.Problems(families=("conv",), horizon=(3, 5), rescale=0.0),
    ("tasks", "bandits"): lambda images: qs.tasks.Bandits(arms=3, split="val"),
    ("tasks", "mdps"): lambda images: qs.tasks.TabularMDPs(states=3, actions=2, horizon=4),
    ("tasks", "navigation"): lambda images: qs.tasks.Navigation(horizon=7, reward="distance", reach=0.2),
    ("tasks", "half-cheetah"): None,  # needs the extra rl; its own tests rebuild it
    ("nets", "conv4"): lambda images: qs.nets.Conv4(in_channels=3, out_features=2, filters=4, size=20),
    ("nets", "resnet12"): lambda images: qs.nets.ResNet12(widths=(2, 3, 4, 5), out_features=2, size=20, drop=0.5),
    ("nets", "cell"): lambda images: qs.nets.CellNet(filters=3, size=16, cells=2, genotype="sep5@0,max3@1"),
    ("nets", "flat"): lambda images: qs.nets.Flat(in_features=9),
    ("nets", "inknet"): lambda images: qs.nets.InkNet(
        widths=(2, 3), features=8, window=8, size=20, frames=4, norm=False
    ),
    ("nets", "mlp"): lambda images: qs.nets.MLP(in_features=2, hidden=(3,)),
    ("rules", "sgd"): lambda images: qs.rules.SGD(lr=0.5, momentum=0.25),
    ("rules", "adamw"): lambda images: qs.rules.AdamW(lr=0.5, weight_decay=0.1),
    ("rules", "proximal-sgd"): lambda images: qs.rules.ProximalSGD(lr=0.5, lam=0.1),
    ("rules", "first-and-later"): lambda images: qs.rules.FirstAndLater(first=0.5, later=0.1),
    ("rules", "two-rates"): lambda images: qs.rules.TwoRates(names=("theta",), lr=0.5, other_lr=2.0),
    ("rules", "lstm-gates"): lambda images: qs.rules.LSTMGates(hidden_size=3, keep_bias=(1.0, 2.0)),
    ("rules", "learned-adam"): lambda images: qs.rules.LearnedAdam(lr=0.5, betas=(0.5, 0.9)),
    ("rules", "coordinate-lstm"): lambda images: qs.rules.CoordinateLSTM(hidden_size=3, scale=0.5),
    ("rules", "feature-mlp"): lambda images: qs.rules.FeatureMLP(hidden_size=4, lr=0.1),
    ("rules", "hyper-mlp"): lambda images: qs.rules.HyperMLP(hidden_size=4, bank=2, lstm=3),
    ("encoders", "timm"): None,  # these need what is not installed, or a run; their own tests rebuild them
    ("encoders", "open-clip"): None,
    ("encoders", "hf"): None,
    ("encoders", "run"): None,
    ("rules", "adam"): lambda images: qs.rules.Adam(lr=0.5, betas=(0.0, 0.9)),
}
REGISTERED = [(kind, name) for kind, names in registry.KINDS.items() for name in names]


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    from PIL import Image

    root = tmp_path_factory.mktemp("images")
    for label in range(5):
        for n in range(2):
            (root / f"class{label}").mkdir(exist_ok=True)
            Image.new("L", (20, 20), 40 * label + n).save(root / f"class{label}" / f"{n}.png")
    return root


@pytest.mark.parametrize(("kind", "name"), REGISTERED)
def test_names_lead_to_classes_and_back(kind, name):
    cls = registry.load(kind, name)
    if not registry.entry(kind, name).options:  # else the round trip below tells the names apart
        assert registry.name_of(cls) == (kind, name)
    summary = registry.line(kind, name)
    assert 10 < len(summary) < 100
    assert "`" not in summary  # it is printed as it is


FITTING = {
    "model": lambda: qs.nets.Conv4(filters=3, size=16),
    "out_features": lambda: 3,
    "x_shape": lambda: (1, 16, 16),
}


def as_it_comes(kind, name):
    """One that has no example above: with what it must be given, and its defaults."""
    parameters = inspect.signature(registry.load(kind, name)).parameters.values()
    return registry.make(kind, name, **{p.name: FITTING[p.name]() for p in parameters if p.default is p.empty})


@pytest.mark.parametrize(("kind", "name"), [key for key in REGISTERED if EXAMPLES.get(key, as_it_comes)])
def test_round_trip(kind, name, images):
    thing = EXAMPLES[kind, name](images) if (kind, name) in EXAMPLES else as_it_comes(kind, name)
    description = registry.describe(thing)
    assert description[kind] == name
    again = registry.build(json.loads(json.dumps(description)))
    assert type(again) is type(thing)
    assert registry.describe(again) == description
    if isinstance(thing, nn.Module):
        again.load_state_dict(thing.state_dict())
    if kind == "tasks":
        pairs = list(zip(tensors(again.sample(2, 0)), tensors(thing.sample(2, 0)), strict=True))
        assert pairs
        assert all(torch.equal(a, b) for a, b in pairs)


def tensors(batch):
    """All of a batch, whatever its type."""
    if isinstance(batch, torch.Tensor):
        return [batch]
    parts = batch.values() if isinstance(batch, dict) else vars(batch).values() if hasattr(batch, "__dict__") else ()
    return [t for part in parts for t in tensors(part)]


def test_some_options_can_be_changed():
    description = registry.describe(qs.tasks.Glyphs(way=3, size=16))
    changed = registry.build(description, split="test", shot=4)
    assert (changed.split, changed.shot, changed.way, changed.size) == ("test", 4, 3, 16)
    with pytest.raises(qs.UsageError, match="sinusoids has no option way"):
        registry.build(registry.describe(qs.tasks.Sinusoids()), way=3)


def test_plain_values():
    assert registry.describe([1, 2.5, None, True, "x", (3,)]) == [1, 2.5, None, True, "x", [3]]
    assert registry.describe(Path("a") / "b") == str(Path("a") / "b")
    assert registry.build([1, [2.5, None]]) == (1, (2.5, None))


def test_what_json_cannot_rebuild_is_opaque():
    description = registry.describe(qs.MAML(nn.Sequential(nn.Linear(1, 1)), loss=nn.functional.l1_loss))
    assert description["options"]["model"] == {"opaque": "torch.nn.modules.container.Sequential"}
    assert "opaque" in description["options"]["loss"]
    with pytest.raises(qs.UsageError, match=r"object of the user's own \(torch.nn.modules.container.Sequential\)"):
        registry.build(description)


@pytest.mark.parametrize("kind", registry.KINDS)
def test_unknown_names(kind):
    with pytest.raises(qs.UsageError, match=f"no 'abacus' among the {kind}: .*{sorted(registry.KINDS[kind])[0]}"):
        registry.load(kind, "abacus")


def test_a_third_partys_class_may_be_registered_where_it_is_shown(tmp_path, monkeypatch):
    """As ``package:Class``, although it is written in ``package._inside``."""
    package = tmp_path / "third_party_nets"
    package.mkdir()
    (package / "_inside.py").write_text(
        'from torch import nn\n\nclass Line(nn.Linear):\n    """A line, for images."""\n\n'
        "    def __init__(self, *, in_features: int = 1, out_features: int = 1) -> None:\n"
        "        super().__init__(in_features, out_features)\n"
    )
    (package / "__init__.py").write_text("from third_party_nets._inside import Line\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(registry.NETS, "line", "third_party_nets:Line")
    line = registry.load("nets", "line")(in_features=3)
    assert registry.describe(line) == {"nets": "line", "options": {"in_features": 3, "out_features": 1}}
    assert registry.build(registry.describe(qs.MAML(line))).model.in_features == 3


class Ruled(nn.Module):
    """Has a rule, as what learns rules does, and a mode."""

    def __init__(self, rule: qs.rules.UpdateRule, *, mode: str = "plain", width: int = 2) -> None:
        super().__init__()
        self.rule, self.mode, self.width = rule, mode, width


@pytest.fixture
def ruled(monkeypatch):
    """Three names of one class, told apart by what they fix."""
    monkeypatch.setitem(sys.modules, "ruled", type(sys)("ruled"))
    monkeypatch.setattr("ruled.Ruled", Ruled, raising=False)
    for name, fixed in {
        "sgd-ruled": {"rule": "sgd", "mode": "plain"},
        "odd-ruled": {"rule": "sgd", "mode": "odd"},
        "adam-ruled": {"rule": "adam"},
    }.items():
        monkeypatch.setitem(registry.NETS, name, Entry("ruled:Ruled", options=fixed))


@pytest.mark.usefixtures("ruled")
def test_several_names_of_one_class():
    sgd, adam = qs.rules.SGD(lr=0.5), qs.rules.Adam(lr=0.25)
    found = [registry.name_of(thing) for thing in (Ruled(sgd), Ruled(sgd, mode="odd"), Ruled(adam, mode="odd"))]
    assert found == [("nets", "sgd-ruled"), ("nets", "odd-ruled"), ("nets", "adam-ruled")]
    assert registry.name_of(Ruled(qs.rules.LSTMGates())) is None
    described = registry.describe(Ruled(sgd, mode="odd", width=3))
    assert described == {"nets": "odd-ruled", "options": {"rule": registry.describe(sgd), "width": 3}}
    again = registry.build(json.loads(json.dumps(described)), width=4)
    assert (again.rule.lr, again.mode, again.width) == (0.5, "odd", 4)
    with pytest.raises(qs.UsageError, match="odd-ruled has no option mode"):
        registry.build(described, mode="plain")


@pytest.mark.usefixtures("ruled")
def test_a_names_rule_takes_its_options_from_among_the_others():
    """As from Python, and as runs were described when each name had a class of its own."""
    made = registry.build({"nets": "adam-ruled", "options": {"lr": 0.5, "betas": [0.5, 0.75], "width": 3}})
    assert (type(made.rule), made.rule.lr, made.rule.betas, made.width) == (qs.rules.Adam, 0.5, (0.5, 0.75), 3)
    with pytest.raises(qs.UsageError, match="adam-ruled has no option momentum"):
        registry.make("nets", "adam-ruled", momentum=0.5)


def test_what_is_not_registered_goes_by_module_and_class(tmp_path, monkeypatch):
    """Found in the current folder, too; once it was asked for, it has a name."""
    (tmp_path / "my_nets.py").write_text(
        'from torch import nn\n\nclass Line(nn.Linear):\n    """A line."""\n\n'
        "    def __init__(self, *, in_features: int = 1) -> None:\n        super().__init__(in_features, 1)\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [p for p in sys.path if p])
    monkeypatch.setattr(registry.NETS, "_entries", dict(registry.NETS._entries))
    line = registry.load("nets", "my_nets:Line")(in_features=3)
    assert sys.path[-1] == str(tmp_path)
    described = registry.describe(qs.MAML(line))
    assert described["options"]["model"] == {"nets": "my_nets:Line", "options": {"in_features": 3}}
    assert registry.build(described).model.in_features == 3
    assert registry.line("nets", "my_nets:Line") == "A line."
    sys.modules.pop("my_nets")


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("no_such_module:Net", "No module named 'no_such_module'"),
        ("json:loads", "loads is no class"),
        ("json:JSONDecoder", "is none of the nets: it has no method forward"),
    ],
)
def test_what_is_no_net_is_said(name, why, monkeypatch):
    monkeypatch.setattr(sys, "path", [*sys.path])
    with pytest.raises(qs.UsageError, match=why):
        registry.load("nets", name)
    assert name not in registry.NETS


@pytest.fixture
def hostile_run(tmp_path, monkeypatch):
    """A run folder that names code, and brings some; it is the current folder, and importable."""
    run = tmp_path / "run"
    shutil.copytree(Path(__file__).parent / "fixtures" / "format-1" / "maml-glyphs", run)
    (run / "payload.py").write_text(
        "import pathlib\nfrom torch import nn\n\npathlib.Path('was-run').touch()\n\n\nclass Net(nn.Linear):\n"
        "    def __init__(self):\n        super().__init__(1, 1)\n"
    )
    monkeypatch.chdir(run)
    monkeypatch.syspath_prepend(run)
    monkeypatch.setattr(registry.NETS, "_entries", dict(registry.NETS._entries))
    yield run
    sys.modules.pop("payload", None)


def name_in(run, model, **options):
    config = json.loads((run / "config.json").read_text())
    config["learner"]["options"]["model"] = {"nets": model, "options": options}
    (run / "config.json").write_text(json.dumps(config))


def test_a_run_folder_does_not_choose_what_is_imported(hostile_run):
    for model in ("payload:Net", "os:system", "torch.nn:Linear"):
        name_in(hostile_run, model, command="touch was-run")
        with pytest.raises(
            qs.UsageError, match=f"does not belong to quickstudy, {model}, and importing it would run it"
        ):
            qs.Run.open(hostile_run).learner()
    assert_nothing_ran(hostile_run)


def test_nor_does_its_report_import_it(hostile_run):
    config = json.loads((hostile_run / "config.json").read_text())
    config["learner"] = {"learners": "payload:Net", "options": {}}
    (hostile_run / "config.json").write_text(json.dumps(config))
    assert "Net" in write_report([qs.Run.open(hostile_run)]).read_text()
    assert_nothing_ran(hostile_run)


def assert_nothing_ran(run):
    assert "payload" not in sys.modules
    assert not (run / "was-run").exists()


@pytest.mark.parametrize("trusted", ["payload", "other, payload:Net"])
def test_unless_it_is_trusted(hostile_run, monkeypatch, trusted):
    monkeypatch.setenv("QUICKSTUDY_TRUST", trusted)
    assert registry.build({"nets": "payload:Net", "options": {}}).weight.shape == (1, 1)
    with pytest.raises(qs.UsageError, match="payload_too:Net"):
        registry.build({"nets": "payload_too:Net", "options": {}})


def test_trust_in_python_and_of_packages(hostile_run, monkeypatch):
    monkeypatch.setattr(registry, "_trusted", set())
    registry.trust("payload", "os", "torch")
    assert registry.build({"nets": "payload:Net", "options": {}}).weight.shape == (1, 1)
    assert registry.build({"nets": "torch.nn:Identity", "options": {}})(3) == 3
    with pytest.raises(qs.UsageError, match="system is no class"):  # whom one trusts may still be wrong
        registry.build({"nets": "os:system", "options": {"command": "touch was-run"}})


@pytest.mark.parametrize("nonsense", [{"what": "is this"}, {"options": {}}, {"nets": ["mlp"], "options": {}}])
def test_what_describes_nothing(nonsense):
    with pytest.raises(qs.UsageError, match=r"describes nothing|there is no"):
        registry.build(nonsense)
