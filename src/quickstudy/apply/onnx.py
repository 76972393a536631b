"""A classifier of pictures as one ONNX file, checked against Python's answers before it is left.

    input    pixels         uint8 [n, h, w, 3], RGB: a picture cut and resized as the encoder does
    outputs  probabilities  float32 [n, classes]
             unknown_score  float32 [n]
             answer         int64 [n], the place of the class, or -1 for unknown

What the encoder does to pixels after that (its constants) is in the graph; the classes' names, the threshold and the
encoder's name are in the file's metadata, as JSON under ``quickstudy``. Needs the extra ``onnx``.
"""

import copy
import importlib
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
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from quickstudy import registry
from quickstudy.apply._constants import Constants
from quickstudy.apply.embedding_classifier import EmbeddingClassifier
from quickstudy.core.errors import RunError, UsageError
from quickstudy.core.files import write_atomic
from quickstudy.encoders.encoder import Encoder
from quickstudy.version import __version__

TOLERANCE = 1e-4
"""By how much a probability may differ."""
MADE = 16
"""Pictures that are made to check on, where there are none."""


@dataclass(frozen=True)
class Exported:
    """What the check of a file found."""

    images: int
    """It was tried on."""
    largest_gap: float
    """Of a probability to Python's."""

    def __str__(self) -> str:
        return f"same answers on {self.images} pictures, probabilities within {self.largest_gap:.1e} of Python's"


class _Whole(nn.Module):
    """Pixels to probabilities, unknown score and answer."""

    def __init__(self, constants: nn.Module, encoder: nn.Module, head: nn.Module, threshold: float) -> None:
        super().__init__()
        self.constants = constants
        self.encoder = encoder
        self.head = head
        self.threshold = threshold

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        probabilities, score = self.head(self.encoder(self.constants(pixels)))
        best = probabilities.argmax(1)
        return probabilities, score, torch.where(score > self.threshold, torch.full_like(best, -1), best)


def export(encoder: Encoder, classifier: EmbeddingClassifier, images: Sequence[Image.Image], path: Path) -> Exported:
    """Write the file.

    Args:
        encoder: of the pictures.
        classifier: of its features, fitted.
        images: upright RGB pictures, to check the file on (none: some are made).
        path: where it goes.

    Raises:
        UsageError: the extra is missing, or the encoder or the head cannot be exported.
        RunError: the file's answers differ from Python's; nothing is left.
    """
    try:
        onnx, onnxruntime, _ = map(importlib.import_module, ("onnx", "onnxruntime", "onnxscript"))
    except ImportError as error:
        raise UsageError(f"ONNX files need the extra onnx: pip install 'quickstudy[onnx]' ({error}).") from error
    onnxruntime.disable_telemetry_events()
    onnxruntime.set_default_logger_severity(3)
    head = classifier.module
    constants = Constants.of(encoder)
    prepared = [encoder.prepare(image) for image in images or _made(encoder.size)]
    pixels = torch.stack([constants.pixels_of(x) for x in prepared])
    features = np.concatenate([encoder.features(torch.stack(prepared[i : i + 8])) for i in range(0, len(prepared), 8)])
    limit = classifier.threshold_ if classifier.reject is not None else float("inf")
    whole = _Whole(constants, copy.deepcopy(encoder.module).cpu(), head, limit).eval()
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder) / "made.onnx"
        _write(whole, pixels[:2], made)
        model = onnx.load(made)
    onnx.helper.set_model_props(model, {"quickstudy": json.dumps(_about(encoder, classifier))})
    content = model.SerializeToString()
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    parts: list[Sequence[Any]] = [session.run(None, {"pixels": part.numpy()}) for part in pixels.split(32)]
    found = [np.concatenate(part) for part in zip(*parts, strict=True)]
    gap = _compare(found, classifier.predict_proba(features), classifier.unknown_score(features), limit)
    write_atomic(path, content, anywhere=True)
    return Exported(len(pixels), gap)


def _compare(found: list[NDArray[Any]], p: NDArray[np.float64], score: NDArray[np.float64], limit: float) -> float:
    """The largest gap of a probability; what lies so near a limit that rounding decides may be answered either way."""
    gap = float(np.abs(found[0] - p).max())
    first, second = np.sort(p, 1)[:, -1], np.sort(p, 1)[:, -2]
    unclear = (first - second < 2 * TOLERANCE) | (np.abs(score - limit) < TOLERANCE)
    same = (found[2] == np.where(score > limit, -1, p.argmax(1))) | unclear
    if not gap <= TOLERANCE or not same.all() or not np.allclose(found[1], score, rtol=1e-3, atol=1e-3):
        raise RunError(
            f"the ONNX file's probabilities differ from Python's by up to {gap:.1e} ({(~same).sum()} of {len(same)} "
            f"answers): it was not written. Another encoder may do, or this one with precision='float32'."
        )
    return gap


def _about(encoder: Encoder, classifier: EmbeddingClassifier) -> dict[str, Any]:
    return {
        "quickstudy": __version__,
        "classes": classifier.classes_.tolist(),
        "threshold": None if classifier.reject is None else classifier.threshold_,
        "encoder": registry.describe(encoder),
        "size": [*encoder.size],
    }


def _made(size: tuple[int, int]) -> list[Image.Image]:
    """Smooth pictures of many colours."""
    rng = np.random.default_rng(0)
    small = rng.integers(0, 256, (MADE, 6, 6, 3), dtype=np.uint8)
    height, width = size
    return [Image.fromarray(one).resize((width, height), Image.Resampling.BICUBIC) for one in small]


def _write(whole: nn.Module, example: Tensor, path: Path) -> None:
    log = logging.getLogger("torch.onnx")
    before = log.level
    log.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch's exporter warns of its own affairs
            torch.onnx.export(
                whole,
                (example,),
                path,
                input_names=["pixels"],
                output_names=["probabilities", "unknown_score", "answer"],
                dynamic_shapes=({0: torch.export.Dim("n")},),
                external_data=False,
                verbose=False,
                dynamo=True,
            )
    except Exception as error:  # all kinds
        line = (str(error).strip().splitlines() or [""])[0]
        raise UsageError(
            f"this encoder cannot be exported to ONNX ({type(error).__name__}: {line:.200}); take another, such as "
            f"efficientnet-lite0, or save a .safetensors file for ImageClassifier.load."
        ) from error
    finally:
        log.setLevel(before)
