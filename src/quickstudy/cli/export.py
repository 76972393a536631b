"""``quickstudy export``."""

from pathlib import Path

from quickstudy.apply.image_classifier import ImageClassifier
from quickstudy.cli.classify import Few
from quickstudy.cli.terminal import say, tell
from quickstudy.core.errors import UsageError


def export(
    few: Few,
    *,
    out: Path,
    encoder: str = "efficientnet-lite0",
    head: str = "auto",
    reject: float = 0.05,
    augment: bool = False,
    cache: bool = True,
    seed: int = 0,
) -> None:
    """Write one file that classifies pictures as ``classify`` does: encoder, head and labels, in ONNX.

    It is checked against Python's answers before it is left.

    Args:
        few: a folder with a folder of pictures for each class.
        out: the file, ending in .onnx; or in .safetensors, for ImageClassifier.load.
        encoder: as in classify.
        head: as in classify.
        reject: as in classify.
        augment: as in classify.
        cache: as in classify.
        seed: as in classify.
    """
    if out.suffix not in (".onnx", ".safetensors"):
        raise UsageError(f"--out must end in .onnx or .safetensors, got {out}.")
    classifier = ImageClassifier(
        encoder=encoder, head=head, reject=reject or None, augment=augment, cache=cache, random_state=seed
    )
    tell(f"learning from {few} with {encoder} ...")
    classifier.fit(few)
    if out.suffix == ".onnx":
        checked = classifier.to_onnx(out)
        say(f"{out}: {out.stat().st_size / 1e6:.1f} MB; {checked}")
    else:
        classifier.save(out)
        say(f"{out}: {out.stat().st_size / 1e6:.1f} MB")
