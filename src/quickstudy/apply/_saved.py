"""An ``EmbeddingClassifier`` as one file: its numbers as tensors, the rest as JSON in the header. No pickle."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from quickstudy.apply.background import Background, Component
from quickstudy.apply.heads.answers import Answers, Scores
from quickstudy.apply.heads.transform import Centre, Spec, Transform
from quickstudy.core.errors import RunError, UsageError
from quickstudy.core.files import parse_json, reason, write_atomic
from quickstudy.core.sealed import open_tensors, sealed_tensors
from quickstudy.version import __version__

FORMAT = 1
KEY = "quickstudy embedding classifier"
OPTIONS = ("head", "reject", "unknown", "calibrate", "transductive", "random_state")
ARRAYS = ("x_", "y_", "groups_", "weights_", "held_out_", "unlike_")


def save(classifier: Any, path: str | Path, more: Mapping[str, str] | None = None) -> None:
    """See ``EmbeddingClassifier.save``; with more texts in the header, which ``restore`` leaves alone."""
    classes = classifier.classes_.tolist()
    told = [*classes, classifier.unknown]
    if not all(isinstance(name, bool | int | float | str | type(None)) for name in told):
        raise UsageError(f"classes must be numbers or texts to be saved, got {told[:3]}.")
    answers: Answers = classifier.answers_
    scores: list[Any] = [*answers.heads, answers.near]
    about = {
        "format": FORMAT,
        "quickstudy": __version__,
        "options": {name: getattr(classifier, name) for name in OPTIONS},
        "classes": classes,
        "dtype": classifier.classes_.dtype.str,
        "names": classifier.feature_names_in_.tolist() if hasattr(classifier, "feature_names_in_") else None,
        "apart": classifier.apart_,
        "specs": [_said(each.transform.spec) for each in scores],
    }
    tensors = {f"fitted/{name}": torch.from_numpy(getattr(classifier, name)) for name in ARRAYS}
    tensors |= {f"answers/{name}": t for name, t in answers.state_dict().items()}
    if classifier.background is not None:
        tensors |= {f"background/{name}": t for name, t in classifier.background.tensors().items()}
    write_atomic(Path(path), sealed_tensors(tensors, {KEY: json.dumps(about), **(more or {})}), anywhere=True)


def restore(classifier: Any, path: str | Path) -> None:
    """See ``EmbeddingClassifier.load``."""
    try:
        tensors, texts = open_tensors(Path(path), or_older=False)
        about = parse_json(texts[KEY])
        if about["format"] != FORMAT:
            raise ValueError(f"quickstudy {about['quickstudy']} wrote it, in another format: use that one")
        known = _below("background/", tensors)
        options = {name: about["options"][name] for name in OPTIONS}
        classifier.set_params(**options, background=Background.of_tensors(known) if known else None)
        for name, t in _below("fitted/", tensors).items():
            setattr(classifier, {each: each for each in ARRAYS}[name], t.numpy())
        classifier.classes_ = np.array(about["classes"], about["dtype"])
        classifier.apart_ = float(about["apart"])
        classifier.n_features_in_ = classifier.x_.shape[1]
        if about["names"] is not None:
            classifier.feature_names_in_ = np.array(about["names"], object)
        classifier.answers_ = _answers(about["specs"], _below("answers/", tensors), classifier.held_out_.shape[1])
    except Exception as error:  # whatever somebody has put there
        raise RunError(f"{path} is no classifier that EmbeddingClassifier.save wrote: {reason(error)}.") from error


def _below(start: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(start): t for name, t in tensors.items() if name.startswith(start)}


def _said(spec: Spec) -> dict[str, Any]:
    return {**asdict(spec), "centre": spec.centre.name}


def _answers(specs: list[dict[str, Any]], state: dict[str, Tensor], classes: int) -> Answers:
    places = [*(f"heads.{i}" for i in range(len(specs) - 1)), "near"]
    found = []
    for said, place in zip(specs, places, strict=True):
        options: dict[str, Any] = {**said, "centre": Centre[said["centre"]]}
        spec = Spec(**options)
        features = state[f"{place}.weights"].shape[1]
        directions = state.get(f"{place}.transform.directions", torch.empty(0, features, dtype=torch.float64)).numpy()
        known = Component(np.zeros(features), directions, np.zeros(len(directions))) if spec.shrink else None
        blank = [torch.zeros(*shape, dtype=torch.float64) for shape in ((classes, features), (classes,))]
        found.append(Scores(Transform(spec, features, known), *blank))
    answers = Answers(found[:-1], found[-1])
    answers.load_state_dict(state)
    return answers
