"""The scikit-learn face of a learner: scikit-learn's own checks, and the same predictions as the solver's."""

import copy
import json
import pickle
import sys
import types

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import check_estimator, parametrize_with_checks
from torch import nn

import quickstudy as qs
from quickstudy import registry
from quickstudy.apply.tabular import TabularClassifier
from quickstudy.core.sealed import open_tensors, sealed_tensors
from scripts import output

HASHED = "joblib's hash of a torch module differs from that of its copy, although they are equal"
ROUNDED = "float32 sums over a batch of another size round differently (1e-6); in float64 it passes"
TYPED = "the tests check types at run time, so a constructor refuses nonsense; without that it passes"


class Sketch(nn.Module):
    """Examples of any number of features as 32 fixed random projections: scikit-learn's checks vary the number."""

    feature_shape = (32,)

    def __init__(self, *, out_features: int | None = None) -> None:
        super().__init__()
        self.out_features = out_features
        self.scale = nn.Parameter(torch.ones(()))
        self.head = None if out_features is None else nn.Linear(32, out_features)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x.flatten(1)
        k = torch.arange(32 * x.shape[1], dtype=x.dtype).view(-1, 32)
        fixed = torch.sin(k * k % 997)
        features = x @ fixed * self.scale / x.shape[1] ** 0.5
        return features if self.head is None else self.head(features)


class Noisy(Sketch):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x) + torch.randn(x.shape[0], 32)


def maml() -> qs.MAML:
    torch.manual_seed(0)
    return qs.MAML(Sketch(out_features=10), inner_lr=1.0, inner_steps=25)


# What of scikit-learn's checks does not apply, and why; all others pass.
IN_MEMORY = {
    "check_do_not_raise_errors_in_init_or_set_params": TYPED,
    "check_estimators_overwrite_params": HASHED,
}
OF_A_RUN = {
    "check_do_not_raise_errors_in_init_or_set_params": TYPED,
    "check_methods_subset_invariance": ROUNDED,
}


@parametrize_with_checks(
    [qs.FewShotClassifier(qs.ProtoNet(Sketch()).double()), qs.FewShotClassifier(maml().double())],
    expected_failed_checks=lambda estimator: IN_MEMORY,
    xfail_strict=True,
)
def test_scikit_learns_checks(estimator, check):
    check(estimator)


