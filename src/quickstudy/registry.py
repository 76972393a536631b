"""Names for everything that can be chosen by name: one line each. Nothing is imported until it is asked for.

A line says where the class is, and for the docs' tables whose paper it is; what it is, its docstring says. Exports,
tables and the docs' navigation follow. Others add theirs by entry points of the groups ``quickstudy.learners``,
``.tasks``, ``.nets``, ``.rules`` and ``.encoders``, or in their program:
``registry.LEARNERS["mine"] = "my_package.mine:Mine"``. And wherever a name is taken, ``module:Class`` is taken too.
"""

import inspect
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from quickstudy.core.entry import Entry, Names
from quickstudy.core.entry import summary as summary
from quickstudy.core.errors import UsageError
from quickstudy.core.words import meant
from quickstudy.core.written import is_data, is_scalar, written

LEARNERS = Names(
    "learners",
    {
        "maml": Entry("quickstudy.learners.gradient.maml:MAML", "Finn et al. 2017"),
        "fomaml": Entry("quickstudy.learners.gradient.fomaml:FOMAML", "Finn et al. 2017"),
        "anil": Entry("quickstudy.learners.gradient.anil:ANIL", "Raghu et al. 2020"),
        "boil": Entry("quickstudy.learners.gradient.boil:BOIL", "Oh et al. 2021"),
        "meta-sgd": Entry("quickstudy.learners.gradient.meta_sgd:MetaSGD", "Li et al. 2017"),
        "meta-curvature": Entry("quickstudy.learners.gradient.meta_curvature:MetaCurvature", "Park and Oliva 2019"),
        "mamlpp": Entry("quickstudy.learners.gradient.mamlpp:MAMLPlusPlus", "Antoniou et al. 2019"),
        "cavia": Entry("quickstudy.learners.gradient.cavia:CAVIA", "Zintgraf et al. 2019"),
        "imaml": Entry("quickstudy.learners.gradient.imaml:IMAML", "Rajeswaran et al. 2019"),
        "protomaml": Entry("quickstudy.learners.gradient.protomaml:ProtoMAML", "Triantafillou et al. 2020"),
        "lstm-meta": Entry("quickstudy.learners.gradient.lstm_meta:LSTMMetaLearner", "Ravi and Larochelle 2017"),
        "adam-optimizer": Entry(
            "quickstudy.learners.optimizers.optimizer:OptimizerLearner",
            "ours",
            what="Learned Adam: an optimizer whose step size and decays are meta-learned.",
            options={"rule": "learned-adam"},
            called="AdamOptimizer",
        ),
        "lstm-optimizer": Entry(
            "quickstudy.learners.optimizers.optimizer:OptimizerLearner",
            "Andrychowicz et al. 2016",
            what="LSTM optimizer: learned, a two-layer LSTM that moves every coordinate by itself.",
            options={"rule": "coordinate-lstm"},
            called="LSTMOptimizer",
        ),
        "mlp-optimizer": Entry(
            "quickstudy.learners.optimizers.optimizer:OptimizerLearner",
            "Metz et al. 2022",
            what="MLP optimizer: learned, a small MLP over momenta, second moments and the step.",
            options={"rule": "feature-mlp"},
            called="MLPOptimizer",
        ),
        "hyper-optimizer": Entry(
            "quickstudy.learners.optimizers.optimizer:OptimizerLearner",
            "Metz et al. 2022 (VeLO)",
            what="Hyper-optimizer: learned, mixes a per-coordinate MLP for each tensor by its statistics.",
            options={"rule": "hyper-mlp"},
            called="HyperOptimizer",
        ),
        "reptile": Entry("quickstudy.learners.gradient.reptile:Reptile", "Nichol et al. 2018"),
        "protonet": Entry("quickstudy.learners.metric.protonet:ProtoNet", "Snell et al. 2017"),
        "matching": Entry("quickstudy.learners.metric.matching:MatchingNet", "Vinyals et al. 2016"),
        "relation": Entry("quickstudy.learners.metric.relation:RelationNet", "Sung et al. 2018"),
        "r2d2": Entry("quickstudy.learners.metric.r2d2:R2D2", "Bertinetto et al. 2019"),
        "incontext": Entry(
            "quickstudy.learners.in_context.incontext:InContext", "Garg et al. 2022; Hollmann et al. 2023"
        ),
        "cnp": Entry("quickstudy.learners.in_context.cnp:CNP", "Garnelo et al. 2018"),
        "anp": Entry("quickstudy.learners.in_context.anp:ANP", "Kim et al. 2019"),
        "ntm": Entry("quickstudy.learners.memory.ntm:NTMLearner", "Graves et al. 2014"),
        "snail": Entry("quickstudy.learners.in_context.snail:SNAIL", "Mishra et al. 2018"),
        "mann": Entry("quickstudy.learners.memory.mann:MANN", "Santoro et al. 2016"),
        "hypernet": Entry("quickstudy.learners.generative.hypernet:Hypernet", "Ha et al. 2017"),
        "solver-gan": Entry("quickstudy.learners.generative.solver_gan:SolverGAN", "ours"),
        "task-gan": Entry("quickstudy.learners.generative.task_gan:TaskGAN", "ours"),
        "metagan": Entry("quickstudy.learners.generative.metagan:MetaGAN", "Zhang et al. 2018"),
        "meta-nas": Entry("quickstudy.learners.gradient.meta_nas:MetaNAS", "Lian et al. 2020; Elsken et al. 2020"),
        "maml-rl": Entry("quickstudy.learners.agents.maml_rl:MAMLRL", "Finn et al. 2017"),
        "rl2": Entry("quickstudy.learners.agents.rl2:RL2", "Duan et al. 2016"),
        "lola": Entry("quickstudy.learners.agents.lola:LOLA", "Foerster et al. 2018"),
        "meta-agent": Entry("quickstudy.learners.agents.meta_agent:MetaAgent", "Kim et al. 2021; Lu et al. 2022"),
    },
)
TASKS = Names(
    "tasks",
    {
        "omniglot": Entry("quickstudy.tasks.images.omniglot:Omniglot"),
        "glyphs": Entry("quickstudy.tasks.images.glyphs:Glyphs"),
        "synthesized": Entry("quickstudy.apply.synthesized:Synthesized"),
        "sinusoids": Entry("quickstudy.tasks.functions.sinusoids:Sinusoids"),
        "gp": Entry("quickstudy.tasks.functions.gaussian_processes:GaussianProcesses"),
        "copy": Entry("quickstudy.tasks.functions.copy:Copy"),
        "repeat-copy": Entry("quickstudy.tasks.functions.repeat_copy:RepeatCopy"),
        "recall": Entry("quickstudy.tasks.functions.associative_recall:AssociativeRecall"),
        "tabular": Entry("quickstudy.tasks.functions.tabular_prior:TabularPrior"),
        "folder": Entry("quickstudy.tasks.images.image_folder:ImageFolder"),
        "cifar-fs": Entry("quickstudy.tasks.images.cifar_fs:CIFARFS"),
        "fc100": Entry("quickstudy.tasks.images.fc100:FC100"),
        "mini-imagenet": Entry("quickstudy.tasks.images.mini_imagenet:MiniImageNet"),
        "tiered-imagenet": Entry("quickstudy.tasks.images.tiered_imagenet:TieredImageNet"),
        "cub": Entry("quickstudy.tasks.images.cub:CUB"),
        "fashion-mnist": Entry("quickstudy.tasks.images.fashion_mnist:FashionMNIST"),
        "split-folder": Entry("quickstudy.tasks.images.split_folder:SplitFolder"),
        "mixture": Entry("quickstudy.tasks.images.mixture:Mixture"),
        "problems": Entry("quickstudy.tasks.problems.problems:Problems"),
        "bandits": Entry("quickstudy.tasks.environments.bandits:Bandits"),
        "mdps": Entry("quickstudy.tasks.environments.mdps:TabularMDPs"),
        "navigation": Entry("quickstudy.tasks.environments.navigation:Navigation"),
        "half-cheetah": Entry("quickstudy.tasks.environments.half_cheetah:HalfCheetah"),
        "games": Entry("quickstudy.tasks.games.iterated:IteratedGames"),
    },
)
NETS = Names(
    "nets",
    {
        "conv4": Entry("quickstudy.nets.backbones.conv4:Conv4"),
        "mlp": Entry("quickstudy.nets.backbones.mlp:MLP"),
        "resnet12": Entry("quickstudy.nets.backbones.resnet12:ResNet12"),
        "flat": Entry("quickstudy.nets.backbones.flat:Flat"),
        "cell": Entry("quickstudy.nets.backbones.cell_net:CellNet"),
        "inknet": Entry("quickstudy.nets.backbones.inknet:InkNet"),
    },
)
RULES = Names(
    "rules",
    {
        "sgd": Entry("quickstudy.rules.sgd:SGD"),
        "adam": Entry("quickstudy.rules.adam:Adam"),
        "adamw": Entry("quickstudy.rules.adamw:AdamW"),
        "proximal-sgd": Entry("quickstudy.rules.proximal_sgd:ProximalSGD"),
        "first-and-later": Entry("quickstudy.rules.first_and_later:FirstAndLater"),
        "two-rates": Entry("quickstudy.rules.two_rates:TwoRates"),
        "lstm-gates": Entry("quickstudy.rules.lstm_gates:LSTMGates"),
        "learned-adam": Entry("quickstudy.rules.learned_adam:LearnedAdam"),
        "coordinate-lstm": Entry("quickstudy.rules.coordinate_lstm:CoordinateLSTM"),
        "feature-mlp": Entry("quickstudy.rules.feature_mlp:FeatureMLP"),
        "hyper-mlp": Entry("quickstudy.rules.hyper_mlp:HyperMLP"),
    },
)
ENCODERS = Names(
    "encoders",
    {
        "efficientnet-lite0": Entry("quickstudy.encoders.efficientnet_lite0:EfficientNetLite0", "Tan and Le 2019"),
        "timm": Entry("quickstudy.encoders.timm:Timm", "Wightman 2019"),
        "open-clip": Entry("quickstudy.encoders.open_clip:OpenClip", "Ilharco et al. 2021"),
        "hf": Entry("quickstudy.encoders.hugging_face:HuggingFace"),
        "run": Entry("quickstudy.apply.run_encoder:RunEncoder"),
        "pixels": Entry("quickstudy.encoders.pixels:Pixels"),
    },
)
KINDS: dict[str, Names] = {"learners": LEARNERS, "tasks": TASKS, "nets": NETS, "rules": RULES, "encoders": ENCODERS}
_MUST_HAVE = {"learners": "adapt", "tasks": "sample", "nets": "forward", "rules": "update", "encoders": "embed"}
_trusted: set[str] = set()


