"""What a picture has to become for a learner: of the size and colours of the images that it was trained on."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from quickstudy.core.errors import UsageError
from quickstudy.tasks.images.pixels import as_float, crop_pixels, ink_pixels


@dataclass(frozen=True)
class Look:
    """How the images of tasks look.

    Attributes:
        size: height and width, in pixels.
        channels: 1 (grey) or 3.
        ink: they are drawings: ink is 1, paper 0.
    """

    size: int
    channels: int
    ink: bool

    @staticmethod
    def of(tasks: Any) -> "Look":
        """Of tasks; of a look itself.

        Raises:
            UsageError: tasks that are no images, or prepare them in another way.
        """
        if isinstance(tasks, Look):
            return tasks
        if not hasattr(tasks, "read_image"):
            raise UsageError(f"the learner was trained on {tasks.describe()}, not on images: it takes no pictures.")
        look = Look(tasks.x_shape[-1], tasks.x_shape[0], bool(getattr(tasks, "ink", False)))
        probe = Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 50, 3), np.uint8))
        if not as_float(look.pixels(probe)).equal(tasks.read_image(probe)):
            raise UsageError(
                f"{tasks.describe()} prepares images in its own way: give arrays of what its read_image gives."
            )
        return look

    def pixels(self, image: Image.Image) -> UInt8[np.ndarray, "channels size size"]:
        """Of an upright RGB image of any size (see ``quickstudy.encoders.read_image``)."""
        grey = image.convert("L") if self.channels == 1 else image
        return ink_pixels(grey, self.size)[None] if self.ink else crop_pixels(grey, self.size)
