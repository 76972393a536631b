"""Omniglot: 1,623 handwritten characters of 50 alphabets, 20 drawings of each; the first test of a few-shot learner.

Images are 28x28 (Lanczos), inverted so that ink = 1. Three protocols:

- ``maml``: all characters in a fixed random order, 1100 / 100 / 423 for train / val / test; in training every class of
  a task is turned by one of 0, 90, 180, 270 degrees (augmentation).
- ``vinyals``: the published 1028 / 172 / 423 characters, every rotation a class of its own (4112 / 688 / 1692).
- ``lake``: the background alphabets for training (five of them held out for val), the evaluation alphabets for
  testing; harder, since no alphabet of the test was seen.

``trainval`` is train and val together in each.

References: Lake, Salakhutdinov, Tenenbaum: Human-level concept learning through probabilistic program induction.
Science 2015 (the data). Finn, Abbeel, Levine: MAML. ICML 2017. Vinyals et al.: Matching Networks. NeurIPS 2016; split
files as published with Snell, Swersky, Zemel: Prototypical Networks. NeurIPS 2017.
"""

from pathlib import Path
from typing import ClassVar, Literal

import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from quickstudy.core.batch import TaskBatch
from quickstudy.core.checks import SPLITS, at_least, one_of, shape_text
from quickstudy.core.errors import UsageError
from quickstudy.core.purity import pure
from quickstudy.core.seeding import fold
from quickstudy.core.shown import shown
from quickstudy.tasks.images._omniglot_splits import first_of, split_characters
from quickstudy.tasks.images.episodes import Affine, Episodes, Rotate
from quickstudy.tasks.images.omniglot_files import DRAWINGS, find_root, load_characters
from quickstudy.tasks.images.pixels import read_ink


class Omniglot:
    """N-way K-shot, handwritten characters of 50 alphabets (downloaded unless at hand).

    Images are ``[1, size, size]``, float32 in [0, 1], ink = 1. The data are looked for in ``data``, else in the folder
    that ``QUICKSTUDY_DATA`` names, else in the cache (``QUICKSTUDY_CACHE``, else the system's), else downloaded into it
    (13 MB). They are prepared once into one array file in the cache (25 MB, some seconds); all Omniglot objects of a
    process share that array.

    Args:
        split: ``"train"``, ``"val"``, ``"trainval"`` or ``"test"``.
        way: classes per task.
        shot: support drawings per class.
        query: query drawings per class; shot + query at most 20.
        protocol: ``"maml"``, ``"vinyals"`` or ``"lake"``.
        rotate: turn every class of every task by one of 0, 90, 180, 270 degrees; None: in training only. Not for
            ``vinyals``, where rotations are always classes of their own.
        affine: in training, turn, stretch, shear and shift at random every ``class`` of every task, all its drawings
            alike, or every ``drawing`` by itself; or ``none``.
        base_classes: only so many of the characters of the training split, always the same ones (None: all); so it is
            seen how a learner does with few. The other splits are whole.
        data: folder with ``omniglot/`` in it (or being it): the official zips, or the folders extracted from them.
        size: height and width in pixels.

    Raises:
        UsageError: options that cannot be met.
        DataError: data that are missing, damaged or incomplete, or that cannot be downloaded or prepared.
    """

    kind: ClassVar[str] = "classification"
    called: ClassVar[str] = "Omniglot"
    ink: ClassVar[bool] = True
    """Images are drawings: ink is 1, paper 0."""

    def __init__(
        self,
        *,
        split: str = "train",
        way: int = 5,
        shot: int = 1,
        query: int = 15,
        protocol: Literal["maml", "vinyals", "lake"] = "maml",
        rotate: bool | None = None,
        affine: Literal["none", "class", "drawing"] = "none",
        base_classes: int | None = None,
        data: str | Path | None = None,
        size: int = 28,
    ) -> None:
        one_of(SPLITS, split=split)
        one_of(("maml", "vinyals", "lake"), protocol=protocol)
        at_least(1, way=way, shot=shot, query=query)
        if base_classes is not None:
            at_least(1, base_classes=base_classes)
        at_least(8, size=size)
        if shot + query > DRAWINGS:
            raise UsageError(
                f"shot + query = {shot} + {query} is more than the {DRAWINGS} drawings of each character; lower one."
            )
        if protocol == "vinyals" and rotate is not None:
            raise UsageError(
                f"rotate={rotate} does not go with protocol='vinyals', whose classes are rotations already; leave "
                f"rotate out or choose protocol 'maml' or 'lake'."
            )
        self.split = split
        self.way = way
        self.shot = shot
        self.query = query
        self.protocol: Literal["maml", "vinyals", "lake"] = protocol
        self.rotate = rotate
        self.affine: Affine = affine
        self.base_classes = base_classes
        self.data = data
        self.size = size
        root = find_root(data)
        characters = load_characters(root, size)
        classes = split_characters(characters, protocol=protocol, split=split, root=root)
        if base_classes is not None and split == "train":
            classes = first_of(classes, base_classes)
        self._episodes = Episodes(
            characters.images,
            torch.arange(len(characters.names)).repeat_interleave(DRAWINGS),
            way=way,
            shot=shot,
            query=query,
            rotate=self._rotation(),
            affine=affine if split in ("train", "trainval") else "none",
            classes=classes,
            names=characters.names,
        )

    def _rotation(self) -> Rotate:
        if self.protocol == "vinyals":
            return "classes"
        turns = self.rotate if self.rotate is not None else self.split in ("train", "trainval")
        return "episode" if turns else "none"

    @property
    def x_shape(self) -> tuple[int, ...]:
        """Shape of one example: ``(1, size, size)``."""
        return self._episodes.x_shape

    @property
    def outputs(self) -> int:
        """Outputs a model needs: the way."""
        return self.way

    @property
    def n_classes(self) -> int:
        """How many classes there are to draw from."""
        return self._episodes.n_classes

    @property
    def class_names(self) -> tuple[str, ...]:
        """What the classes that are drawn from are called, ``Alphabet/characterNN`` (and how it is turned)."""
        return self._episodes.class_names

    __repr__ = shown

    def describe(self) -> str:
        """One line for people."""
        affine = "" if self._episodes.affine == "none" else f", affine maps per {self.affine}"
        pool = f"{self.protocol} split, {self.n_classes} classes{affine}"
        return f"Omniglot {self.split} ({pool}), {shape_text(self.way, self.shot, self.query)}"

    @pure
    def sample(self, tasks: int, seed: int) -> TaskBatch:
        """Draw ``tasks`` tasks; a pure function of its arguments (see ``Episodes.sample``).

        Returns:
            support ``x [tasks, way * shot, 1, size, size]`` float32, ``y [tasks, way * shot]`` int64, and the same for
            the query with ``way * query``.
        """
        return self._episodes.sample(tasks, fold(seed, "tasks", "omniglot", self.protocol, self.split))

    def read_image(self, path: Path | str | Image.Image) -> Float[Tensor, "1 size size"]:
        """A user's own drawing (dark ink on light paper) as this distribution's images are: grey, resized, ink = 1.

        Raises:
            DataError: a file that is not a readable image.
        """
        return read_ink(path, self.size)
