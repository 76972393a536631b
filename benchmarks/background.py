"""Make the background that comes with the package for efficientnet-lite0 (see ``quickstudy.apply.background``).

    python benchmarks/background.py --features DIR [--data DATA] [--out FOLDER]

Photographs: 30 images of each of CIFAR-FS's 64 training classes. Drawings: 60 characters of Omniglot's background set.
None of these classes is tested on.
"""

import argparse
import json
import os
from pathlib import Path

import torch

from classify_data import load
from quickstudy.apply.background import Background
from quickstudy.core.files import write_atomic
from quickstudy.core.sealed import sealed_tensors
from quickstudy.encoders.encoder import encoder
from results import PROJECT, own_command

MADE_OF = {"photographs": "cifar-fs train", "drawings": "omniglot train"}


def background(features: Path, data: Path) -> Background:
    return Background({kind: Background.component(*load(name, features, data)[:2]) for kind, name in MADE_OF.items()})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--features", type=Path, default=Path("runs/classify/features"))
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("QUICKSTUDY_DATA", "../shared/data")))
    parser.add_argument("--out", type=Path, default=PROJECT / "src/quickstudy/apply/pretrained")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    prints = [encoder("efficientnet-lite0", precision=precision).fingerprint for precision in ("float32", "bfloat16")]
    told = {"encoder": "efficientnet-lite0", "fingerprints": json.dumps(prints), "made of": json.dumps(MADE_OF)}
    found = background(chosen.features, chosen.data).tensors()
    name = chosen.out / "background-efficientnet-lite0.safetensors"
    write_atomic(name, sealed_tensors(found, {**told, "command": own_command()}), anywhere=True)
    print(f"{name.name}: {name.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