def load(kind: str, name: str) -> type[Any]:
    """The class registered as ``name`` among ``learners``, ``tasks``, ``nets``, ``rules`` or ``encoders``.

    A class that is not registered goes by ``module:Class``, and is registered by that once it was asked for; its module
    may be in the current folder.

    Raises:
        UsageError: no such name (the message lists those there are), or code of others that cannot be loaded.
    """
    return entry(kind, name).load()


def entry(kind: str, name: str) -> Entry:
    """The line of a name, or of ``module:Class``.

    Raises:
        UsageError: as ``load``.
    """
    names, given = KINDS[kind], name
    if not isinstance(given, str):
        raise UsageError(f"{kind} go by their names here, texts such as {next(iter(names))!r}, got {given!r:.60}.")
    if name not in names:
        if ":" not in name:
            there = f"{', '.join(sorted(names))}; or module:Class"
            raise UsageError(f"there is no {name!r} among the {kind}: {there}.{meant(name, names)}")
        if not {"", os.getcwd()} & {*sys.path}:
            sys.path.append(os.getcwd())  # last, so that nothing there hides what is installed
        found = Entry(name)
        if not hasattr(found.load(), _MUST_HAVE[kind]):
            raise UsageError(f"{name} is none of the {kind}: it has no method {_MUST_HAVE[kind]}.")
        names[name] = found
    return names[name]


