"""The command line: parse, call, print.

Exit codes: 0 done, 2 wrong usage, 3 data missing or damaged, 4 a run folder that cannot be used, 5 training diverged,
130 interrupted (the run can be resumed), 1 anything else.
"""

import argparse
import json
import shlex
import sys
import warnings
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import tyro

from quickstudy import registry
from quickstudy.apply.comparison import compare
from quickstudy.apply.few_images import classify_folder
from quickstudy.apply.learned_optimizer import pretrained_rule, rule_of_run
from quickstudy.cli.assemble import options_class, train_and_test
from quickstudy.cli.terminal import result_text, table, tell
from quickstudy.core.errors import DataError, QuickstudyError, UsageError
from quickstudy.core.learner import MetaLearner
from quickstudy.recipes import PRESETS, Choice, split_options
from quickstudy.report import make_pictures, write_report
from quickstudy.tasks.problems.problems import HELD_OUT, TRAINED
from quickstudy.training.distributed import pick_device
from quickstudy.training.evaluation import evaluate
from quickstudy.training.runs import Run
from quickstudy.version import __version__


def main(arguments: list[str] | None = None) -> int:
    """Run a command; gives the exit code."""
    argv = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in argv
    argv = [a for a in argv if a != "--debug"]
    name = argv[0] if argv else ""
    if name not in COMMANDS:
        asked = name in ("-h", "--help", "--version")
        print(_overview(), file=sys.stdout if asked else sys.stderr)
        if name and not asked:
            tell(f"\nquickstudy: there is no command {name!r}.")
        return 0 if asked else 2
    try:
        with warnings.catch_warnings():
            warnings.showwarning = _one_line_warning
            COMMANDS[name](argv[1:])
    except SystemExit as stop:  # of the parsers, after --help or wrong usage, with all said
        return stop.code if isinstance(stop.code, int) else 2
    except QuickstudyError as error:
        if debug:
            raise
        print(f"quickstudy: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt as stop:
        print(f"\nquickstudy: {str(stop) or 'interrupted'}.", file=sys.stderr)
        return 130
    except BrokenPipeError:
        sys.stderr.close()  # whoever read the output has read enough
        return 0
    except Exception as error:
        if debug:
            raise
        print(f"quickstudy: {type(error).__name__}: {error}. Run again with --debug to see where.", file=sys.stderr)
        return 1
    return 0


def _overview() -> str:
    lines = [f"{name:10}{(call.__doc__ or '').splitlines()[0]}" for name, call in COMMANDS.items()]
    return "\n".join(
        [
            f"quickstudy {__version__}: learning to learn, made practical",
            "",
            "usage: quickstudy COMMAND ... (--help after a command tells its options; --debug shows tracebacks)",
            "",
            *(f"  {line}" for line in lines),
        ]
    )


def train_command(argv: list[str]) -> None:
    """Meta-train a learner on tasks, test it, and write a report."""
    if not argv or argv[0].startswith("-"):
        usage = (
            f"usage: quickstudy train {{{','.join(registry.LEARNERS)}}} [--tasks T] [--net N] [--preset P] ...\n"
            "`quickstudy list` tells what each is; `quickstudy train LEARNER --help` tells its options."
        )
        if "-h" in argv or "--help" in argv:
            print(usage)
            return
        raise UsageError(f"name the learner to train first.\n{usage}")
    name = argv[0]
    chosen, rest = _take(argv[1:], tasks=str, net=str, preset=str)
    choice = Choice.of(name, chosen.tasks, chosen.net, chosen.preset)
    net = f" with --net {choice.net}" if choice.takes_net else ""
    shape, _ = _take(rest, way=int, shot=int)  # a preset depends on them
    options = asdict(
        tyro.cli(
            options_class(choice, shape.way or 5, shape.shot or 1),
            args=rest,
            prog=f"quickstudy train {name}",
            description=f"Train {name} on --tasks {choice.tasks}{net} and --preset {choice.preset}: what can "
            f"be chosen, and the defaults, depend on these. There are --tasks {{{','.join(registry.TASKS)}}}, "
            f"--net {{{','.join(registry.NETS)}}} (for learners that take one) and "
            f"--preset {{{','.join(PRESETS)}}} (default: quick).",
        )
    )
    learner, tasks = choice.build(options)
    training, test = split_options(options)
    out = options["out"] or f"runs/{name}-{choice.tasks}-s{options['seed']}"
    _train_and_report(learner, tasks, training, test, out=out, command=shlex.join(["quickstudy", "train", *argv]))


def _take(argv: list[str], **kinds: type) -> tuple[argparse.Namespace, list[str]]:
    """The values of some options (None: not given), and the other arguments."""
    parser = argparse.ArgumentParser(add_help=False, exit_on_error=False, allow_abbrev=False)
    for name, kind in kinds.items():
        parser.add_argument(f"--{name}", type=kind)
    try:
        return parser.parse_known_args(argv)
    except argparse.ArgumentError as error:
        raise UsageError(f"{error}.") from error


def demo_command(argv: list[str]) -> None:
    """Five minutes on two cores: MAML on Omniglot (on drawn glyphs where Omniglot cannot be had), with a report."""
    parser = argparse.ArgumentParser("quickstudy demo", description=demo_command.__doc__)
    parser.add_argument("--out", default="runs/demo", help="the run folder; a demo there goes on (default: runs/demo)")
    parser.add_argument("--steps", type=int, default=None, help="outer steps (default: the demo preset's)")
    given = parser.parse_args(argv)
    if (Path(given.out) / "config.json").exists():
        return resume_command([given.out])
    tasks = "omniglot"
    try:
        registry.load("tasks", tasks)(split="train")
    except DataError as error:
        tell(f"Omniglot cannot be had here ({error}) Going on with drawn glyphs instead.")
        tasks = "glyphs"
    steps = [] if given.steps is None else ["--steps", str(given.steps)]
    return train_command(["maml", "--tasks", tasks, "--preset", "demo", "--out", given.out, *steps])


def resume_command(argv: list[str]) -> None:
    """Go on with a run that was interrupted, as if it had not been."""
    parser = argparse.ArgumentParser("quickstudy resume", description=resume_command.__doc__)
    parser.add_argument("run", help="the run folder")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, ... (default: auto)")
    parser.add_argument("--workers", type=int, default=None, help="threads on a CPU (default: all)")
    given = parser.parse_args(argv)
    run = Run.open(given.run)
    learner, tasks = registry.build(run.config["learner"]), run.tasks()
    machine = {"device": given.device, "workers": given.workers}
    training = {**run.config["training"], **machine, "tensorboard": (Path(given.run) / "tensorboard").exists()}
    if "test" not in run.config:
        raise UsageError(f"{given.run} was started from Python; resume it there: quickstudy.train(..., resume=True).")
    _train_and_report(learner, tasks, training, run.config["test"], out=given.run, resume=True)


def _train_and_report(
    learner: MetaLearner, tasks: Any, training: dict[str, Any], test: dict[str, Any], *, out: str, **more: Any
) -> None:
    """Print the result and where the report is (nothing on the processes that only helped)."""
    try:
        finished = train_and_test(learner, tasks, training, test, out=out, say=tell, **more)
    except KeyboardInterrupt as stop:
        raise KeyboardInterrupt(f"{str(stop) or 'interrupted'}; `quickstudy resume {out}` goes on from there") from stop
    if finished is not None:
        run, result = finished
        print(result_text(result))
        print(f"report: {write_report([run])}")


def evaluate_command(argv: list[str]) -> None:
    """Test a trained run on unseen tasks, with other ways, shots or steps if wanted."""
    parser = argparse.ArgumentParser("quickstudy evaluate", description=evaluate_command.__doc__)
    parser.add_argument("run", help="the run folder")
    per_task = {"way": "classes per task", "shot": "support examples per class", "query": "query examples per class"}
    for name, text in per_task.items():
        parser.add_argument(f"--{name}", type=int, help=f"{text} (default: as in the run's own test)")
    parser.add_argument("--steps", type=int, help="inner steps (default: as in the run's own test)")
    parser.add_argument("--n-tasks", type=int, default=1000, help="tasks to test on, at least 2 (default: 1000)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the tasks (default: 0)")
    parser.add_argument("--split", default="test", help="train, val, trainval or test (default: test)")
    parser.add_argument("--checkpoint", default="best", help="best, last, or an outer step (default: best)")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, ... (default: auto)")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    given = parser.parse_args(argv)
    run = Run.open(given.run)
    test = run.config.get("test") or {}
    query = test.get("test_query") if given.query is None else given.query
    way = test.get("test_way") if given.way is None else given.way
    asked = {"split": given.split, "way": way, "shot": given.shot, "query": query}
    tasks = run.tasks(**{name: value for name, value in asked.items() if value is not None})
    learner = registry.build(run.config["learner"])
    step = run.load_into(learner, _checkpoint_step(run, given.checkpoint))
    steps = test.get("test_steps") if given.steps is None else given.steps
    device = pick_device(given.device)
    result = evaluate(learner, tasks, n_tasks=given.n_tasks, seed=given.seed, steps=steps, device=device)
    run.add_result({**result.to_json(), "split": given.split, "checkpoint": step})
    if given.json:
        print(json.dumps(result.to_json(), indent=2))
    else:
        print(result_text(result))
    make_pictures(run, learner, tasks)


def _checkpoint_step(run: Run, name: str) -> int | None:
    if name in ("best", "last"):
        return None if name == "best" else run.load().step
    if not name.isdecimal():
        raise UsageError(f"--checkpoint must be best, last or an outer step ({run.steps()}), got {name!r}.")
    return int(name)


def adapt_command(argv: list[str]) -> None:
    """Apply a trained run to your own few images: a table of predictions with probabilities."""
    parser = argparse.ArgumentParser("quickstudy adapt", description=adapt_command.__doc__)
    parser.add_argument("run", help="the run folder")
    parser.add_argument("--support", required=True, type=Path, help="a folder of class folders with a few images each")
    parser.add_argument("--query", required=True, type=Path, help="a folder of images to classify")
    parser.add_argument("--steps", type=int, help="inner steps (default: as in the run's own test)")
    parser.add_argument("--json", action="store_true", help="print the predictions as JSON")
    given = parser.parse_args(argv)
    run = Run.open(given.run)
    steps = (run.config.get("test") or {}).get("test_steps") if given.steps is None else given.steps
    learner, tasks = run.learner(), run.tasks()
    predictions = classify_folder(learner, tasks, given.support, given.query, steps=steps)
    if given.json:
        print(json.dumps([asdict(p) for p in predictions], indent=2))
        return
    classes = list(predictions[0].probabilities)
    rows = [[p.path, p.label, *(f"{100 * p.probabilities[c]:.1f}%" for c in classes)] for p in predictions]
    print(table(rows, ["image", "prediction", *classes]))
    print(f"BatchNorm: {learner.bn_mode}" + TRANSDUCTIVE_NOTE * (learner.bn_mode == "transductive"))


TRANSDUCTIVE_NOTE = " (the queries are normalised together: a prediction depends on the other query images)"


def report_command(argv: list[str]) -> None:
    """Write a report of one run, or of several compared."""
    parser = argparse.ArgumentParser("quickstudy report", description=report_command.__doc__)
    parser.add_argument("runs", nargs="+", help="run folders")
    parser.add_argument(
        "--out", type=Path, help="the HTML file (default: report.html in the run; required for several)"
    )
    given = parser.parse_args(argv)
    if len(given.runs) > 1 and given.out is None:
        raise UsageError("for several runs, say where the report goes: --out FILE.html")
    print(f"report: {write_report([Run.open(path) for path in given.runs], given.out)}")


def optimize_command(argv: list[str]) -> None:
    """Compare learned optimizers with tuned SGD, momentum, RMSprop, Adam and AdamW on a family of problems."""
    families = ", ".join((*TRAINED, *HELD_OUT))
    parser = argparse.ArgumentParser("quickstudy optimize", description=optimize_command.__doc__)
    parser.add_argument("runs", nargs="*", help="run folders of learned optimizers (none: the one that ships)")
    parser.add_argument("--family", default="mlp", help=f"{families} (default: mlp)")
    parser.add_argument("--steps", type=int, default=200, help="inner steps (default: 200)")
    parser.add_argument("--seeds", type=int, default=5, help="architectures, with problems of their own (default: 5)")
    parser.add_argument("--problems", type=int, default=8, help="problems of each architecture (default: 8)")
    given = parser.parse_args(argv)
    if min(given.steps, given.seeds, given.problems) < 1:
        raise UsageError("--steps, --seeds and --problems must be at least 1.")
    learned = {path: rule_of_run(path) for path in given.runs} or {"learned": pretrained_rule()}
    rows = compare(learned, family=given.family, steps=given.steps, seeds=range(given.seeds), count=given.problems)
    cells = [
        [r.optimizer, "learned" if r.lr is None else f"{r.lr:.2g}", f"{r.area:.4f} ± {r.area_ci95:.4f}",
         f"{r.final:.4f} ± {r.final_ci95:.4f}", f"{100 * r.diverged:.0f}%"]
        for r in rows
    ]  # fmt: skip
    print(table(cells, ["optimizer", "step size", "mean loss", "final loss", "diverged"]))
    print(f"losses relative to the start, 95% intervals over {given.seeds} seeds; {given.family}, {given.steps} steps")


def list_command(argv: list[str]) -> None:
    """List every learner, task distribution and net there is, with a line each."""
    parser = argparse.ArgumentParser("quickstudy list", description=list_command.__doc__)
    parser.add_argument("--json", action="store_true", help="print as JSON")
    given = parser.parse_args(argv)
    kinds = ("learners", "tasks", "nets")
    lines = {k: {name: registry.summary(registry.load(k, name)) for name in registry.KINDS[k]} for k in kinds}
    if given.json:
        print(json.dumps(lines, indent=2))
        return
    for kind, names in lines.items():
        print(f"{kind}:", *(f"  {name:16}{text}" for name, text in names.items()), sep="\n")


def _one_line_warning(message: Warning | str, *_: Any) -> None:
    tell(f"warning: {message}")


COMMANDS: dict[str, Callable[[list[str]], None]] = {
    "demo": demo_command,
    "train": train_command,
    "resume": resume_command,
    "evaluate": evaluate_command,
    "adapt": adapt_command,
    "report": report_command,
    "optimize": optimize_command,
    "list": list_command,
}
