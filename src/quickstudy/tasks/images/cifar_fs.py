"""CIFAR-FS: the 100 classes of CIFAR-100, drawn at random for training (64), validation (16) and test (20).

All 600 images of a class are used. Reference: Bertinetto, Henriques, Torr, Vedaldi: Meta-learning with differentiable
closed-form solvers. ICLR 2019 (the split); Krizhevsky: Learning multiple layers of features from tiny images. 2009 (the
images).
"""

from typing import ClassVar

from quickstudy.tasks.images._data_folder import published_split
from quickstudy.tasks.images._mapped import LabelledImages
from quickstudy.tasks.images.cifar100_files import ADVICE, cifar100
from quickstudy.tasks.images.split_images import SplitImages, of_split


class CIFARFS(SplitImages):
    """N-way K-shot, CIFAR-100's small photographs, split at random (downloaded unless at hand).

    Images are ``[3, 32, 32]``. Where the data are nowhere they are downloaded (169 MB) into the cache; there they are
    prepared once (184 MB), for FC100 too.
    """

    name: ClassVar[str] = "cifar-fs"
    title: ClassVar[str] = "CIFAR-FS"
    usual_size: ClassVar[int] = 32

    def _open(self) -> tuple[LabelledImages, list[str]]:
        return cifar100(self.data, self._pixels_wide), of_split(self.split, published_split(self.name))

    @property
    def _advice(self) -> str:
        return ADVICE