def trust(*modules: str) -> None:
    """Let run folders name code of these modules (or packages), which ``build`` then imports."""
    _trusted.update(modules)


def line(kind: str, name: str) -> str:
    """What is registered as ``name``, in one line for people; imports none of quickstudy's own.

    >>> line("rules", "sgd")
    'Plain or momentum gradient descent.'
    """
    try:
        return KINDS[kind][name].line()
    except UsageError as error:  # one that is broken must not hide the others
        return str(error)


def title(kind: str, name: str) -> str:
    """What a registered name is called in Python; of an unknown one, the name."""
    return (KINDS[kind].get(name) or Entry(name)).title


def named(description: Any) -> str:
    """What a described thing is called in Python (see ``describe``): ``{"learners": "maml", ...}`` is ``MAML``.

    >>> named({"learners": "maml", "options": {}}), named({"opaque": "mine.Net"}), named(None)
    ('MAML', 'Net', 'not recorded')
    """
    if not isinstance(description, dict):
        return "not recorded" if description is None else str(description)
    if "opaque" in description:
        return str(description["opaque"]).rpartition(".")[2]
    kind = next((k for k in description if k in KINDS), None)
    return "not recorded" if kind is None else title(kind, str(description[kind]))


def name_of(thing: Any) -> tuple[str, str] | None:
    """The kind and name under which an object (or a class) is registered, or None.

    Of several names of one class, an object's is the one whose options it has: equal, or registered under that name.
    """
    cls: type[Any] = thing if isinstance(thing, type) else type(thing)
    for kind, names in KINDS.items():
        for name, known in names.items():
            if known.loaded() is cls and (thing is cls or _has(thing, known.options)):
                return kind, name
    return None


def _has(thing: Any, options: Mapping[str, Any]) -> bool:
    for option, value in options.items():
        has = getattr(thing, option, None)
        known = name_of(has)
        if (has if known is None else known[1]) != value:
            return False
    return True


