"""What ``classify --check`` says: how good it will be."""

from quickstudy.apply.check import Check, Estimate
from quickstudy.apply.image_classifier import ImageClassifier
from quickstudy.cli._few import some
from quickstudy.cli.terminal import say, table

WIDEST = 8
"""Classes of which the whole confusion is shown; of more, the most frequent mistakes."""
MISTAKES = 10


def say_check(check: Check, classifier: ImageClassifier) -> None:
    """Print it."""
    say(f"accuracy by cross-validation: {percent(check.accuracy)}")
    if check.untested:
        say(f"not tested, as there is one picture only: {some([str(name) for name in check.untested])}")
    names, counts = [str(name) for name in check.classes], check.confusion
    say("")
    if len(names) <= WIDEST:
        rows = [[name, *(f"{count:.3g}" for count in row)] for name, row in zip(names, counts, strict=True)]
        say(table(rows, ["is \\ taken for", *names]))
    else:
        found = [(counts[i, j], a, b) for i, a in enumerate(names) for j, b in enumerate(names) if i != j]
        wrong = [[a, b, f"{count:.3g}"] for count, a, b in sorted(found, reverse=True)[:MISTAKES] if count]
        say(table(wrong, ["is", "taken for", "pictures"]) if wrong else "no mistakes")
    if check.by_shots:
        say("")
        say(table([[str(shots), percent(at)] for shots, at in check.by_shots], ["pictures a class", "accuracy"]))
    if check.suspects:
        say("")
        rows = [
            [str(classifier.sources_[one.row]), str(one.given), str(one.looks_like), f"{100 * one.probability:.0f}%"]
            for one in check.suspects
        ]
        say(table(rows, ["perhaps mislabelled", "labelled", "looks like", "by"]))


def percent(share: Estimate) -> str:
    """A share and its interval, as a person reads it.

    >>> percent(Estimate(0.9, 0.79, 0.96))
    '90.0% (95% interval 79.0% to 96.0%)'
    """
    return f"{100 * share.value:.1f}% (95% interval {100 * share.low:.1f}% to {100 * share.high:.1f}%)"
