"""miniImageNet: 100 classes of ImageNet, 600 photographs of each, 84x84; 64 / 16 / 20 classes.

Reference: Vinyals et al.: Matching Networks for One Shot Learning. NeurIPS 2016; the split is that of Ravi and
Larochelle: Optimization as a Model for Few-Shot Learning. ICLR 2017.
"""

from typing import ClassVar

from quickstudy.tasks.images._data_folder import published_split
from quickstudy.tasks.images._mapped import LabelledImages
from quickstudy.tasks.images.mini_imagenet_files import ADVICE, mini_imagenet
from quickstudy.tasks.images.split_images import SplitImages, of_split


class MiniImageNet(SplitImages):
    """N-way K-shot, photographs of 100 classes of ImageNet, 84x84 (to be had beforehand).

    Images are ``[3, 84, 84]``. ImageNet may not be handed on, so nothing is downloaded; folders, zips and the pickles
    that go round are read, these without running what they say. One split alone will do for tasks of it.
    """

    name: ClassVar[str] = "mini-imagenet"
    title: ClassVar[str] = "miniImageNet"
    usual_size: ClassVar[int] = 84

    def _open(self) -> tuple[LabelledImages, list[str]]:
        return mini_imagenet(self.data, self._pixels_wide), of_split(self.split, published_split(self.name))

    @property
    def _advice(self) -> str:
        return ADVICE
