"""``quickstudy classify``."""

import csv
import sys
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, TypeVar

import numpy as np
from tqdm.auto import tqdm
from tyro import conf

from quickstudy.apply.answer import Answer
from quickstudy.apply.image_classifier import ImageClassifier
from quickstudy.apply.pictures import in_folder
from quickstudy.cli._checked import say_check
from quickstudy.cli._few import Few, learn, some, tell_of_duplicates
from quickstudy.cli.terminal import say, table, tell
from quickstudy.core.errors import DataError, RunError, UsageError
from quickstudy.core.files import advice, data_in, reason, write_atomic
from quickstudy.core.words import plain
from quickstudy.report.answers import AnswersPage
from quickstudy.tasks.images.folders import LeftOut

T = TypeVar("T")
New = Annotated[tuple[Path, ...], conf.Positional, conf.arg(metavar="NEW ...", help_behavior_hint="")]


def classify(
    few: Few,
    new: New = (),
    *,
    encoder: str = "efficientnet-lite0",
    head: str = "auto",
    reject: float = 0.05,
    transductive: bool = False,
    augment: bool = False,
    check: bool = False,
    next: int | None = None,
    out: Path | None = None,
    html: Path | None = None,
    cache: bool = True,
    seed: int = 0,
) -> None:
    """Classify your pictures from a few of each class; nothing is trained.

    FEW holds a folder for each class, NEW the pictures that are asked. A frozen encoder finds features, and a head is
    fitted to those of your few pictures. Pictures like none of the classes are called unknown.

    Args:
        few: a folder with a folder of pictures for each class.
        new: folders of pictures to classify, or pictures.
        encoder: efficientnet-lite0, timm:NAME, open-clip:NAME, hf:NAME, run:RUN or pixels.
        head: auto (chosen on your few pictures alone), or one of centroid, ridge, logistic, svm, in-context.
        reject: share of pictures of known classes that may be called unknown (0: none is ever called unknown).
        transductive: let the new pictures help to classify each other; they must be of all classes about equally.
        augment: learn from mirrored and cropped views, too; not for what a mirror changes, such as letters.
        check: how good will it be? Cross-validation on your few pictures.
        next: tell which of the new pictures, so many, to label next.
        out: a CSV file of the answers; what is done is kept when you stop.
        html: a page of the answers, with the pictures, and of the check.
        cache: whether what the encoder found is kept on the disk, so that a picture is embedded once.
        seed: of the cross-validation's folds.
    """
    if next is not None and next < 1:
        raise UsageError(f"--next must be at least 1, got {next}.")
    if not new and (not check or next is not None or out is not None):
        raise UsageError("nothing to do: name pictures to classify after the folder, or --check how good it will be.")
    for path in (out, html):
        if path is not None and path.is_dir():
            raise UsageError(f"{path} is a folder; name a file.")
    asked = _asked(new)  # before anything takes time
    classifier = learn(
        few,
        encoder=encoder,
        head=head,
        reject=reject,
        augment=augment,
        cache=cache,
        seed=seed,
        transductive=transductive,
    )
    tell_of_duplicates(classifier, asked)
    page = AnswersPage(classifier.classes_.tolist(), len(asked)) if html is not None else None
    try:
        if check:
            _check(classifier, page, needed=not asked)
        if next is not None:
            _next(classifier, asked, next, out, page)
        elif asked:
            _answer(classifier, asked, out, page)
    finally:  # when it is interrupted, too
        if page is not None and html is not None:
            write_atomic(html, page.render().encode(errors="backslashreplace"), anywhere=True)
            tell(f"the page is {html}")


def _asked(new: Iterable[Path]) -> list[Path]:
    left = LeftOut()
    found: list[Path] = []
    for place in new:
        with data_in(str(place)):
            found += in_folder(place, left)
    if left.may_matter:
        tell(f"warning: left out: {left}.")
    return list(dict.fromkeys(found))


def _check(classifier: ImageClassifier, page: AnswersPage | None, *, needed: bool) -> None:
    try:
        found = classifier.check()
    except UsageError as error:
        if needed:
            raise
        tell(f"warning: {error}")
        return
    say_check(found, classifier)
    if page is not None:
        page.checked(found, classifier.sources_)


