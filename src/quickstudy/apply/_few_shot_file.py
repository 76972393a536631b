"""A ``FewShotClassifier`` as one file: the learner, its weights and the examples as tensors, the rest as JSON."""

import json
import math
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from quickstudy import registry
from quickstudy.apply._look import Look
from quickstudy.apply.one_task import OneTask
from quickstudy.core.errors import RunError, UsageError
from quickstudy.core.files import parse_json, reason, write_atomic
from quickstudy.core.learner import MetaLearner
from quickstudy.core.sealed import open_tensors, sealed_tensors
from quickstudy.training.runs import load_weights
from quickstudy.training.upgrade import FORMAT, built
from quickstudy.version import __version__

KEPT = ("steps", "x_shape", "tokens", "batch_size", "random_state", "reject", "unknown", "calibrate")
"""The options that a file keeps."""


def save(classifier: Any, path: str | Path) -> None:
    """See ``FewShotClassifier.save``."""
    classes = classifier.classes_.tolist()
    if not all(isinstance(name, bool | int | float | str | type(None)) for name in [*classes, classifier.unknown]):
        raise UsageError(f"classes must be numbers or texts to be saved, got {classes[:3]}.")
    about = {
        "format": FORMAT,
        "quickstudy": __version__,
        "learner": registry.describe(classifier.learner_),
        "options": {name: getattr(classifier, name) for name in KEPT},
        "classes": classes,
        "dtype": classifier.classes_.dtype.str,
        "shape": classifier.x_shape_,
        "look": None if classifier.look_ is None else asdict(classifier.look_),
        "names": classifier.feature_names_in_.tolist() if hasattr(classifier, "feature_names_in_") else None,
    }
    tensors = {f"learner/{name}": t for name, t in classifier.learner_.state_dict().items()}
    tensors |= {"support/x": classifier.support_[0], "support/y": classifier.support_[1]}
    write_atomic(Path(path), sealed_tensors(tensors, {"quickstudy": json.dumps(about)}), anywhere=True)


def restore(cls: Any, path: str | Path, learner: MetaLearner | None) -> Any:
    """See ``FewShotClassifier.load``."""
    try:
        tensors, texts = open_tensors(Path(path))
        about = parse_json(texts["quickstudy"])
        form = int(about["format"])
        options: dict[str, Any] = {n: tuple(v) if isinstance(v, list) else v for n, v in about["options"].items()}
        classes, x_shape = np.array(about["classes"], about["dtype"]), tuple(map(int, about["shape"]))
        names = None if about["names"] is None else np.array(about["names"], object)
        support = tensors["support/x"], tensors["support/y"]
        look = None if about.get("look") is None else Look(**about["look"])
        if look is not None and (look.channels, look.size, look.size) != x_shape:
            raise ValueError(f"its images are {x_shape} and its pictures {look}")
        described = about["learner"]
        weights = {n.removeprefix("learner/"): t for n, t in tensors.items() if n.startswith("learner/")}
    except Exception as error:  # whatever somebody has put there
        raise RunError(f"{path} is no classifier that FewShotClassifier.save wrote: {reason(error)}.") from error
    if not 1 <= form <= FORMAT:
        raise RunError(f"{path} was written by quickstudy {about['quickstudy']}, in another format; use that one.")
    if learner is None:
        try:
            learner = built(described, form, path, weights=weights)
        except UsageError as error:
            raise UsageError(
                f"{path} holds a learner that only your program can build ({error}); build it and pass it: "
                f"FewShotClassifier.load(PATH, learner=LEARNER)."
            ) from error
    classifier = cls(learner, **{name: options[name] for name in KEPT if name in options})
    own = classifier._copy_of_learner()
    load_weights(own, weights)
    classifier.learner = classifier.learner_ = own
    classifier.classes_ = classes
    classifier.x_shape_ = x_shape
    classifier.n_features_in_ = math.prod(x_shape)
    if names is not None:
        classifier.feature_names_in_ = names
    classifier.support_ = support
    classifier.labels_, classifier.refits_ = support[1].numpy(), []
    classifier.tasks = classifier.look_ = look
    classifier.solver_ = OneTask(own, *classifier.support_, steps=classifier.steps, seed=classifier.random_state)
    return classifier