def test_scikit_learns_checks_of_a_run(tmp_path, monkeypatch):
    """A run's weights are float32, and its folder is a plain parameter."""
    module = types.ModuleType("sketch_of_the_tests")
    monkeypatch.setattr(module, "Sketch", Sketch, raising=False)
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setitem(registry.NETS, "sketch", f"{module.__name__}:Sketch")
    tasks = qs.tasks.Episodes(torch.rand(20, 4), torch.arange(20) // 5, way=2, shot=1, query=2)
    qs.train(qs.ProtoNet(Sketch()), tasks, steps=1, meta_batch=1, out=tmp_path)
    checks = check_estimator(qs.FewShotClassifier(run=str(tmp_path)), expected_failed_checks=OF_A_RUN, on_skip=None)
    assert sum(check["status"] == "passed" for check in checks) > 40
    assert {c["check_name"] for c in checks if c["status"] != "passed"} <= {*OF_A_RUN, "check_array_api_input"}


# -- the same predictions as the solver's ----------------------------------------------------------------------------

NAMES = np.array(["oak", "ash", "elm"])


def conv4(cls=qs.MAML, *, way=3, bn="support", **options):
    torch.manual_seed(0)
    net = qs.nets.Conv4(filters=4, size=16, out_features=None if cls.embeds else way)
    return cls(net, bn=bn, **options)


@pytest.fixture
def task():
    """Uneven classes in any order: x [n, 1, 16, 16] in 8 bits, y as names; and queries."""
    batch = qs.tasks.Glyphs(way=3, shot=3, query=7, size=16).sample(1, seed=3)
    keep = torch.tensor([8, 0, 4, 3, 1, 7])
    x = (batch.support.x[0, keep] * 255).round().byte().numpy()
    return x, NAMES[batch.support.y[0, keep].numpy()], (batch.query.x[0] * 255).round().byte().numpy()


@pytest.mark.parametrize(
    "learner",
    [
        conv4(inner_lr=0.4, inner_steps=3),
        conv4(way=5, inner_lr=0.4, inner_steps=3),
        conv4(qs.Reptile, inner_lr=0.01, inner_steps=5),
        conv4(qs.ProtoNet),
        conv4(bn="transductive", inner_lr=0.4),
    ],
    ids=["maml", "larger head", "reptile", "protonet", "transductive"],
)
def test_predictions_are_the_solvers(learner, task):
    x, y, queries = task
    classifier = qs.FewShotClassifier(learner).fit(x, y)
    assert classifier.classes_.tolist() == ["ash", "elm", "oak"]
    assert (classifier.n_features_in_, classifier.x_shape_) == (256, (1, 16, 16))
    index = torch.tensor([classifier.classes_.tolist().index(name) for name in y])
    support = qs.Examples(torch.from_numpy(x)[None].float() / 255, index[None])
    with torch.no_grad():
        logits = learner.adapt(support)(torch.from_numpy(queries)[None].float() / 255)[0, :, :3]
    found = classifier.predict_proba(queries)
    np.testing.assert_allclose(found, logits.double().softmax(-1).numpy(), atol=1e-6)
    np.testing.assert_allclose(found.sum(1), 1)
    assert (classifier.predict(queries) == np.array(["ash", "elm", "oak"])[logits.argmax(-1)]).all()
    assert classifier.score(queries, classifier.predict(queries)) == 1


@pytest.mark.parametrize("form", ["flat", "no channel axis", "tensors", "floats", "lists"])
def test_forms_of_images(form, task):
    x, y, queries = task

    def given(images):
        return {
            "flat": images.reshape(len(images), -1),
            "no channel axis": images[:, 0],
            "tensors": torch.from_numpy(images),
            "floats": images / 255,
            "lists": (images / 255).tolist(),
        }[form]

    classifier = qs.FewShotClassifier(conv4(qs.ProtoNet))
    expected = clone(classifier).fit(x, y).predict_proba(queries)
    found = classifier.fit(given(x), y.tolist()).predict_proba(given(queries))
    np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize(("bn", "alone"), [("support", True), ("transductive", False)])
def test_what_is_asked_together(bn, alone, task):
    """``support``: neither the batch nor its size matters; ``transductive``: all that is asked is one batch."""
    x, y, queries = task
    classifier = qs.FewShotClassifier(conv4(bn=bn, inner_lr=0.4), batch_size=4).fit(x, y)
    found = classifier.predict_proba(queries)
    one_by_one = np.concatenate([classifier.predict_proba(q[None]) for q in queries])
    assert np.allclose(found, one_by_one, atol=1e-5) == alone
    whole = clone(classifier).set_params(batch_size=None).fit(x, y)
    np.testing.assert_allclose(whole.predict_proba(queries), found, atol=1e-6)


def test_the_learner_stays_as_it_is_and_the_classifier_keeps_its_own(task):
    x, y, queries = task
    learner = conv4(qs.ProtoNet).train()
    state = copy.deepcopy(learner.state_dict())
    classifier = qs.FewShotClassifier(learner).fit(x, y)
    before = classifier.predict_proba(queries)
    assert learner.training
    assert all(torch.equal(t, state[name]) for name, t in learner.state_dict().items())
    with torch.no_grad():
        for p in learner.parameters():
            p.mul_(0)
    assert (classifier.predict_proba(queries) == before).all()
    assert not classifier.learner_.training
    assert (classifier.fit(x, y).predict_proba(queries) != before).any()


def test_steps(task):
    x, y, queries = task
    learner = conv4(inner_lr=0.4)
    five, own = (qs.FewShotClassifier(learner, steps=steps).fit(x, y).predict_proba(queries) for steps in (5, None))
    longer = conv4(inner_lr=0.4, inner_steps=5)
    np.testing.assert_allclose(qs.FewShotClassifier(longer).fit(x, y).predict_proba(queries), five, atol=1e-6)
    assert np.abs(five - own).max() > 1e-3


def test_what_the_learner_draws_follows_random_state(task):
    x, y, queries = task
    classifier = qs.FewShotClassifier(qs.ProtoNet(Noisy(), execution="loop"))
    torch.manual_seed(5)
    state = torch.get_rng_state()
    first, again = (clone(classifier).fit(x, y).predict_proba(queries) for _ in range(2))
    assert (first == again).all()
    assert torch.equal(torch.get_rng_state(), state)
    other = clone(classifier).set_params(random_state=1).fit(x, y)
    assert (other.predict_proba(queries) != first).any()
    assert (pickle.loads(pickle.dumps(other)).predict_proba(queries) == other.predict_proba(queries)).all()


def test_token_ids_stay_whole():
    learner = qs.ProtoNet(nn.Sequential(nn.Embedding(9, 4), nn.Flatten()))
    x = np.array([[1, 2, 3], [3, 2, 1], [4, 5, 6], [8, 8, 8]])
    classifier = qs.FewShotClassifier(learner, tokens=True).fit(x, [0, 0, 1, 1])
    assert classifier.predict(x).tolist() == [0, 0, 1, 1]
    assert (classifier.predict(x.astype(np.uint8)) == classifier.predict(x)).all()


UNITS = {
    "uint8": lambda x: x,
    "int64": lambda x: x.astype(np.int64),
    "int32": lambda x: x.astype(np.int32),
    "float 0..1": lambda x: x / 255,
    "float32 0..1": lambda x: (x / 255).astype(np.float32),
    "float 0..255": lambda x: x.astype(float),
    "flat": lambda x: x.reshape(len(x), -1).astype(float),
}


@pytest.mark.parametrize("fitted", ["uint8", "int64", "float 0..1", "float32 0..1"])
@pytest.mark.parametrize("asked", UNITS)
def test_what_is_asked_is_in_the_unit_of_what_was_fitted(fitted, asked, task):
    x, y, queries = task
    classifier = qs.FewShotClassifier(conv4(qs.ProtoNet))
    expected = classifier.fit(x, y).predict_proba(queries)
    found = classifier.fit(UNITS[fitted](x), y).predict_proba(UNITS[asked](queries))
    np.testing.assert_allclose(found, expected, atol=1e-4)
    np.testing.assert_allclose(classifier.predict_proba(UNITS[asked](queries[:1])), expected[:1], atol=1e-4)


def test_floating_point_pixels_are_taken_as_they_are_with_a_warning(task):
    x, y, queries = task
    classifier = qs.FewShotClassifier(conv4(qs.ProtoNet))
    with pytest.warns(UserWarning, match=r"whole numbers 0..255 in floating point.*X.astype\('uint8'\) or X / 255"):
        expected = classifier.fit(x.astype(float), y).predict_proba(queries.astype(float))
    for asked in (queries, queries / 255, queries.astype(np.int64)):
        np.testing.assert_allclose(classifier.predict_proba(asked), expected, atol=1e-4)


def test_units_that_are_not_sure_are_refused(task):
    x, y, queries = task
    classifier = qs.FewShotClassifier(conv4(qs.ProtoNet))
    for wrong in (x.astype(np.int64) * 257, (x > 127).astype(np.int64), x.astype(np.uint16)):
        with pytest.raises(qs.UsageError, match=r"whole numbers that are surely 0\.\.255; got"):
            classifier.fit(wrong, y)
    classifier.fit(x, y)
    for wrong in (queries.astype(np.int64) * 257, queries * 257.0, queries - 200.0):
        with pytest.raises(qs.UsageError, match=r"was fitted on numbers from 0 to 1 .* which unit is that"):
            classifier.predict(wrong)
    classifier.fit((x - 100.0) / 50, y)
    with pytest.raises(qs.UsageError, match=r"was fitted on numbers from -2 to .* asked about uint8"):
        classifier.predict(queries)


def test_whole_numbers_of_features_stay_what_they_are():
    rows = np.array([[1, 200], [2, 210], [90, 3], [80, 4]])
    classifier = qs.FewShotClassifier(qs.ProtoNet(Sketch())).fit(rows, [0, 0, 1, 1])
    for kind in (np.int64, float, np.uint8):
        np.testing.assert_allclose(classifier.predict_proba(rows.astype(kind)), classifier.predict_proba(rows))


@pytest.mark.parametrize("classifier", [qs.FewShotClassifier(qs.ProtoNet(Sketch())), TabularClassifier()], ids=str)
def test_labels_that_scikit_learn_would_take_for_texts(classifier):
    rows = np.arange(12.0).reshape(6, 2)
    for missing in (None, float("nan"), np.datetime64("NaT")):
        for y in ([*"aabbb", missing], np.array([*"aabbb", missing], object)):
            with pytest.raises(qs.DataError, match="1 of 6 examples have no label, the first is example 5"):
                classifier.fit(rows, y)
    with pytest.raises(qs.UsageError, match="all numbers or all texts here, got both"):
        classifier.fit(rows, [1, 1, 1, "1", "1", "1"])


# -- in scikit-learn's company ---------------------------------------------------------------------------------------


def test_search_pipeline_and_cross_validation():
    x = np.random.default_rng(0).normal(size=(40, 6)) + np.arange(40)[:, None] % 2 * 2
    y = np.where(np.arange(40) % 2, "b", "a")
    assert cross_val_score(make_pipeline(StandardScaler(), qs.FewShotClassifier(maml())), x, y, cv=2).min() > 0.8
    search = GridSearchCV(qs.FewShotClassifier(maml()), {"steps": [0, 25]}, cv=2).fit(x, y)
    assert search.best_params_ == {"steps": 25}


# -- saving ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("learner", "names"),
    [
        (conv4(inner_lr=0.4), NAMES),
        (conv4(qs.ProtoNet), np.array([3, -7, 2])),
        (conv4(qs.ProtoNet), NAMES.astype(object)),
    ],
    ids=["texts", "integers", "objects"],
)
def test_save_and_load(learner, names, task, tmp_path, monkeypatch):
    x, y, queries = task
    y = names[[NAMES.tolist().index(name) for name in y]]
    classifier = qs.FewShotClassifier(learner, steps=2 if isinstance(learner, qs.MAML) else None, batch_size=7)
    classifier.fit(x.reshape(len(x), -1), y).save(tmp_path / "few.safetensors")
    monkeypatch.setattr(pickle, "loads", None)
    monkeypatch.setattr(pickle, "load", None)
    loaded = qs.FewShotClassifier.load(tmp_path / "few.safetensors")
    assert (loaded.predict_proba(queries) == classifier.predict_proba(queries)).all()
    assert (loaded.predict(queries) == classifier.predict(queries)).all()
    assert loaded.classes_.dtype == classifier.classes_.dtype
    assert loaded.n_features_in_ == 256
    assert (loaded.steps, loaded.batch_size) == (classifier.steps, 7)
    refitted = clone(loaded).fit(x, y)
    assert (refitted.predict_proba(queries) == classifier.predict_proba(queries)).all()


