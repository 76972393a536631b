"""A classifier of pictures as one ONNX file, checked against Python's answers before it is left.

Needs the extra ``onnx``; ``import quickstudy`` does not import this module.
"""

import json
import logging
import tempfile
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from quickstudy.core.errors import RunError, UsageError
from quickstudy.core.files import write_atomic

TOLERANCE = 1e-4
"""By how much a probability may differ."""


@dataclass(frozen=True)
class Exported:
    """What the check of a file found."""

    images: int
    """It was tried on."""
    largest_gap: float
    """Of a probability to Python's."""

    def __str__(self) -> str:
        return f"same labels on {self.images} images, probabilities within {self.largest_gap:.1e} of Python's"


class _Whole(nn.Module):
    """Encoder, then head."""

    def __init__(self, encoder: nn.Module, head: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder
        self.head = head

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        return self.head(self.encoder(images))


def export(encoder: nn.Module, head: nn.Module, about: dict[str, Any], images: Tensor, path: Path) -> Exported:
    """Write the file; its input is ``images [n, 3, h, w]``, as the encoder's ``prepare`` gives them, its outputs are
    ``probabilities [n, classes]`` and ``unknown_score [n]``.

    Args:
        encoder: ``[n, 3, h, w]`` to ``[n, width]``.
        head: ``[n, width]`` to (probabilities, unknown score).
        about: what the file says of itself, as JSON under ``quickstudy``: its classes, the threshold, how pictures are
            prepared.
        images: prepared ones, to check the file on.
        path: where it goes.

    Raises:
        UsageError: the extra is missing, or the encoder cannot be exported.
        RunError: the file's answers differ from Python's; nothing is left.
    """
    try:
        import onnx
        import onnxruntime
        import onnxscript  # noqa: F401  # torch.onnx.export imports it
    except ImportError as error:
        raise UsageError(f"ONNX files need the extra onnx: pip install 'quickstudy[onnx]' ({error}).") from error
    whole = _Whole(encoder, head).eval()
    with torch.inference_mode():
        expected, score = (t.float().numpy() for t in whole(images))
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder) / "made.onnx"
        _write(whole, images[:2], made)
        model = onnx.load(made)
        onnx.helper.set_model_props(model, {"quickstudy": json.dumps(about), "classes": json.dumps(about["classes"])})
        content = model.SerializeToString()
    onnxruntime.set_default_logger_severity(3)
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    found: list[Sequence[Any]] = [session.run(None, {"images": part.numpy()}) for part in images.split(32)]
    probabilities, scores = (np.concatenate(parts) for parts in zip(*found, strict=True))
    gap = float(np.abs(probabilities - expected).max())
    unclear = np.sort(expected, 1)[:, -1] - np.sort(expected, 1)[:, -2] < 2 * TOLERANCE
    same = (probabilities.argmax(1) == expected.argmax(1)) | unclear
    if gap > TOLERANCE or not same.all() or not np.allclose(scores, score, rtol=1e-3, atol=1e-3):
        raise RunError(
            f"the ONNX file's probabilities differ from Python's by up to {gap:.1e} ({(~same).sum()} of {len(same)} "
            f"labels): it was not written. Another encoder may do."
        )
    write_atomic(path, content, anywhere=True)
    return Exported(len(images), gap)


def _write(whole: nn.Module, example: Tensor, path: Path) -> None:
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch's exporter warns of its own affairs
            torch.onnx.export(
                whole,
                (example,),
                path,
                input_names=["images"],
                output_names=["probabilities", "unknown_score"],
                dynamic_shapes=({0: torch.export.Dim("n")},),
                external_data=False,
                verbose=False,
                dynamo=True,
            )
    except Exception as error:
        raise UsageError(f"this encoder cannot be exported: {type(error).__name__}: {error!s:.300}") from error
