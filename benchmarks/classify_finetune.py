"""The last block of ``efficientnet-lite0`` fine-tuned on 25 pictures of five classes, beside the frozen features.

    python benchmarks/classify_finetune.py --features DIR --domain "cifar-fs val" --tasks 20 --rates 1e-4 3e-4
    python benchmarks/classify_finetune.py --features DIR --domain cifar-fs --tasks 40 --rates RATE
    python benchmarks/classify_finetune.py --table

What the last block takes (192 maps of 7 x 7, of each picture and its mirror image) is computed once and kept in DIR. In
each task the block and the 1 x 1 convolution after it are trained by Adam on all the labelled pictures at once, each in
one of its two views by chance, with the cross-entropy of cosines to a vector a class, which starts at the class mean;
BatchNorm is folded into the convolutions and so frozen. After 0, 5 and 10 steps the heads are fitted to the features of
both views and asked, in the same tasks. Adam's rate and the number of steps are chosen on validation classes. Rows go
into ``results/classify.csv``.
"""

import argparse
import copy
import io
import os
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from PIL import ImageOps
from torch import Tensor, nn

import quickstudy as qs
from classify import QUERY, WAY, draw, plain
from classify_data import cifar_fs
from quickstudy.apply.background import Background
from quickstudy.core.files import write_atomic
from quickstudy.encoders.encoder import encoder
from quickstudy.training.intervals import mean_and_half_width
from results import RESULTS, add_result_row, read_result_rows
from rows import show

SPLITS = {"cifar-fs": ("test", 20), "cifar-fs val": ("val", 60)}  # pictures a class
STEPS = (0, 5, 10)
SHARP = 15.0
BEFORE = -4  # the last block, the convolution after it, the mean over places, flat


def activations(domain: str, features: Path, data: Path) -> tuple[Any, Any]:
    """What the last block takes, float16 ``[n, 2, 192, 7, 7]`` (as it is, mirrored), and the labels."""
    file = features / f"{domain.replace(' ', '-')}-maps.npz"
    if not file.is_file():
        net = encoder("efficientnet-lite0")
        first, found, labels = net.module[:BEFORE], [], []
        with torch.no_grad():
            for label, (_, images) in enumerate(cifar_fs(data, *SPLITS[domain])):
                for image in images:
                    views = torch.stack([net.prepare(image), net.prepare(ImageOps.mirror(image))])
                    found.append(first(views).half().numpy())
                    labels.append(label)
                print(f"{domain}: {label + 1} classes", flush=True)
        content = io.BytesIO()
        np.savez(content, x=np.stack(found), y=np.array(labels))
        write_atomic(file, content.getvalue())
    with np.load(file) as kept:
        return kept["x"], kept["y"]


def tuned(last: nn.Module, maps: Tensor, y: Tensor, rate: float) -> Any:
    """The last layers after each number of steps."""
    last = copy.deepcopy(last).requires_grad_(True)
    with torch.no_grad():
        z = F.normalize(last(maps), dim=1)
    vectors = nn.Parameter(torch.stack([z[y == c].mean(0) for c in range(WAY)]))
    optimizer = torch.optim.Adam([{"params": last.parameters(), "lr": rate}, {"params": [vectors], "lr": 1e-3}])
    for step in range(STEPS[-1] + 1):
        if step in STEPS:
            yield step, last
        seen = torch.arange(0, len(y), 2) + torch.from_numpy(np.random.default_rng(step).integers(0, 2, len(y) // 2))
        logits = SHARP * F.normalize(last(maps[seen]), dim=1) @ F.normalize(vectors, dim=1).T
        optimizer.zero_grad()
        F.cross_entropy(logits, y[seen]).backward()
        optimizer.step()


def measure(domain: str, shots: int, given: argparse.Namespace) -> None:
    net = encoder("efficientnet-lite0")
    last, background = net.module[BEFORE:], Background.of_encoder(net)
    maps, labels = activations(domain, given.features, given.data)
    values: dict[tuple[str, float, int], list[float]] = defaultdict(list)
    rows = np.arange(len(labels))[:, None]
    for task in range(given.tasks):
        si, sy, qi, qy = draw(rows, labels, shots, QUERY, task, WAY)
        support = torch.from_numpy(maps[si[:, 0]]).float().flatten(0, 1)  # a picture, its mirror image, the next one
        asked = torch.from_numpy(maps[qi[:, 0], 0]).float()
        y, groups = np.repeat(sy, 2), np.repeat(np.arange(len(sy)), 2)
        for rate in given.rates:
            for step, layers in tuned(last, support, torch.from_numpy(y), rate):
                with torch.no_grad():
                    sx, qx = layers(support).double().numpy(), layers(asked).double().numpy()
                few = qs.EmbeddingClassifier(background=background).fit(sx, y, groups)
                values["auto", rate, step].append(100 * float(few.score(qx, qy)))
                right = plain("logistic", sx, y, qx).argmax(1) == qy
                values["logistic", rate, step].append(100 * float(right.mean()))
        if (task + 1) % 5 == 0:
            keep(values, task + 1, domain, shots, given)


def keep(
    values: dict[tuple[str, float, int], list[float]], tasks: int, domain: str, shots: int, given: argparse.Namespace
) -> None:
    """What has been found so far, in the place of what was kept before."""
    for (learner, rate, step), found in values.items():
        gain = np.subtract(found, values[learner, rate, 0]).tolist()
        for metric, numbers in (("accuracy_percent", found), ("points_above_frozen", gain)):
            mean, half = mean_and_half_width(torch.tensor(numbers))
            add_result_row(
                "classify", learner=learner, tasks=domain, setting=f"{WAY}w{shots}s", metric=metric, mean=mean,
                ci95=half, n_tasks=tasks, seed=0, options={"finetune": rate, "views": 2, "after": step},
                results=given.results,
            )  # fmt: skip


def print_table(results: Path) -> None:
    rows = [row for row in read_result_rows(results / "classify.csv") if "finetune=" in row["options"]]
    by = {(r["tasks"], r["setting"], r["learner"], r["options"], r["metric"]): r for r in rows}
    lines = [["tasks", "", "head", "rate", *(f"{s} steps, above frozen" for s in STEPS[1:]), "frozen"]]
    for d, s, learner, options in sorted({key[:4] for key in by}):
        told = dict(part.split("=") for part in options.split())
        if told["after"] != "0":
            continue
        at = [options.replace("after=0", f"after={step}") for step in STEPS]
        frozen = by[d, s, learner, at[0], "accuracy_percent"]
        cells = [by[d, s, learner, one, "points_above_frozen"] for one in at[1:]]
        lines.append([d, f"{s}, {frozen['n_tasks']} tasks", learner, told["finetune"],
                      *(f"{float(c['mean']):+.1f} ± {float(c['ci95']):.1f}" for c in cells),
                      f"{float(frozen['mean']):.1f} ± {float(frozen['ci95']):.1f}"])  # fmt: skip
    show(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--features", type=Path, default=Path("runs/classify/features"))
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("QUICKSTUDY_DATA", "../shared/data")))
    parser.add_argument("--domain", choices=SPLITS, default="cifar-fs")
    parser.add_argument("--shots", type=int, default=5)
    parser.add_argument("--tasks", type=int, default=40, help="a multiple of 5: rows are kept after every 5")
    parser.add_argument("--rates", type=float, nargs="+", default=[1e-4])
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--table", action="store_true")
    given = parser.parse_args()
    torch.set_num_threads(1)
    if not given.table:
        measure(given.domain, given.shots, given)
    print_table(given.results)


if __name__ == "__main__":
    main()
