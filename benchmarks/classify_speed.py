"""What ``quickstudy classify`` takes: seconds, memory, and how near its ONNX file is to Python.

    python benchmarks/classify_speed.py --data DATA --seconds   # 25 pictures learned, 100 answered; cold and warm
    python benchmarks/classify_speed.py --data DATA --memory    # 10,000 pictures: what the process holds
    python benchmarks/classify_speed.py --data DATA --onnx      # 200 pictures: probabilities and answers
    python benchmarks/classify_speed.py --table                 # only print what is there

Pictures are miniImageNet's test images (84 x 84), enlarged to 640 x 480 and saved as JPEG, five classes; the backbone
was pretrained on ImageNet and has seen their classes, which matters to none of these figures. Seconds are those of a
process that has started (imports done), from the encoder's weights on; of the clock, and of the cores on this process
alone, which do not count what else runs on the machine. Rows go into ``results/classify_speed.csv``.
"""

import argparse
import statistics
import tempfile
import time
import zipfile
from collections import defaultdict
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

import quickstudy as qs
from quickstudy.encoders import EmbeddingCache
from results import RESULTS, add_result_row, read_result_rows
from rows import show

CLASSES, SHOTS = 5, 5


def make_pictures(data: Path, folder: Path, new: int) -> None:
    """``few/CLASS/*.jpg`` and ``new/*.jpg``."""
    by_class: dict[str, list[str]] = defaultdict(list)
    with zipfile.ZipFile(data / "miniimagenet" / "test.zip") as file:
        for name in sorted(file.namelist()):
            if name.endswith(".jpg"):
                by_class[name.split("/")[1]].append(name)
        for c in sorted(by_class)[:CLASSES]:
            for i, name in enumerate(by_class[c][: SHOTS + new // CLASSES]):
                path = folder / (f"few/{c}" if i < SHOTS else "new") / f"{c}_{i}.jpg"
                path.parent.mkdir(parents=True, exist_ok=True)
                image = Image.open(BytesIO(file.read(name))).convert("RGB")
                image.resize((640, 480), Image.Resampling.BICUBIC).save(path, quality=90)


def measure_seconds(data: Path, rounds: int, threads: int) -> None:
    torch.set_num_threads(threads)
    found: dict[tuple[str, str], list[float]] = defaultdict(list)
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            make_pictures(data, folder, 100)
            for setting in ("cold", "warm"):
                wall, cpu = time.perf_counter(), time.process_time()
                classifier = qs.ImageClassifier(cache=EmbeddingCache(folder / "cache")).fit(folder / "few")
                answers = sum(1 for _ in classifier.stream(folder / "new"))
                found[setting, "clock"].append(time.perf_counter() - wall)
                found[setting, "cores"].append(time.process_time() - cpu)
                assert answers == 100
    for (setting, what), seconds in found.items():
        add(setting, {"threads": threads, "of": what}, "seconds", statistics.median(seconds), rounds)


def measure_memory(encoder: str, count: int) -> None:
    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for i in range(count):
            part = folder / ("few/a" if i < 5 else "few/b" if i < 10 else "new")
            part.mkdir(parents=True, exist_ok=True)
            Image.fromarray(rng.integers(0, 256, (48, 48, 3), dtype=np.uint8)).save(part / f"{i:05}.jpg")
        classifier = qs.ImageClassifier(encoder=encoder, cache=EmbeddingCache(folder / "cache")).fit(folder / "few")
        after: dict[int, float] = {}
        for i, _ in enumerate(classifier.stream(folder / "new"), start=11):
            if i in (count // 10, count):
                after[i] = held()
    for i, megabytes in after.items():
        add(f"after {i} pictures", {"encoder": encoder}, "megabytes", megabytes, 1)


def held() -> float:
    """Megabytes of memory that the process holds."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) / 1000


def measure_onnx(data: Path) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_pictures(data, folder, 200)
        classifier = qs.ImageClassifier(cache=EmbeddingCache(folder / "cache")).fit(folder / "few")
        checked = classifier.to_onnx(folder / "sorter.onnx", check_on=folder / "new")
        size = (folder / "sorter.onnx").stat().st_size / 1e6
    assert checked.images == 200
    add("onnx", {"of": "largest gap of a probability"}, "difference", checked.largest_gap, checked.images)
    add("onnx", {"of": "file"}, "megabytes", size, 1)


def add(setting: str, options: dict[str, Any], metric: str, mean: float, n: int) -> None:
    add_result_row(
        "classify_speed", learner="image-classifier", tasks="miniimagenet", setting=setting, options=options, seed=0,
        metric=metric, mean=mean, ci95=None, n_tasks=n,
    )  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--seconds", action="store_true")
    parser.add_argument("--memory", action="store_true")
    parser.add_argument("--onnx", action="store_true")
    parser.add_argument("--table", action="store_true")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--encoder", default="pixels", help="of --memory")
    parser.add_argument("--pictures", type=int, default=10_000, help="of --memory")
    given = parser.parse_args()
    if given.seconds:
        measure_seconds(given.data, given.rounds, given.threads)
    if given.memory:
        measure_memory(given.encoder, given.pictures)
    if given.onnx:
        measure_onnx(given.data)
    lines = [["what", "options", "measured in", "median"]]
    rows = read_result_rows(RESULTS / "classify_speed.csv")
    show([*lines, *([r["setting"], r["options"], r["metric"], f"{float(r['mean']):.3g}"] for r in rows)])


if __name__ == "__main__":
    main()
