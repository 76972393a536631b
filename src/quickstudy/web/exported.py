"""What was learned as an ONNX file: from an image, as the learner sees it, to the share of each class and of none."""

import importlib
import json
import warnings
from io import BytesIO
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from quickstudy.core.errors import UsageError
from quickstudy.web.pupil import Learned

CLOSE = 1e-4
"""How far the file's shares may be from the page's."""
ASKED = 4  # random images that both are asked


class _Shares(nn.Module):
    def __init__(self, learned: Learned) -> None:
        super().__init__()
        self.solver: nn.Module = learned.task.adapt().module(0)  # pyright: ignore[reportFunctionMemberAccess]
        self.learned = learned

    def forward(self, x: Float[Tensor, "n channels height width"]) -> Float[Tensor, "n more"]:
        return self.learned.shares_of(self.solver(x))


def onnx_of(learned: Learned, names: list[str]) -> bytes:
    """The file; its input ``images`` is ``[n, channels, height, width]`` in [0, 1], its output ``shares``.

    The classes' names are in its metadata, as JSON, under ``classes``.

    Raises:
        UsageError: onnx is missing, or something in this learner has no place in an ONNX file.
    """
    try:
        onnxruntime: Any = importlib.import_module("onnxruntime")
        importlib.import_module("onnxscript")  # torch's exporter needs it
    except ImportError as error:
        raise UsageError(f"ONNX files need the extra onnx: pip install 'quickstudy[onnx]' ({error}).") from error

    x = torch.rand(ASKED, *learned.task.x.shape[1:])
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's own, of its exporter
        wanted = learned.shares(x)
        try:
            module = _Shares(learned).eval()
            found = torch.export.export(module, (x,), dynamic_shapes=({0: torch.export.Dim("n")},))
            program = torch.onnx.export(
                found.run_decompositions(_decompositions()),
                input_names=["images"],
                output_names=["shares"],
                verbose=False,
            )
        except UsageError:
            raise
        except Exception as error:  # of whatever kind torch has for what it cannot write
            raise UsageError(
                f"{type(learned.pupil.learner).__name__} cannot be written as an ONNX file ({type(error).__name__})."
            ) from error
    assert program is not None
    program.model.metadata_props["classes"] = json.dumps([*names, "none of these"])
    file = BytesIO()
    program.save(file)  # pyright: ignore[reportArgumentType]
    content = file.getvalue()
    (answered,) = onnxruntime.InferenceSession(content).run(None, {"images": x.numpy()})
    away = float((torch.from_numpy(answered) - wanted).abs().max())
    if not away < CLOSE:
        raise UsageError(f"the ONNX file answers otherwise than the page (by {away:.1e}), so it is not given.")
    return content


def _decompositions() -> Any:
    """Those of torch, and the distances that ONNX has no word for."""
    table = torch.export.default_decompositions()
    table[torch.ops.aten._cdist_forward.default] = _distances
    return table


def _distances(a: Tensor, b: Tensor, *_: Any) -> Tensor:
    return (a.unsqueeze(-2) - b.unsqueeze(-3)).square().sum(-1).sqrt()