def _answer(classifier: ImageClassifier, asked: list[Path], out: Path | None, page: AnswersPage | None) -> None:
    classes = [str(name) for name in classifier.classes_]
    wide = [max(map(len, column)) for column in (map(_name, asked), [*classes, "cannot be read"])]
    counts: Counter[str] = Counter()
    problems: list[str] = []
    try:
        with rows_to(out) as write:
            write(["picture", "answer", *classes, "unknown score", "problem"])
            for answer in _shown(classifier.stream(asked), len(asked), hidden=sys.stdout.isatty()):
                write(_row(answer, len(classes)))
                label = "cannot be read" if answer.problem else str(answer.label)
                say(f"{_name(answer.source):<{wide[0]}}  {label:<{wide[1]}}  {_sure(answer, classes)}".rstrip())
                counts[label] += 1
                if page is not None:
                    page.add(answer)
                if answer.problem:
                    problems.append(answer.problem)
    finally:
        said = ", ".join(f"{count} {label}" for label, count in counts.most_common())
        tell(f"{counts.total()} of {len(asked)} pictures: {said or 'none yet'}" + f"; {out}" * (out is not None))
    _tell_of_problems(problems, len(asked))


def _next(
    classifier: ImageClassifier, asked: list[Path], count: int, out: Path | None, page: AnswersPage | None
) -> None:
    found = list(_shown(classifier.embedded(asked), len(asked)))
    _tell_of_problems([row for _, row in found if isinstance(row, str)], len(asked))
    known = [(source, row) for source, row in found if not isinstance(row, str)]
    best = classifier.classifier_.next_to_label(np.stack([row for _, row in known]), min(count, len(known)))
    answers = list(classifier.answers(known))
    chosen = [answers[i] for i in best]
    header = ["label next", "picture", "now taken for"]
    rows = [[str(rank), _name(answer.source), str(answer.label)] for rank, answer in enumerate(chosen, start=1)]
    say(table(rows, header))
    if page is not None:
        for answer in chosen:
            page.add(answer, under="label next")
    with rows_to(out) as write:
        for row in (header, *rows):
            write(row)


def _tell_of_problems(problems: Sequence[str], asked: int) -> None:
    if not problems:
        return
    what = f"{len(problems)} of {asked} pictures cannot be read: {some(problems, ' ')}"
    if len(problems) == asked:
        raise DataError(what)
    tell(f"warning: {what}")


def _name(source: object) -> str:
    return plain(str(source)).replace("\n", "\\n")


def _sure(answer: Answer, classes: list[str]) -> str:
    """Of the most probable class, which is named where the answer is another."""
    if answer.probabilities is None:
        return ""
    best = int(answer.probabilities.argmax())
    said = f"{100 * answer.probabilities[best]:5.1f}%"
    return said if str(answer.label) == classes[best] else f"{said} {classes[best]}"


def _row(answer: Answer, classes: int) -> list[str]:
    if answer.probabilities is None or answer.unknown_score is None:
        return [str(answer.source), *[""] * (classes + 2), answer.problem or ""]
    numbers = [f"{p:.4f}" for p in answer.probabilities]
    return [str(answer.source), str(answer.label), *numbers, f"{answer.unknown_score:.4f}", ""]


def _shown(answers: Iterable[T], total: int, *, hidden: bool = False) -> Iterable[T]:
    """With a bar where it takes long and the answers are not on the screen themselves; into a log now and then."""
    often = 0.2 if sys.stderr.isatty() else 30
    return tqdm(answers, total=total, unit="picture", file=sys.stderr, delay=3, mininterval=often, disable=hidden)


@contextmanager
def rows_to(out: Path | None) -> Generator[Callable[[list[str]], None]]:
    """Writes rows to a CSV file, each at once, so that what is done is kept; or nowhere.

    Raises:
        RunError: it cannot be written.
    """
    if out is None:
        yield lambda row: None
        return
    with _writing(out):
        out.parent.mkdir(parents=True, exist_ok=True)
        file = open(out, "w", newline="", encoding="utf-8", errors="backslashreplace")  # noqa: SIM115
    to = csv.writer(file)

    def write(row: list[str]) -> None:
        with _writing(out):
            to.writerow(row)
            file.flush()

    try:
        yield write
    finally:
        with _writing(out):
            file.close()


@contextmanager
def _writing(out: Path) -> Generator[None]:
    try:
        yield
    except OSError as error:
        raise RunError(f"cannot write {out}: {reason(error)}; {advice(error)}.") from error
