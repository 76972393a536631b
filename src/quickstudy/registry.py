"""Names for everything that can be chosen by name: one line each. Nothing is imported until it is asked for.

Third parties add theirs the same way: ``quickstudy.registry.LEARNERS["mine"] = "my_package.mine:Mine"``.
"""

import importlib
import inspect
import sys
from pathlib import Path
from typing import Any

from quickstudy.core.errors import UsageError

LEARNERS = {
    "maml": "quickstudy.learners.gradient.maml:MAML",
    "fomaml": "quickstudy.learners.gradient.fomaml:FOMAML",
    "anil": "quickstudy.learners.gradient.anil:ANIL",
    "boil": "quickstudy.learners.gradient.boil:BOIL",
    "meta-sgd": "quickstudy.learners.gradient.meta_sgd:MetaSGD",
    "meta-curvature": "quickstudy.learners.gradient.meta_curvature:MetaCurvature",
    "mamlpp": "quickstudy.learners.gradient.mamlpp:MAMLPlusPlus",
    "cavia": "quickstudy.learners.gradient.cavia:CAVIA",
    "imaml": "quickstudy.learners.gradient.imaml:IMAML",
    "protomaml": "quickstudy.learners.gradient.protomaml:ProtoMAML",
    "lstm-meta": "quickstudy.learners.gradient.lstm_meta:LSTMMetaLearner",
    "adam-optimizer": "quickstudy.learners.optimizers.optimizers:AdamOptimizer",
    "lstm-optimizer": "quickstudy.learners.optimizers.optimizers:LSTMOptimizer",
    "mlp-optimizer": "quickstudy.learners.optimizers.optimizers:MLPOptimizer",
    "hyper-optimizer": "quickstudy.learners.optimizers.optimizers:HyperOptimizer",
    "reptile": "quickstudy.learners.gradient.reptile:Reptile",
    "protonet": "quickstudy.learners.metric.protonet:ProtoNet",
    "matching": "quickstudy.learners.metric.matching:MatchingNet",
    "relation": "quickstudy.learners.metric.relation:RelationNet",
    "r2d2": "quickstudy.learners.metric.r2d2:R2D2",
    "incontext": "quickstudy.learners.in_context.incontext:InContext",
    "cnp": "quickstudy.learners.in_context.cnp:CNP",
    "anp": "quickstudy.learners.in_context.anp:ANP",
    "ntm": "quickstudy.learners.memory.ntm:SequenceLearner",
    "snail": "quickstudy.learners.in_context.snail:SNAIL",
    "mann": "quickstudy.learners.memory.mann:MANN",
    "hypernet": "quickstudy.learners.generative.hypernet:Hypernet",
    "solver-gan": "quickstudy.learners.generative.solver_gan:SolverGAN",
    "task-gan": "quickstudy.learners.generative.task_gan:TaskGAN",
    "metagan": "quickstudy.learners.generative.metagan:MetaGAN",
    "meta-nas": "quickstudy.learners.gradient.meta_nas:MetaNAS",
    "maml-rl": "quickstudy.learners.agents.maml_rl:MAMLRL",
    "rl2": "quickstudy.learners.agents.rl2:RL2",
    "lola": "quickstudy.learners.agents.lola:SelfPlay",
    "meta-agent": "quickstudy.learners.agents.meta_agent:MetaAgent",
}
TASKS = {
    "omniglot": "quickstudy.tasks.images.omniglot:Omniglot",
    "glyphs": "quickstudy.tasks.images.glyphs:Glyphs",
    "synthesized": "quickstudy.tasks.images.synthesized:Synthesized",
    "sinusoids": "quickstudy.tasks.functions.sinusoids:Sinusoids",
    "gp": "quickstudy.tasks.functions.gaussian_processes:GaussianProcesses",
    "copy": "quickstudy.tasks.functions.copy:Copy",
    "repeat-copy": "quickstudy.tasks.functions.repeat_copy:RepeatCopy",
    "recall": "quickstudy.tasks.functions.associative_recall:AssociativeRecall",
    "tabular": "quickstudy.tasks.functions.tabular_prior:TabularPrior",
    "folder": "quickstudy.tasks.images.image_folder:ImageFolder",
    "problems": "quickstudy.tasks.problems.problems:Problems",
    "bandits": "quickstudy.tasks.environments.bandits:Bandits",
    "mdps": "quickstudy.tasks.environments.mdps:TabularMDPs",
    "navigation": "quickstudy.tasks.environments.navigation:Navigation",
    "half-cheetah": "quickstudy.tasks.environments.half_cheetah:HalfCheetah",
    "games": "quickstudy.tasks.games.iterated:IteratedGames",
}
NETS = {
    "conv4": "quickstudy.nets.backbones.conv4:Conv4",
    "mlp": "quickstudy.nets.backbones.mlp:MLP",
    "resnet12": "quickstudy.nets.backbones.resnet12:ResNet12",
    "flat": "quickstudy.nets.backbones.flat:Flat",
    "cell": "quickstudy.nets.backbones.cell_net:CellNet",
}
RULES = {
    "sgd": "quickstudy.rules.sgd:SGD",
    "adam": "quickstudy.rules.adam:Adam",
    "adamw": "quickstudy.rules.adamw:AdamW",
    "proximal-sgd": "quickstudy.rules.proximal_sgd:ProximalSGD",
    "first-and-later": "quickstudy.rules.first_and_later:FirstAndLater",
    "two-rates": "quickstudy.rules.two_rates:TwoRates",
    "lstm-gates": "quickstudy.rules.lstm_gates:LSTMGates",
    "learned-adam": "quickstudy.rules.learned_adam:LearnedAdam",
    "coordinate-lstm": "quickstudy.rules.coordinate_lstm:CoordinateLSTM",
    "feature-mlp": "quickstudy.rules.feature_mlp:FeatureMLP",
    "hyper-mlp": "quickstudy.rules.hyper_mlp:HyperMLP",
}
KINDS: dict[str, dict[str, str]] = {"learners": LEARNERS, "tasks": TASKS, "nets": NETS, "rules": RULES}


