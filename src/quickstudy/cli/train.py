"""``quickstudy train``: its options are those of the learner, the tasks and the net that are chosen."""

import argparse
import shlex
from dataclasses import replace
from textwrap import fill
from typing import Any

from quickstudy import registry
from quickstudy.cli.assemble import option_groups, train_and_test
from quickstudy.cli.options import parse_groups
from quickstudy.cli.terminal import result_text, say, tell
from quickstudy.core.errors import UsageError
from quickstudy.core.learner import MetaLearner
from quickstudy.recipes import PRESETS, Choice, split_options
from quickstudy.report import write_report
from quickstudy.training import distributed


def train(argv: list[str]) -> None:
    """Meta-train a learner on tasks, test it, and write a report.

    Args:
        argv: the learner, then options; which there are depends on ``--tasks``, ``--net`` and ``--preset``.
    """
    if not argv or argv[0].startswith("-"):
        names = f"LEARNER is one of {', '.join(registry.LEARNERS)}, or one of your own, as module:Class."
        usage = (
            "usage: quickstudy train LEARNER [--tasks T] [--net N] [--preset P] ...\n"
            f"{fill(names, 80, break_on_hyphens=False)}\n"
            "`quickstudy list` tells what each is,\n`quickstudy train LEARNER --help` its options."
        )
        if "-h" in argv or "--help" in argv:
            print(usage)
            return
        raise UsageError(f"name the learner to train first.\n{usage}")
    name = argv[0]
    chosen, rest = _take(argv[1:], tasks=str, net=str, preset=str)
    choice = Choice.of(name, chosen.tasks, chosen.net, chosen.preset)
    net = f" with --net {choice.net}" if choice.takes_net else ""
    # What a preset depends on.
    shape, _ = _take(rest, way=int, shot=int, steps=int, root=str, **{"split-seed": int, "split-by": str})
    for option, why in choice.inapplicable().items():
        flag = f"--{option.replace('_', '-')}"
        if any(word.partition("=")[0].replace("_", "-") == flag for word in rest):
            raise UsageError(f"{why}; leave out {flag}.")
    options = parse_groups(
        {
            title: replace(group, options={n: o for n, o in group.options.items() if n not in choice.inapplicable()})
            for title, group in option_groups(choice).items()
        },
        choice.defaults(shape.way or 5, shape.shot or 1, **choice.known(vars(shape))),
        rest,
        prog=f"quickstudy train {name}",
        description=(
            f"Train {name} on --tasks {choice.tasks}{net} and --preset {choice.preset}: what can "
            f"be chosen, and the defaults, depend on these.\n\nThere are --tasks {', '.join(registry.TASKS)}; "
            f"--net {', '.join(registry.NETS)} (for learners that take one); --tasks and --net module:Class of "
            f"your own; --preset {', '.join(PRESETS)} (default: quick)."
        ),
    )
    tell(f"setting up {name} on {choice.tasks}")  # reading images, or a download, may take a while
    learner, tasks = choice.build(options)
    training, test = split_options(options)
    short = [part.rpartition(":")[2] for part in (name, choice.tasks)]
    out = options["out"] or f"runs/{'-'.join(short)}-s{options['seed']}"
    train_and_report(learner, tasks, training, test, out=out, command=shlex.join(["quickstudy", "train", *argv]))


def train_and_report(
    learner: MetaLearner, tasks: Any, training: dict[str, Any], test: dict[str, Any], *, out: str, **more: Any
) -> None:
    """Print the result and where the report is (nothing on the processes that only helped)."""
    try:
        finished = train_and_test(learner, tasks, training, test, out=out, say=tell, **more)
    except KeyboardInterrupt as stop:
        raise KeyboardInterrupt(f"{str(stop) or 'interrupted'}; `quickstudy resume {out}` goes on from there") from stop
    if finished is not None:
        run, result = finished
        say(result_text(result))
        tell("writing the report")
        say(f"report: {write_report([run])}")
    distributed.finish()


def _take(argv: list[str], **kinds: type) -> tuple[argparse.Namespace, list[str]]:
    """The values of some options (None: not given), and the other arguments."""
    parser = argparse.ArgumentParser(add_help=False, exit_on_error=False, allow_abbrev=False)
    for name, kind in kinds.items():
        parser.add_argument(f"--{name}", type=kind)
    try:
        return parser.parse_known_args(argv)
    except argparse.ArgumentError as error:
        raise UsageError(f"{error}.") from error