def test_columns_names_are_saved(tmp_path):
    pandas = pytest.importorskip("pandas")
    table = pandas.DataFrame({"a": [0.0, 1.0, 5.0, 6.0], "b": 1.0})
    learner = qs.ProtoNet(Sketch())
    qs.FewShotClassifier(learner).fit(table, [0, 0, 1, 1]).save(tmp_path / "few")
    loaded = qs.FewShotClassifier.load(tmp_path / "few", learner=learner)
    assert loaded.predict(table).tolist() == [0, 0, 1, 1]
    with pytest.raises(ValueError, match="feature names"):
        loaded.predict(table.rename(columns={"a": "c"}))


def test_a_network_of_ones_own_is_given_when_loading(task, tmp_path):
    x, y, queries = task
    classifier = qs.FewShotClassifier(qs.ProtoNet(Sketch())).fit(x, y)
    classifier.save(tmp_path / "few")
    with pytest.raises(qs.UsageError, match=r"load\(PATH, learner=LEARNER\)"):
        qs.FewShotClassifier.load(tmp_path / "few")
    other = Sketch()
    with torch.no_grad():
        other.scale.fill_(7)
    loaded = qs.FewShotClassifier.load(tmp_path / "few", learner=qs.ProtoNet(other))
    assert (loaded.predict_proba(queries) == classifier.predict_proba(queries)).all()
    assert float(other.scale.detach()) == 7
    with pytest.raises(qs.RunError, match="does not fit"):
        qs.FewShotClassifier.load(tmp_path / "few", learner=maml())


