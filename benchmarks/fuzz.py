"""Damage every kind of file that quickstudy reads, many times over, and see what its readers make of it.

Each mutation has to end in the right answer or in a ``QuickstudyError``: no other error, no hang, and of files with a
checksum no other answer. Run folders hold files for people without a checksum (config.json, metrics.jsonl,
results.jsonl): of those another answer is allowed, an error of another kind is not.

    python benchmarks/fuzz.py                     2,000 mutations
    python benchmarks/fuzz.py --mutations 200 --seed 1
"""

import argparse
import contextlib
import json
import random
import shutil
import signal
import sys
import tempfile
import warnings
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

import quickstudy as qs
from quickstudy.apply import pretrained
from quickstudy.report import make_pictures, save_examples, write_report
from quickstudy.tasks.images import omniglot_files

SECONDS = 30
"""After which a reader hangs."""
JSON_VALUES = (
    *("null", "true", "-1", "0", "1e999", "NaN", "1" * 400, "9" * 12),
    *('"x"', '"\\u001b[31m"', "[]", "{}", "[" * 300),
)
SMALL_PARTS = (omniglot_files.Part("images_background", "", 1, 2), omniglot_files.Part("images_evaluation", "", 1, 1))


@dataclass(frozen=True)
class Case:
    """One file among those that are damaged.

    Args:
        name: for the table.
        file: which, relative to the folder that is copied.
        read: what is made of the folder: something to compare.
        is_sealed: whether another answer than that of the whole file is a fault.
    """

    name: str
    file: str
    read: Callable[[Path], Any]
    is_sealed: bool


def build(folder: Path) -> list[Case]:
    """Write one of everything, as small as it goes, and say how each is read."""
    torch.manual_seed(0)
    tasks = qs.tasks.Sinusoids(shot=3, query=3)
    learner = qs.MAML(qs.nets.MLP(hidden=(4,)), loss="mse")
    run = qs.train(learner, tasks, steps=4, meta_batch=2, checkpoint_every=2, log_every=1, out=folder / "run")
    run.add_result({**qs.evaluate(learner, tasks, n_tasks=2).to_json(), "split": "test", "checkpoint": 4})
    save_examples(run, learner, tasks, n=1)
    make_pictures(run, learner, tasks)
    cases: list[Case] = []
    for file in sorted(f for f in (folder / "run").rglob("*") if f.is_file() and not f.name.startswith(".")):
        is_checkpoint = file.parent.name == "checkpoints"
        read, is_sealed = _read_checkpoints if is_checkpoint else _read_run, is_checkpoint or file.stem == "examples"
        cases.append(Case(f"run: {file.name}", str(file.relative_to(folder)), read, is_sealed))
    classifier = qs.FewShotClassifier(qs.ProtoNet(qs.nets.MLP(in_features=2, out_features=None, hidden=(3,))))
    classifier.fit(_X, [0, 1, 0, 1]).save(folder / "classifier.safetensors")
    cases.append(Case("classifier", "classifier.safetensors", _read_classifier, True))
    optimizer = _optimizer()
    optimizer.step()
    optimizer.save(folder / "optimizer.safetensors")
    cases.append(Case("optimizer", "optimizer.safetensors", _read_optimizer, True))
    about = {"format": 2, "quickstudy": qs.__version__, "learner": qs.registry.describe(learner)}
    pretrained.write(folder / "pretrained", "tiny", learner, about)
    cases += [Case(f"pretrained: {e}", f"pretrained/tiny.{e}", _read_pretrained, True) for e in ("json", "safetensors")]
    (folder / "omniglot").mkdir()
    for part in SMALL_PARTS:
        _write_archive(folder / "omniglot" / f"{part.name}.zip", part)
        cases.append(Case(f"archive: {part.name}", f"omniglot/{part.name}.zip", _read_archive, False))
    return cases


_X = np.array([[0.0, 0.0], [1.0, 1.0], [0.1, 0.0], [1.0, 0.9]], np.float32)


def _weights(tensors: Any) -> list[Any]:
    return sorted((name, t.flatten().tolist()) for name, t in tensors.items())


def _read_checkpoints(folder: Path) -> Any:
    run = qs.Run.open(folder / "run")
    rest = [str(run.load(step).rest) for step in run.steps()]
    return run.steps(), run.best_step(), rest, _weights(run.learner().state_dict())


def _read_run(folder: Path) -> Any:
    run = qs.Run.open(folder / "run")
    learner, tasks = run.learner(), run.tasks()
    found = [run.metrics(), run.results(), run.unread(), qs.evaluate(learner, tasks, n_tasks=2, workers=1).mean]
    page = write_report([run], folder / "report.html").read_text()
    return found, "examples.safetensors cannot" in page


def _read_classifier(folder: Path) -> Any:
    return qs.FewShotClassifier.load(folder / "classifier.safetensors").predict_proba(_X).tolist()


def _optimizer() -> qs.LearnedOptimizer:
    torch.manual_seed(0)
    p = torch.nn.Parameter(torch.randn(3, 2))
    p.grad = torch.ones_like(p)
    return qs.LearnedOptimizer([p], qs.rules.LearnedAdam())


