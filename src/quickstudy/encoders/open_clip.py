"""The image towers of OpenCLIP (Ilharco et al. 2021), with their own preprocessing."""

from jaxtyping import Float
from PIL import Image
from torch import Tensor

from quickstudy.core.errors import UsageError
from quickstudy.encoders._hub import HUB, check_at_hand, made
from quickstudy.encoders._installed import installed
from quickstudy.encoders.encoder import Encoder, Precision

FILES = ("open_clip_model.safetensors", "open_clip_pytorch_model.bin")


class OpenClip(Encoder):
    """The image tower of an OpenCLIP model, by its architecture and weights there.

    Args:
        model: ``ViT-B-32/laion2b_s34b_b79k`` (architecture and weights), or ``hf-hub:OWNER/NAME``.
        pretrained: False: random weights, always the same, of an architecture alone; for tests, and as a baseline.
        download: fetch the weights if they are not on this machine.
        precision: ``"bfloat16"`` is faster where the machine computes in it; features then differ by about a percent.

    Raises:
        UsageError: open_clip is not installed or does not know the name, or the weights are not on this machine.
    """

    named_by = "model"
    needs = {"open_clip": "pip install open-clip-torch"}  # noqa: RUF012

    def __init__(
        self, model: str, *, pretrained: bool = True, download: bool = False, precision: Precision = "float32"
    ) -> None:
        self.model = model
        self.pretrained = pretrained
        self.download = download
        name = f"open-clip:{model}"
        open_clip = installed(name, "open_clip", self.needs["open_clip"])
        with made(name, "open_clip.list_pretrained() lists the names there are"):
            architecture, _, weights = (model, "", "") if model.startswith(HUB) else model.partition("/")
            if pretrained and model.startswith(HUB):
                check_at_hand(name, download, model.removeprefix(HUB), FILES)
            elif pretrained:
                known = open_clip.get_pretrained_cfg(architecture, weights)
                if not known:
                    tags = ", ".join(open_clip.list_pretrained_tags_by_model(architecture)) or "none"
                    raise UsageError(f"open_clip has no weights {weights!r} of {architecture!r}; it has: {tags}.")
                repo, _, file = known.get("hf_hub", "").rpartition("/")
                check_at_hand(name, download, repo or None, [file] if file else FILES, known.get("url"))
            net, _, self._transform = open_clip.create_model_and_transforms(
                architecture, pretrained=weights or None, load_weights=pretrained
            )
            side = net.visual.image_size
            size = (side, side) if isinstance(side, int) else tuple(side)
            self._frozen(net.visual, size, prepared=repr(self._transform), precision=precision)

    def prepare(self, image: Image.Image) -> Float[Tensor, "3 h w"]:
        return self._transform(image)