def test_a_file_of_format_1(tmp_path):
    """Its learner's options are called by their names of then."""
    torch.manual_seed(0)
    x, y = torch.rand(6, 4), [0, 1, 2, 0, 1, 2]
    learner = qs.CNP(qs.nets.MLP(in_features=4, out_features=None, hidden=(8,)), width=8)
    classifier = qs.FewShotClassifier(learner).fit(x, y)
    classifier.save(tmp_path / "few")
    with safe_open(tmp_path / "few", "pt") as file:
        about = json.loads(file.metadata()["quickstudy"])
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    options = {**about["learner"]["options"], "kind": "classification"}
    del options["loss"]
    about = {**about, "format": 1, "learner": {"learners": "cnp", "options": options}}
    save_file(tensors, tmp_path / "old", {"quickstudy": json.dumps(about)})
    old = qs.FewShotClassifier.load(tmp_path / "old")
    np.testing.assert_array_equal(old.predict_proba(x), classifier.predict_proba(x))


def test_files_that_are_none(task, tmp_path):
    x, y, _ = task
    classifier = qs.FewShotClassifier(conv4(qs.ProtoNet)).fit(x, y)
    classifier.save(tmp_path / "few")
    content = (tmp_path / "few").read_bytes()
    (tmp_path / "short").write_bytes(content[:-9])
    (tmp_path / "text").write_text("no classifier")
    flipped = bytearray(content)
    flipped[-3] ^= 4
    (tmp_path / "flipped").write_bytes(flipped)
    tensors, texts = open_tensors(content)
    later = {"quickstudy": json.dumps({**json.loads(texts["quickstudy"]), "format": 9})}
    (tmp_path / "later").write_bytes(sealed_tensors(tensors, later))
    for name, message in (
        ("none", "none is no cl"),
        ("short", "is no cl"),
        ("text", "is no cl"),
        ("flipped", "does not match its checksum"),
        ("later", "format"),
    ):
        with pytest.raises(qs.RunError, match=message):
            qs.FewShotClassifier.load(tmp_path / name)
    classifier.classes_ = np.array([(1, 2), (3, 4), (5, 6)], dtype="i,i")
    with pytest.raises(qs.UsageError, match="classes must be numbers or texts"):
        classifier.save(tmp_path / "few")


