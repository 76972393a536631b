"""Your own images: a folder with one subfolder per class, a run on it, and the run applied to a few new images.

    python examples/own_images.py

The folder is made here out of drawn glyphs, as PNG files with dark ink on white paper. Put your own in its place:

    images/CLASS/ANY_NAME.png      at least shot + query images in every class
"""

import argparse
import tempfile
from pathlib import Path

import torch
from PIL import Image

import quickstudy as qs
from quickstudy.apply.few_images import classify_folder

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--steps", type=int, default=300, help="outer steps")
parser.add_argument("--test-tasks", type=int, default=200, help="tasks of the final test")
parser.add_argument("--folder", type=Path, default=None, help="where images and run go (default: a temporary folder)")
given = parser.parse_args()
folder = given.folder or Path(tempfile.mkdtemp(prefix="quickstudy-"))


def save_drawings(classes: int, drawings: int, seed: int, to: Path) -> None:
    """Draw characters and write each into a folder of its own."""
    task = qs.tasks.Glyphs(way=classes, shot=1, query=drawings, rotate=False).sample(1, seed=seed)
    for i, (image, label) in enumerate(zip(task.query.x[0], task.query.y[0].tolist(), strict=True)):
        path = to / f"character{label:02d}" / f"{i:04d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray((255 - 255 * image[0]).byte().numpy()).save(path)


# Forty classes of eight images. ImageFolder splits the classes 64 / 16 / 20 % into train, val and test.
save_drawings(classes=40, drawings=8, seed=0, to=folder / "images")
train, test = (
    qs.tasks.ImageFolder(str(folder / "images"), split=split, way=5, shot=1, query=5, size=28, channels=1)
    for split in ("train", "test")
)
print(train.describe())

# The network fits what the tasks say of themselves.
torch.manual_seed(0)
net = qs.nets.Conv4(in_channels=train.x_shape[0], size=train.x_shape[-1], out_features=train.outputs, filters=16)
learner = qs.MAML(net, inner_lr=0.4, bn="support")  # every query is classified for itself
run = qs.train(
    learner, train, steps=given.steps, meta_batch=8, meta_lr=3e-3, out=folder / "run", resume=True, clip=10.0
)
print(qs.evaluate(learner, test, n_tasks=given.test_tasks, steps=3))

# New characters, one labeled drawing of each and two to classify; on the command line:
#   quickstudy adapt RUN --support DIR --query DIR
save_drawings(classes=5, drawings=1, seed=1, to=folder / "few" / "support")
save_drawings(classes=5, drawings=3, seed=1, to=folder / "few" / "query")
for guess in classify_folder(run.learner(), train, folder / "few" / "support", folder / "few" / "query", steps=3):
    print(f"{guess.path}: {guess.label} ({guess.probabilities[guess.label]:.0%})")
print(f"images and run: {folder}")
