"""``quickstudy classify``."""

import csv
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

from tqdm.auto import tqdm
from tyro import conf

from quickstudy.apply.pictures import in_folder
from quickstudy.apply.image_classifier import Answer, ImageClassifier
from quickstudy.cli.terminal import say, table, tell
from quickstudy.core.errors import RunError, UsageError
from quickstudy.core.files import advice, data_in, reason, write_atomic
from quickstudy.report.answers import AnswersPage
from quickstudy.tasks.images.folders import LeftOut

Few = Annotated[Path, conf.Positional, conf.arg(metavar="FEW")]
New = Annotated[tuple[Path, ...], conf.Positional, conf.arg(metavar="NEW ...", help_behavior_hint="")]
SHOWN = 5
"""Names of a kind that a remark lists."""


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
    """Classify your pictures from a few of each class: FEW holds a folder for each class, NEW what is asked.

    Nothing is trained before: a frozen encoder finds features, and a head is fitted to those of your few pictures.
    Pictures like none of the classes are called unknown.

    Args:
        few: a folder with a folder of pictures for each class.
        new: folders of pictures to classify, or pictures.
        encoder: efficientnet-lite0, timm:NAME, open-clip:NAME, hf:NAME, run:RUN or pixels.
        head: auto (chosen by cross-validation on your few pictures), or one of centroid, ridge, logistic, svm.
        reject: share of pictures of known classes that may be called unknown (0: none is ever called unknown).
        transductive: let the new pictures help to classify each other.
        augment: learn from mirrored and cropped views, too; not for what a mirror changes, such as letters.
        check: how good will it be? Cross-validation on your few pictures.
        next: tell which of the new pictures, so many, to label next.
        out: a CSV file of the answers; what is done is kept when you stop.
        html: a page of the answers, with the pictures.
        cache: keep what the encoder found on the disk, so that a picture is embedded once.
        seed: of the cross-validation's folds.
    """
    if not 0 <= reject < 1:
        raise UsageError(f"--reject is a share in [0, 1), got {reject:g}.")
    if next is not None and next < 1:
        raise UsageError(f"--next must be at least 1, got {next}.")
    if not new and not check:
        raise UsageError("nothing to do: name pictures to classify after the folder, or --check how good it will be.")
    asked = _asked(new)  # before anything takes time
    classifier = ImageClassifier(
        encoder=encoder,
        head=head,
        reject=reject or None,
        transductive=transductive,
        augment=augment,
        cache=cache,
        random_state=seed,
    )
    tell(f"learning from {few} with {encoder} ...")
    classifier.fit(few)
    counts = Counter(map(str, classifier.labels_))
    tell(f"learned {len(counts)} classes ({_sizes(counts)}); head: {classifier.classifier_.head_}")
    _tell_of_counts(counts)
    _tell_of_duplicates(classifier, asked)
    if check:
        _check(classifier)
    if next is not None:
        _next(classifier, asked, next, out)
    elif asked:
        _answer(classifier, asked, out, html)


def _asked(new: Iterable[Path]) -> list[Path]:
    left, found = LeftOut(), []
    for place in new:
        with data_in(str(place)):
            found += in_folder(place, left)
    if left.may_matter:
        tell(f"warning: left out: {left}.")
    return [*dict.fromkeys(found)]


def _sizes(counts: Counter[str]) -> str:
    few, many = min(counts.values()), max(counts.values())
    return f"{few} pictures each" if few == many else f"{few} to {many} pictures each"


def _tell_of_counts(counts: Counter[str]) -> None:
    alone = sorted(name for name, count in counts.items() if count == 1)
    if alone and max(counts.values()) >= 10:
        tell(
            f"warning: {_some(alone)} {'have' if len(alone) > 1 else 'has'} one picture where another class has "
            f"{max(counts.values())}; give {'them' if len(alone) > 1 else 'it'} a few more."
        )