def make(kind: str, name: str, /, **options: Any) -> Any:
    """An object of a registered class, with what the name fixes.

    Of a name that fixes a part (``rule="adam"`` is one of the rules) the part's own options may be among the options.

    Raises:
        UsageError: an unknown name, or an option that it has not.
    """
    cls, fixed = load(kind, name), dict(entry(kind, name).options)
    taken = inspect.signature(cls).parameters
    for part, of in _parts(fixed).items():
        if part in options:
            fixed[part] = options.pop(part)
        else:
            its = [o for o in inspect.signature(load(of, fixed[part])).parameters if o in options and o not in taken]
            fixed[part] = make(of, fixed[part], **{option: options.pop(option) for option in its})
    unknown = [option for option in options if option not in taken or option in fixed]
    if unknown:
        raise UsageError(f"{name} has no option {' or '.join(unknown)}; leave it out.")
    return cls(**{**fixed, **options})


def _parts(fixed: Mapping[str, Any]) -> dict[str, str]:
    """Those of the options that name something registered: ``{"rule": "rules"}``."""
    return {option: f"{option}s" for option, value in fixed.items() if value in KINDS.get(f"{option}s", ())}


def describe(thing: Any) -> Any:
    """What a run writes down of an object, as JSON: its registered name and its constructor's arguments.

    Every registered class keeps each constructor argument in an attribute of the same name (scikit-learn's
    convention). What the name fixes is left out, but for parts, which have options. What cannot be rebuilt from JSON
    (a user's own module, an array) becomes ``{"opaque": type}``; of data beside it their shape and hash, of task
    distributions (whatever has ``sample``) the options.

    >>> from quickstudy.rules import SGD
    >>> describe(SGD(lr=0.4))
    {'rules': 'sgd', 'options': {'lr': 0.4, 'momentum': 0.0}}
    """
    if thing is None or isinstance(thing, bool | int | float | str):
        return thing
    if isinstance(thing, Path):
        return str(thing)
    if is_scalar(thing):
        return describe(thing.item())
    opaque = {"opaque": f"{type(thing).__module__}.{type(thing).__qualname__}"}
    if is_data(thing):
        return {**opaque, **written(thing)}
    if isinstance(thing, list | tuple):
        return [describe(part) for part in thing]
    if isinstance(thing, Mapping):
        return {**opaque, "items": {str(key): describe(value) for key, value in thing.items()}}
    known = name_of(thing)
    if known is None or isinstance(thing, type):
        if isinstance(thing, type) or not hasattr(thing, "sample"):
            return opaque
        kept = [a for a in inspect.signature(type(thing)).parameters if hasattr(thing, a)]
        return {**opaque, "options": {a: describe(getattr(thing, a)) for a in kept}}
    kind, name = known
    fixed = KINDS[kind][name].options
    said = fixed.keys() - _parts(fixed)
    arguments = [argument for argument in inspect.signature(type(thing)).parameters if argument not in said]
    return {kind: name, "options": {a: describe(getattr(thing, a)) for a in arguments}}


def build(description: Any, **changes: Any) -> Any:
    """The object that ``describe`` described, with some of its options changed.

    A description may come from somebody else. So it is built of registered classes alone: it may name a
    ``module:Class`` only if this program has asked for it by that name (``load``), or was told to ``trust`` it; the
    environment variable ``QUICKSTUDY_TRUST``, of modules separated by commas, tells so too.

    Raises:
        UsageError: the description holds an object that only the program that made the run can build, or code that
            is not trusted; or a change is none of its options.
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
    kind, name = named_in(description)
    options = dict(description.get("options") or {})
    return make(kind, name, **{option: build(value) for option, value in options.items()} | changes)


def named_in(description: Mapping[str, Any]) -> tuple[str, str]:
    """The kind and the name in a description, which may be ``load``-ed: of registered or trusted code.

    Importing a module runs it, so what a run folder names is not imported unless a person said so.

    Raises:
        UsageError: it names nothing, or code that is not trusted (see ``build``).
    """
    kind = next((k for k in description if k in KINDS), None)
    if kind is None:
        raise UsageError(f"this describes nothing that can be built: {description!r:.80}.")
    name = str(description[kind])
    module = name.partition(":")[0]
    trusted = {*_trusted, *(part.strip() for part in os.environ.get("QUICKSTUDY_TRUST", "").split(",") if part.strip())}
    asked = {name, *(module[:end] for end, letter in enumerate(f"{module}.") if letter == ".")}  # and its packages
    if ":" in name and name not in KINDS[kind] and not asked & trusted:
        raise UsageError(
            f"this run names code that does not belong to quickstudy, {name}, and importing it would run it. If you "
            f"trust whoever made it, say so: QUICKSTUDY_TRUST={module} in the environment, or in Python "
            f'quickstudy.registry.trust("{module}").'
        )
    return kind, name
