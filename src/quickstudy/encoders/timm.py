"""The networks of timm (Wightman 2019, PyTorch Image Models), with the preprocessing that each was made with."""

from jaxtyping import Float
from PIL import Image
from torch import Tensor

from quickstudy.encoders._hub import HUB, check_at_hand, made
from quickstudy.encoders._installed import installed
from quickstudy.encoders.encoder import Encoder, Precision

FILES = ("model.safetensors", "pytorch_model.bin")


class Timm(Encoder):
    """Any network of timm, by its name there; features before the classifier.

    Args:
        model: timm's name: ``resnet18``, ``vit_small_patch14_dinov2.lvd142m``, ``hf-hub:OWNER/NAME``.
        pretrained: False: random weights, always the same; for tests, and as a baseline.
        download: fetch the weights if they are not on this machine.
        precision: ``"bfloat16"`` is faster where the machine computes in it; features then differ by about a percent.

    Raises:
        UsageError: timm is not installed or does not know the name, or the weights are not on this machine.
    """

    named_by = "model"
    needs = {"timm": "pip install timm"}  # noqa: RUF012

    def __init__(
        self, model: str, *, pretrained: bool = True, download: bool = False, precision: Precision = "float32"
    ) -> None:
        self.model = model
        self.pretrained = pretrained
        self.download = download
        name = f"timm:{model}"
        timm = installed(name, "timm", self.needs["timm"])
        with made(name, "timm.list_models() lists the names there are"):
            if pretrained:
                known = None if model.startswith(HUB) else timm.create_model(model, pretrained=False).pretrained_cfg
                repo = known.get("hf_hub_id") if known else model.removeprefix(HUB)
                files = (known and known.get("hf_hub_filename"), *FILES)
                check_at_hand(name, download, repo, [f for f in files if f], known and known.get("url"))
            net = timm.create_model(model, pretrained=pretrained, num_classes=0)
            config = timm.data.resolve_model_data_config(net)
            self._transform = timm.data.create_transform(**config, is_training=False)
            size = tuple(config["input_size"][1:])
            self._frozen(net, size, prepared=repr(self._transform), precision=precision)

    def prepare(self, image: Image.Image) -> Float[Tensor, "3 h w"]:
        return self._transform(image)
