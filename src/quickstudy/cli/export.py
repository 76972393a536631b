"""``quickstudy export``."""

from pathlib import Path

from quickstudy.cli._few import Few, learn
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
    """Write one ONNX file that classifies pictures as classify does.

    Encoder, head and labels are in it. It is checked against Python's answers before it is left.

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
    if out.suffix not in (".onnx", ".safetensors") or out.is_dir():
        raise UsageError(f"--out must be a file that ends in .onnx or .safetensors, got {out}.")
    classifier = learn(few, encoder=encoder, head=head, reject=reject, augment=augment, cache=cache, seed=seed)
    if out.suffix == ".safetensors":
        classifier.save(out)
        say(f"{out}: {out.stat().st_size / 1e6:.1f} MB")
        return
    tell("writing the graph and checking its answers (about half a minute) ...")
    checked = classifier.to_onnx(out)
    say(f"{out}: {out.stat().st_size / 1e6:.1f} MB; {checked}")
