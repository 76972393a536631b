"""Vision models of Hugging Face's transformers (DINOv2, SigLIP, CLIP, ViT ...), with their own preprocessing."""

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor, nn

from quickstudy.core.errors import UsageError
from quickstudy.core.offline import is_offline
from quickstudy.encoders._hub import check_at_hand, made
from quickstudy.encoders._installed import installed
from quickstudy.encoders.encoder import Encoder, Precision


class HuggingFace(Encoder):
    """A vision model of transformers by its name on the hub, or its folder.

    Features are what the model pools (of one without a trained pooler: the class token, or the mean over a map). Of one
    with a text tower, the image tower's. Weights are read from safetensors files alone.

    Args:
        model: ``facebook/dinov2-small``, ``google/siglip-base-patch16-224``, or a folder.
        download: fetch the weights if they are not on this machine.
        precision: ``"bfloat16"`` is faster where the machine computes in it; features then differ by about a percent.

    Raises:
        UsageError: transformers is not installed, this is no vision model, or the weights are not on this machine.
    """

    named_by = "model"
    needs = {"transformers": "pip install transformers"}  # noqa: RUF012

    def __init__(self, model: str, *, download: bool = False, precision: Precision = "float32") -> None:
        self.model = model
        self.download = download
        name = f"hf:{model}"
        transformers = installed(name, "transformers", self.needs["transformers"])
        with made(name, "give the name of a vision model on huggingface.co, or a folder with one"):
            if not Path(model).is_dir():
                check_at_hand(name, download, model, ["model.safetensors", "model.safetensors.index.json"])
            here = {"local_files_only": not download or is_offline()}
            self._processor = transformers.AutoImageProcessor.from_pretrained(model, backend="pil", **here)
            with _quiet(transformers.utils.logging):
                net, info = transformers.AutoModel.from_pretrained(
                    model, use_safetensors=True, dtype=torch.float32, output_loading_info=True, **here
                )
            tower = getattr(net, "vision_model", net)
            missing = [key for key in info["missing_keys"] if tower is net or key.startswith("vision_model.")]
            if any("pooler" not in key for key in missing):
                raise UsageError(f"the weights of {name} lack {missing[0]}; this is no checkpoint of the whole model.")
            shapes = [self.prepare(Image.new("RGB", size)).shape for size in ((64, 64), (64, 96))]
            sizes = {(height, width) for _, height, width in shapes}
            if len(sizes) > 1:
                raise UsageError(f"{name} takes images of many sizes ({sizes}), expected a model of one.")
            prepared = self._processor.to_dict()
            self._frozen(_Pooled(tower, pooler=not missing), *sizes, prepared=prepared, precision=precision)

    def prepare(self, image: Image.Image) -> Float[Tensor, "3 h w"]:
        return self._processor(images=image, return_tensors="pt")["pixel_values"][0]


@contextmanager
def _quiet(logging: Any) -> Generator[None]:
    """Without the bar and the table that are printed of weights that are loaded."""
    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()


class _Pooled(nn.Module):
    """Of what a model answers, one row of features an image."""

    def __init__(self, model: Any, *, pooler: bool) -> None:
        super().__init__()
        self.model = model
        self.pooler = pooler

    def forward(self, x: Tensor) -> Tensor:
        found = self.model(pixel_values=x)
        pooled = getattr(found, "pooler_output", None) if self.pooler else None
        if pooled is None:
            last = found.last_hidden_state
            pooled = last[:, 0] if last.ndim == 3 else last.mean((2, 3))
        return pooled.flatten(1)