# -- runs, and what cannot work --------------------------------------------------------------------------------------


def test_from_run(task, tmp_path):
    x, y, queries = task
    glyphs = qs.tasks.Glyphs(way=3, query=2, size=16)
    run = qs.train(conv4(inner_lr=0.4), glyphs, steps=2, meta_batch=1, out=tmp_path / "run", checkpoint_every=1, keep=3)
    found = qs.FewShotClassifier.from_run(tmp_path / "run").fit(x, y).predict_proba(queries)
    assert (found == qs.FewShotClassifier(run.learner()).fit(x, y).predict_proba(queries)).all()
    options = {"checkpoint": 1, "steps": 4}
    earlier = clone(qs.FewShotClassifier.from_run(tmp_path / "run", **options)).fit(x, y).predict_proba(queries)
    assert (earlier == qs.FewShotClassifier(run.learner(1), steps=4).fit(x, y).predict_proba(queries)).all()
    assert (earlier != found).any()
    with pytest.raises(qs.RunError, match="holds no run"):
        qs.FewShotClassifier.from_run(tmp_path)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "either a learner in memory or the folder of a run"),
        ({"learner": conv4(), "run": "runs/x"}, "either a learner"),
        ({"learner": qs.MAML(qs.nets.MLP(), loss="mse")}, "MAML is no meta-learner, or one of regression"),
        ({"learner": qs.RL2(hidden_size=2)}, "RL2 is no meta-learner, or one of regression: it cannot classify"),
        ({"learner": conv4(qs.ProtoNet), "steps": 3}, "steps=3 must be .* leave it out for ProtoNet"),
        ({"learner": conv4(), "steps": -1}, "steps=-1"),
        ({"learner": conv4(way=2)}, "y holds 3 classes, but this learner tells 2 apart at most"),
        (
            {"learner": conv4(), "x_shape": (1, 8, 8)},
            r"an example has 256 numbers, but the network takes \[1, 8, 8\]: 64",
        ),
    ],
)
def test_what_cannot_work_is_refused(options, message, task):
    x, y, _ = task
    with pytest.raises(qs.UsageError, match=message):
        qs.FewShotClassifier(**options).fit(x, y)