def _read_optimizer(folder: Path) -> Any:
    optimizer = _optimizer()
    optimizer.load(folder / "optimizer.safetensors")
    optimizer.step()
    return optimizer.param_groups[0]["params"][0].tolist()


def _read_pretrained(folder: Path) -> Any:
    return _weights(pretrained.read(folder / "pretrained", "tiny").state_dict())


def _read_archive(folder: Path) -> Any:
    images, names = omniglot_files._build(folder / "omniglot", 8)
    return names, images.float().mean().item()


def _write_archive(path: Path, part: omniglot_files.Part) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for character in range(part.characters):
            for drawing in range(omniglot_files.DRAWINGS):
                content = BytesIO()
                Image.new("L", (8, 8), 10 * drawing).save(content, "PNG")
                archive.writestr(f"{part.name}/A/character{character:02d}/{drawing:02d}.png", content.getvalue())


def mutated(content: bytes, rng: random.Random) -> bytes:
    """One damage: flipped bits, cut, doubled, zeroed or inserted bytes; in JSON also another value or key."""
    data, kind = bytearray(content), rng.randrange(9)
    at = rng.randrange(len(data)) if data else 0
    end = min(len(data), at + rng.choice((1, 2, 8, 64)))
    if kind <= 2 and data:
        for place in {at, *(rng.randrange(len(data)) for _ in range(kind))}:
            data[place] ^= 1 << rng.randrange(8)
    elif kind == 3:
        del data[at:]
    elif kind == 4:
        del data[at:end]
    elif kind == 5:
        data[at:at] = data[at:end] * rng.choice((1, 3))
    elif kind == 6:
        data[at:end] = bytes(end - at)
    elif kind == 7:
        data[at:at] = rng.randbytes(rng.choice((1, 4, 100)))
    else:
        return _other_json(content, rng)
    return bytes(data)


def _other_json(content: bytes, rng: random.Random) -> bytes:
    lines = content.splitlines(keepends=True)
    try:
        texts = [json.dumps(json.loads(content))] if content[:1] == b"{" and len(lines) > 1 else []
    except ValueError:
        texts = []
    line = texts[0].encode() if texts else rng.choice(lines or [b""])
    colons = [i for i, letter in enumerate(line) if letter == ord(":")]
    if not colons:
        return content[: len(content) // 2]
    at = rng.choice(colons) + 1
    stops = [i for i in range(at, len(line)) if line[i : i + 1] in (b",", b"}", b"]")]
    changed = line[:at] + rng.choice(JSON_VALUES).encode() + line[stops[0] if stops else len(line) :]
    return changed if texts else content.replace(line, changed, 1)


@contextlib.contextmanager
def limited(seconds: int) -> Iterator[None]:
    """Raise ``TimeoutError`` in what takes longer."""

    def stop(signum: int, frame: Any) -> None:
        raise TimeoutError(f"no answer after {seconds} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def fuzz(mutations: int, seed: int) -> tuple[Counter[tuple[str, str]], list[str]]:
    """What came of so many mutations, by file and outcome; and the faults in words."""
    rng, outcomes, faults = random.Random(seed), Counter[tuple[str, str]](), list[str]()
    parts, omniglot_files.PARTS = omniglot_files.PARTS, SMALL_PARTS
    with tempfile.TemporaryDirectory() as name, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        whole, folder = Path(name) / "whole", Path(name) / "damaged"
        cases = build(whole)
        answers = {case.read: case.read(whole) for case in cases}
        try:
            for number in range(mutations):
                case = cases[number % len(cases)]
                shutil.rmtree(folder, ignore_errors=True)
                shutil.copytree(whole, folder)
                (folder / case.file).write_bytes(mutated((whole / case.file).read_bytes(), rng))
                what = _outcome(case, folder, answers[case.read])
                outcomes[case.name, what.partition(":")[0]] += 1
                if what.startswith("fault"):
                    faults.append(f"mutation {number} of seed {seed}, {case.name}: {what}")
        finally:
            omniglot_files.PARTS = parts
    return outcomes, faults


def _outcome(case: Case, folder: Path, answer: Any) -> str:
    try:
        with limited(SECONDS):
            found = case.read(folder)
    except qs.QuickstudyError:
        return "refused"
    except Exception as error:
        return f"fault: {type(error).__name__}: {error}"
    if str(found) == str(answer):
        return "the right answer"
    if case.is_sealed and not _is_told(case, found):
        return "fault: another answer"
    return "another answer"


def _is_told(case: Case, found: Any) -> bool:
    """Whether the page says, in place of the drawings, that they are damaged."""
    return "examples" in case.name and found[-1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mutations", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    outcomes, faults = fuzz(given.mutations, given.seed)
    kinds = ("refused", "the right answer", "another answer", "fault")
    print(f"{'file':40}" + "".join(f"{kind:>18}" for kind in kinds))
    for name in dict.fromkeys(name for name, _ in outcomes):
        print(f"{name:40}" + "".join(f"{outcomes[name, kind]:>18}" for kind in kinds))
    print(*faults, sep="\n")
    sys.exit(bool(faults))


if __name__ == "__main__":
    main()