def _tell_of_duplicates(classifier: ImageClassifier, asked: list[Path]) -> None:
    """Pictures that are among the few already are answered, but their answers say nothing of how good it is."""
    known = {content_hash(source) for source in classifier.sources_ if isinstance(source, Path)}
    sizes = {source.stat().st_size for source in classifier.sources_ if isinstance(source, Path)}
    same = [str(path) for path in asked if path.stat().st_size in sizes and content_hash(path) in known]
    if same:
        tell(f"warning: {len(same)} of the new pictures are among those it learned from: {_some(same)}.")


def _some(names: list[str]) -> str:
    return ", ".join(names[:SHOWN]) + (f" and {len(names) - SHOWN} more" if len(names) > SHOWN else "")


def _next(classifier: ImageClassifier, asked: list[Path], count: int, out: Path | None) -> None:
    answers = [*_shown(classifier.stream(asked), len(asked))]
    problems = [a.problem for a in answers if a.problem]
    if problems:
        tell(f"warning: {len(problems)} pictures cannot be read: {'; '.join(problems[:SHOWN])}")
    now = {a.source: str(a.label) for a in answers if not a.problem}
    chosen = classifier.next_to_label([*now], min(count, len(now)))
    rows = [[str(rank), str(source), now[source]] for rank, source in enumerate(chosen, start=1)]
    say(table(rows, ["label next", "picture", "now taken for"]))
    if out is not None:
        with rows_to(out) as write:
            for row in (["rank", "picture", "now taken for"], *rows):
                write(row)


def _answer(classifier: ImageClassifier, asked: list[Path], out: Path | None, html: Path | None) -> None:
    classes = [str(name) for name in classifier.classes_]
    widest = max(len(str(path)) for path in asked), max(map(len, [*classes, "cannot be read"]))
    counts: Counter[str] = Counter()
    answers = _shown(classifier.stream(asked), len(asked))
    page = AnswersPage(classes) if html is not None else None
    try:
        with rows_to(out) as write:
            write(["picture", "answer", *classes, "unknown score", "problem"])
            for answer in answers:
                write(_row(answer, len(classes)))
                label = "cannot be read" if answer.problem else str(answer.label)
                sure = "" if answer.probabilities is None else f"{100 * answer.probabilities.max():.1f}%"
                say(f"{answer.source!s:<{widest[0]}}  {label:<{widest[1]}}  {sure:>6}")
                counts[label] += 1
                if page is not None:
                    page.add(answer)
    finally:  # when it is interrupted, too
        if page is not None and html is not None:
            write_atomic(html, page.render().encode(), anywhere=True)
        done = counts.total()
        said = ", ".join(f"{count} {label}" for label, count in counts.most_common())
        where = "".join(f"; {path}" for path in (out, html) if path is not None)
        tell(f"{done} of {len(asked)} pictures: {said or 'none yet'}{where}")


def _row(answer: Answer, classes: int) -> list[str]:
    if answer.probabilities is None or answer.unknown_score is None:
        return [str(answer.source), *[""] * (classes + 2), answer.problem or ""]
    numbers = [f"{p:.4f}" for p in answer.probabilities]
    return [str(answer.source), str(answer.label), *numbers, f"{answer.unknown_score:.4f}", ""]


def _shown(answers: Iterable[Answer], total: int) -> Iterable[Answer]:
    """With a bar, where it takes long."""
    return tqdm(answers, total=total, unit="picture", file=sys.stderr, delay=3, dynamic_ncols=True)


@contextmanager
def rows_to(out: Path | None) -> Iterator[Callable[[list[str]], None]]:
    """Writes rows to a CSV file, each at once, so that what is done is kept; or nowhere."""
    if out is None:
        yield lambda row: None
        return
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with open(out, "w", newline="", encoding="utf-8") as file:
            to = csv.writer(file)

            def write(row: list[str]) -> None:
                to.writerow(row)
                file.flush()

            yield write
    except OSError as error:
        raise RunError(f"cannot write {out}: {reason(error)}; {advice(error)}.") from error
