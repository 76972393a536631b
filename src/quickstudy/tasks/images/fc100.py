"""FC100: the 100 classes of CIFAR-100, split by superclass: 60 for training, 20 for validation, 20 for test.

All 600 images of a class are used. Test classes have no sibling among those of training, which makes it harder than
CIFAR-FS. Reference: Oreshkin, Rodriguez Lopez, Lacoste: TADAM. NeurIPS 2018.
"""

from typing import ClassVar

from quickstudy.tasks.images._data_folder import published_split
from quickstudy.tasks.images._mapped import LabelledImages
from quickstudy.tasks.images.cifar100_files import ADVICE, cifar100
from quickstudy.tasks.images.split_images import SplitImages, of_split


class FC100(SplitImages):
    """N-way K-shot, CIFAR-100's small photographs, split by superclass (downloaded unless at hand).

    Images are ``[3, 32, 32]``. Where the data are nowhere they are downloaded (169 MB) into the cache; there they are
    prepared once (184 MB), for CIFAR-FS too.
    """

    name: ClassVar[str] = "fc100"
    title: ClassVar[str] = "FC100"
    usual_size: ClassVar[int] = 32

    def _open(self) -> tuple[LabelledImages, list[str]]:
        return cifar100(self.data, self._pixels_wide), of_split(self.split, published_split(self.name))

    @property
    def _advice(self) -> str:
        return ADVICE