def load(kind: str, name: str) -> type[Any]:
    """The class registered as ``name`` among ``learners``, ``tasks``, ``nets`` or ``rules``.

    Raises:
        UsageError: no such name; the message lists those there are.
    """
    try:
        module, _, attribute = KINDS[kind][name].partition(":")
    except KeyError:
        raise UsageError(f"there is no {name!r} among the {kind}: {', '.join(sorted(KINDS[kind]))}.") from None
    return getattr(importlib.import_module(module), attribute)


def is_regression(tasks: str) -> bool:
    """Whether the task distribution of this name is of values, not classes (recipes differ by that)."""
    return load("tasks", tasks).kind == "regression"


def name_of(cls: type) -> tuple[str, str] | None:
    """The kind and name under which a class is registered, or None."""
    return next(((k, name) for k, names in KINDS.items() for name, path in names.items() if _loaded(path) is cls), None)


def _loaded(path: str) -> Any:
    """What is registered as ``module:name``, if its module was imported; an object of it cannot exist before."""
    module, _, attribute = path.partition(":")
    return getattr(sys.modules.get(module), attribute, None)


def summary(cls: type) -> str:
    """The first line of a class's docstring."""
    return (inspect.getdoc(cls) or "").partition("\n")[0]


def describe(thing: Any) -> Any:
    """What a run writes down of an object, as JSON: its registered name and its constructor's arguments.

    Every registered class keeps each constructor argument in an attribute of the same name (scikit-learn's
    convention). What cannot be rebuilt from JSON (a user's own module, an array) becomes ``{"opaque": type}``.

    >>> from quickstudy.rules import SGD
    >>> describe(SGD(lr=0.4))
    {'rules': 'sgd', 'options': {'lr': 0.4, 'momentum': 0.0}}
    """
    if thing is None or isinstance(thing, bool | int | float | str):
        return thing
    if isinstance(thing, Path):
        return str(thing)
    if isinstance(thing, list | tuple):
        return [describe(part) for part in thing]
    known = name_of(type(thing))
    if known is None:
        return {"opaque": f"{type(thing).__module__}.{type(thing).__qualname__}"}
    kind, name = known
    arguments = inspect.signature(type(thing)).parameters
    return {kind: name, "options": {a: describe(getattr(thing, a)) for a in arguments}}


def build(description: Any, **changes: Any) -> Any:
    """The object that ``describe`` described, with some of its options changed.

    Raises:
        UsageError: the description holds an object that only the program that made the run can build, or a change
            is none of its options.
    """
    if isinstance(description, list):
        return tuple(build(part) for part in description)
    if not isinstance(description, dict):
        return description
    if "opaque" in description:
        raise UsageError(
            f"this run was made with an object of the user's own ({description['opaque']}); build it in Python and "
            f"pass it: quickstudy.Run.open(RUN).load_into(learner)."
        )
    kind = next(k for k in description if k in KINDS)
    cls = load(kind, description[kind])
    unknown = [name for name in changes if name not in inspect.signature(cls).parameters]
    if unknown:
        raise UsageError(f"{description[kind]} has no option {' or '.join(unknown)}; leave it out.")
    options = {name: build(value) for name, value in description["options"].items()}
    return cls(**{**options, **changes})
