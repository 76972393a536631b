"""What ``classify`` and ``export`` begin with: to learn from a folder of class folders, and to say what was found."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from tyro import conf

from quickstudy.apply.image_classifier import ImageClassifier
from quickstudy.cli.terminal import tell
from quickstudy.core.errors import DataError, UsageError
from quickstudy.encoders.reading import content_hash

Few = Annotated[Path, conf.Positional, conf.arg(metavar="FEW")]
SHOWN = 5
"""Names of a kind that a remark lists."""
MANY = 10
"""Pictures of one class, beside which a class of one is too little."""


def learn(
    few: Path,
    *,
    encoder: str,
    head: str,
    reject: float,
    augment: bool,
    cache: bool,
    seed: int,
    transductive: bool = False,
) -> ImageClassifier:
    """A classifier, fitted to the folder; of the options ``classify`` says what they mean."""
    if not 0 <= reject < 1:
        raise UsageError(f"--reject is a share in [0, 1), got {reject:g}.")
    classifier = ImageClassifier(
        encoder=encoder,
        head=head,
        reject=reject or None,
        unknown="none of these" if (few / "unknown").is_dir() else None,
        transductive=transductive,
        augment=augment,
        cache=cache,
        random_state=seed,
    )
    tell(f"learning from {few} with {encoder} ...")
    classifier.fit(few)
    counts = Counter(map(str, classifier.labels_))
    fewest, most = min(counts.values()), max(counts.values())
    each = f"{most} picture{'s' * (most > 1)} each" if fewest == most else f"{fewest} to {most} pictures each"
    tell(f"learned {len(counts)} classes ({each}).")
    alone = sorted(name for name, count in counts.items() if count == 1)
    if alone and most >= MANY:
        have, them = ("have", "them") if len(alone) > 1 else ("has", "it")
        tell(f"warning: {some(alone)} {have} one picture where another class has {most}; give {them} a few more.")
    return classifier


def tell_of_duplicates(classifier: ImageClassifier, asked: Sequence[Path]) -> None:
    """Pictures that are among the few already are answered, but their answers say nothing of how good it is."""
    files = [source for source in classifier.sources_ if isinstance(source, Path)]
    sizes = {_size(file) for file in files}
    maybe = [path for path in asked if _size(path) in sizes]
    known = {_hash(file) for file in files} if maybe else set[str | None]()
    same = [str(path) for path in maybe if _hash(path) in known - {None}]
    if same:
        are = "are" if len(same) > 1 else "is"
        tell(f"warning: {len(same)} of the new pictures {are} among those it learned from: {some(same)}.")


def some(names: Sequence[str], between: str = ", ") -> str:
    """The first of many names."""
    return between.join(names[:SHOWN]) + (f" and {len(names) - SHOWN} more" if len(names) > SHOWN else "")


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except OSError:  # what becomes of it is told when it is read
        return None


def _hash(path: Path) -> str | None:
    try:
        return content_hash(path)
    except DataError:
        return None