def test_any_number_of_classes_where_features_are_compared():
    batch = qs.tasks.Glyphs(way=9, shot=1, query=1, size=16).sample(1, seed=0)
    classifier = qs.FewShotClassifier(conv4(qs.ProtoNet)).fit(batch.support.x[0], batch.support.y[0].numpy() * 10)
    assert classifier.predict_proba(batch.query.x[0]).shape == (9, 9)
    assert set(classifier.predict(batch.support.x[0])) == set(range(0, 90, 10))


def test_numbers_too_large_for_the_learner_are_refused():
    """Rather than probabilities of nan: what float32 cannot hold, and what overflows on the way."""
    x, y = np.random.default_rng(0).normal(size=(6, 4)), [0, 1, 2, 0, 1, 2]
    learner = qs.ProtoNet(qs.nets.MLP(in_features=4, out_features=None, hidden=(8,)))
    with pytest.raises(qs.UsageError, match=r"X reaches .*e\+40, more than this learner's float32 can hold"):
        qs.FewShotClassifier(learner).fit(x * 1e40, y)
    with pytest.raises(qs.UsageError, match=r"ProtoNet has no number for 6 of 6 examples: .*; scale X"):
        qs.FewShotClassifier(learner).fit(x * 1e30, y).predict(x * 1e30)
    fitted = qs.FewShotClassifier(learner).fit(x, y)
    with pytest.raises(qs.UsageError, match="float32 can hold"):
        fitted.predict(x * 1e40)


def test_images_with_the_channels_last_are_refused():
    torch.manual_seed(0)
    learner = qs.ProtoNet(qs.nets.Conv4(in_channels=3, filters=2, size=16, out_features=None))
    x = np.zeros((2, 16, 16, 3))
    with pytest.raises(
        qs.UsageError, match=r"\[n, 3, 16, 16\] \(channels first\) or flattened, got \['n', 16, 16, 3\]"
    ):
        qs.FewShotClassifier(learner).fit(x, [0, 1])


# -- an extra --------------------------------------------------------------------------------------------------------


def test_scikit_learn_is_imported_when_asked_for():
    code = """
import sys
for name in [name for name in sys.modules if name.partition(".")[0] == "sklearn"]:
    del sys.modules[name]  # scripts.py has imported it
import quickstudy as qs
assert "sklearn" not in sys.modules
try: qs.FewShotClasifier
except AttributeError: pass
else: raise SystemExit("a name that there is not")
sys.modules["sklearn"] = None
try: qs.FewShotClassifier
except ImportError as error: assert "quickstudy[sklearn]" in str(error)
else: raise SystemExit("imported without scikit-learn")
del sys.modules["sklearn"]
qs.FewShotClassifier
"""
    output("-c", code)
