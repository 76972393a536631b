"""``quickstudy table``."""

from dataclasses import asdict
from json import dumps
from pathlib import Path
from typing import Literal

from tyro.conf import Positional

from quickstudy.apply.tables.csv_file import read_table
from quickstudy.apply.tables.labelled import Labelled
from quickstudy.apply.tables.table import Table, listed
from quickstudy.cli.options import Words
from quickstudy.cli.terminal import say, tell
from quickstudy.cli.terminal import table as table_text
from quickstudy.cli.trained import threads
from quickstudy.core.errors import UsageError
from quickstudy.core.files import write_atomic
from quickstudy.core.scores import score
from quickstudy.training.progress import Waiting

try:
    from quickstudy.apply.tables.checking import TableCheck, check_labelled
    from quickstudy.apply.tables.classified import Classified, classify
    from quickstudy.apply.tables.methods import WORDS
except ModuleNotFoundError as error:
    raise UsageError(f"tables need scikit-learn ({error}): pip install 'quickstudy[sklearn]'") from error

SHOWN = 20
"""Rows of answers that are printed, where they are many; a file has all."""


def table(
    file: Positional[Path],
    *,
    target: str | None = None,
    predict: Path | None = None,
    out: Path | None = None,
    check: bool = False,
    method: Literal["in-context", "logistic", "extra-trees", "boosting"] = "in-context",
    id: Words = (),
    leave_out: Words = (),
    separator: str | None = None,
    encoding: str | None = None,
    header: Literal["auto", "yes", "no"] = "auto",
    views: int = 2,
    rows: int = 1000,
    folds: int = 5,
    seed: int = 0,
    workers: int | None = None,
    json: bool = False,
) -> None:
    """Classify the rows of a table from labelled ones; check how well.

    Numbers, categories, dates, text and gaps are taken as they are. Rows of another file (--predict) are classified,
    else those whose target is empty; without either, or with --check, it is cross-validated beside other methods.

    Args:
        file: the table, as CSV; separator, encoding and header are found.
        target: the column of the classes, by name or number.
        predict: another table, whose rows are to be classified.
        out: a file for the answers, as CSV (None: they are printed).
        check: cross-validate, beside other methods.
        method: what classifies: in-context, logistic, extra-trees or boosting.
        id: columns that name the rows: kept beside the answers, and not used (none: found).
        leave_out: columns that are not used.
        separator: between cells (None: found).
        encoding: of the text (None: found).
        header: whether the first row has names: yes, no, or auto.
        views: of the in-context learner: in how many forms it reads the table.
        rows: that are cross-validated, at most.
        folds: of the cross-validation.
        seed: of the choice of these rows, and of the folds.
        workers: threads on a CPU (None: as many as torch may use).
        json: print answers and check as JSON.
    """
    if min(views, rows, folds - 1) < 1:
        raise UsageError("--views and --rows must be at least 1, and --folds 2.")
    said = None if header == "auto" else header == "yes"
    training = read_table(file, separator=separator, encoding=encoding, header=said)
    known = Labelled.of(training, target, ids=id, leave_out=leave_out)
    for line in _about(training, known):
        tell(line)
    new = known.rest if len(known.rest) and predict is None else None
    if predict is not None:
        new = read_table(predict, separator=separator, encoding=encoding, header=training.has_header)
    if out is not None and new is None:
        raise UsageError(f"--out is for answers, and no row of {file} lacks its {known.target}; say --predict FILE.")
    checked = answers = None
    with threads(workers):
        if check or new is None:
            with Waiting("cross-validating", "fit") as waiting:
                checked = check_labelled(
                    known, rows=rows, folds=folds, repeats=None, views=views, seed=seed, progress=waiting
                )
        if new is not None:
            tell(f"classifying {len(new)} rows of {new.name} by {WORDS[method]} from {len(known.labels)} labelled ones")
            answers = classify(known, new, name=method, views=views)
    if out is not None and answers is not None:
        write_atomic(out, answers.csv(), anywhere=True)
    if json:
        found = {"check": checked and asdict(checked), "answers": answers and answers.to_json()}
        print(dumps(found, indent=2, ensure_ascii=False))
        return
    if checked is not None:
        say(_check(checked))
    if answers is not None:
        say(f"answers: {out}" if out is not None else _answers(answers))
        if (told := answers.accuracy) is not None:
            say(f"accuracy {100 * told[0]:.1f}% on the {told[1]} rows whose {answers.target} is known")


def _about(training: Table, known: Labelled) -> list[str]:
    """What was found in the file."""
    counts = [f"{name} ({count})" for name, count in known.classes.items()]
    rest = f"; {len(known.rest)} rows have none" if len(known.rest) else ""
    return [
        f"{training.name}: {len(training)} rows, {len(training.columns)} columns; {'; '.join(training.notes)}",
        f"  target {known.target}: {listed(counts, SHOWN)}{rest}",
        *(f"  {line}" for line in known.plan.lines(known.table)),
    ]


def _check(checked: TableCheck) -> str:
    known = score("accuracy")
    rows = [
        [
            WORDS[s.name],
            known.told(s.accuracy, s.ci95),
            known.gap(s.ahead, s.ahead_ci95) if i else "",
            f"{s.seconds:.2g}",
        ]
        for i, s in enumerate(checked.scores)
    ]  # fmt: skip
    repeated = f", {checked.repeats} times" if checked.repeats > 1 else ""
    return "\n".join([
        table_text(rows, ["method", "accuracy", "ahead, points", "seconds"]),
        f"cross-validated on {checked.rows} rows in {checked.folds} folds{repeated}; ± is the 95% interval over rows",
        checked.advice,
    ])  # fmt: skip


def _answers(answers: Classified) -> str:
    header, rows = answers.rows()
    more = f"\nand {len(rows) - SHOWN} more rows; --out FILE.csv has them all" if len(rows) > SHOWN else ""
    return table_text(rows[:SHOWN], header) + more
