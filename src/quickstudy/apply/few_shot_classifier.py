"""A trained learner as a scikit-learn classifier: ``fit`` is one task's adapting, ``predict`` asks its solver.

Needs the extra ``sklearn``; ``import quickstudy`` does not import this module.
"""

import copy
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data
from torch import Tensor

from quickstudy import registry
from quickstudy.apply._tables import as_table, shape_of_one
from quickstudy.apply._units import divisor
from quickstudy.apply.one_task import OneTask
from quickstudy.core.batchnorm import together
from quickstudy.core.errors import RunError, UsageError
from quickstudy.core.files import parse_json, reason, write_atomic
from quickstudy.core.learner import MetaLearner
from quickstudy.core.model_checks import floating_dtype
from quickstudy.core.options import ANY_COUNT, COUNT, check_options
from quickstudy.core.sealed import open_tensors, sealed_tensors
from quickstudy.core.support_query import SupportQueryLearner
from quickstudy.tasks.images.labels import check_complete
from quickstudy.training.distributed import pick_device
from quickstudy.training.runs import Run, load_weights
from quickstudy.training.upgrade import FORMAT, built
from quickstudy.version import __version__

KEPT = ("steps", "x_shape", "tokens", "batch_size", "random_state")  # the options that a file keeps


class FewShotClassifier(ClassifierMixin, BaseEstimator):
    """A scikit-learn classifier that learns from a few examples, as a trained meta-learner does.

    With BatchNorm in mode ``transductive`` the examples of one ``predict`` are normalised together: a prediction then
    depends on what else is asked in the same call. In the other modes, and without BatchNorm, it does not.

    Args:
        learner: a meta-learner in memory; it stays as it is, ``fit`` takes a copy. Either this or ``run``.
        run: the folder of a run, whose trained learner is taken.
        checkpoint: the outer step whose weights are taken (None: the best on validation).
        steps: inner steps (None: the learner's own); for learners that adapt in steps.
        x_shape: shape of one example for the network, where X comes flattened (None: what the network says, else as X
            comes).
        tokens: X holds token ids: whole numbers stay whole.
        batch_size: examples that the network sees at once in ``predict`` (None: all), but in mode ``transductive``.
        random_state: seed of whatever the learner draws.
        device: where to compute (None: where the learner is).

    X is ``[n, ...]`` in ``x_shape`` (channels first) or flattened ``[n, features]``; uint8 (0..255) becomes [0, 1] as
    in ``Episodes``, and so do other whole numbers of images; floating point is taken as it is. In ``predict`` X may be
    of another type than in ``fit``: it is brought to the same unit, or refused where that is not sure. Labels are
    anything that scikit-learn takes for classes.
    After ``fit``: ``classes_``, ``n_features_in_`` (numbers per example), ``learner_`` (the copy).
    """

    n_features_in_: int
    feature_names_in_: Any

    def __init__(
        self,
        learner: MetaLearner | None = None,
        *,
        run: str | Path | None = None,
        checkpoint: int | None = None,
        steps: int | None = None,
        x_shape: tuple[int, ...] | None = None,
        tokens: bool = False,
        batch_size: int | None = 256,
        random_state: int = 0,
        device: str | None = None,
    ) -> None:
        self.learner = learner
        self.run = run
        self.checkpoint = checkpoint
        self.steps = steps
        self.x_shape = x_shape
        self.tokens = tokens
        self.batch_size = batch_size
        self.random_state = random_state
        self.device = device

    @staticmethod
    def from_run(run: str | Path, *, checkpoint: int | None = None, steps: int | None = None) -> "FewShotClassifier":
        """The classifier of a run folder.

        Raises:
            RunError: no run there.
        """
        Run.open(run)
        return FewShotClassifier(run=run, checkpoint=checkpoint, steps=steps)

    def fit(self, X: Any, y: Any) -> "FewShotClassifier":  # noqa: N803
        """Adapt to the few examples X with labels y.

        Raises:
            UsageError: fewer than two classes, or more than the learner's head has outputs; examples of a shape that
                does not fit; an option that does not; numbers and texts among the labels.
            DataError: examples without a label.
        """
        learner = self._copy_of_learner()
        check_complete(y)
        table, shape = as_table(X)
        checked: tuple[Any, Any] = validate_data(self, table, y)  # pyright: ignore[reportAssignmentType]
        flat, y = checked
        check_classification_targets(y)
        self.classes_, labels = np.unique(y, return_inverse=True)
        if len(self.classes_) < 2:
            raise UsageError(f"a classifier needs examples of at least 2 classes, got {len(self.classes_)} class.")
        self.x_shape_ = shape_of_one(self.x_shape, learner, shape, flat.shape[1])
        self.learner_ = learner
        self.support_ = self._examples(flat, shape, fitting=True), torch.from_numpy(labels.reshape(-1).astype(np.int64))
        self.solver_ = OneTask(learner, *self.support_, steps=self.steps, seed=self.random_state)
        self.solver_.adapt()
        return self

    def predict_proba(self, X: Any) -> Float[np.ndarray, "n classes"]:  # noqa: N803
        """The probability of each class, in the order of ``classes_``; a head's further outputs are left out.

        Raises:
            UsageError: numbers so large that the learner's computations overflow.
        """
        check_is_fitted(self)
        table, shape = as_table(X)
        flat: Any = validate_data(self, table, reset=False)
        x = self._examples(flat, shape)
        whole = self.batch_size is None or together(self.learner_.bn_mode)
        logits = torch.cat([self.solver_(part) for part in x.split(len(x) if whole else self.batch_size)])
        found = logits[:, : len(self.classes_)].double().softmax(-1)
        if bool(found.isnan().any()):
            raise UsageError(
                f"{type(self.learner_).__name__} has no number for {int(found.isnan().any(1).sum())} of {len(x)} "
                f"examples: what it computes overflowed or its weights did. X reaches {float(x.abs().max()):.1e} here, "
                f"{float(self.support_[0].abs().max()):.1e} in fit; scale X to the size of what it was trained on."
            )
        return found.numpy()

    def predict(self, X: Any) -> NDArray[Any]:  # noqa: N803
        """The most probable class of each example."""
        best = self.predict_proba(X).argmax(1)
        return self.classes_[best]

    def save(self, path: str | Path) -> None:
        """Write one safetensors file: the learner, its weights, and the examples it was fitted to. No pickle.

        Raises:
            UsageError: classes that are neither numbers nor texts.
            RunError: the file cannot be written.
        """
        check_is_fitted(self)
        classes = self.classes_.tolist()
        if not all(isinstance(name, bool | int | float | str) for name in classes):
            raise UsageError(f"classes must be numbers or texts to be saved, got {classes[:3]}.")
        about = {
            "format": FORMAT,
            "quickstudy": __version__,
            "learner": registry.describe(self.learner_),
            "options": {name: getattr(self, name) for name in KEPT},
            "classes": classes,
            "dtype": self.classes_.dtype.str,
            "shape": self.x_shape_,
            "names": self.feature_names_in_.tolist() if hasattr(self, "feature_names_in_") else None,
        }
        tensors = {f"learner/{name}": t for name, t in self.learner_.state_dict().items()}
        tensors |= {"support/x": self.support_[0], "support/y": self.support_[1]}
        write_atomic(Path(path), sealed_tensors(tensors, {"quickstudy": json.dumps(about)}), anywhere=True)

    @staticmethod
    def load(path: str | Path, *, learner: MetaLearner | None = None) -> "FewShotClassifier":
        """What ``save`` wrote, fitted.

        Args:
            path: the file.
            learner: of the same build, where the saved one has parts that only your program can build (a network of
                your own).

        Raises:
            RunError: the file is missing, damaged (its checksum says so), or of another format; or its weights do not
                fit the learner.
            UsageError: the learner has to be given.
        """
        try:
            tensors, texts = open_tensors(Path(path))
            about = parse_json(texts["quickstudy"])
            form = int(about["format"])
            options: dict[str, Any] = {n: tuple(v) if isinstance(v, list) else v for n, v in about["options"].items()}
            classes, x_shape = np.array(about["classes"], about["dtype"]), tuple(map(int, about["shape"]))
            names = None if about["names"] is None else np.array(about["names"], object)
            support = tensors["support/x"], tensors["support/y"]
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
        classifier = FewShotClassifier(learner, **{name: options[name] for name in KEPT if name in options})
        own = classifier._copy_of_learner()
        load_weights(own, weights)
        classifier.learner = classifier.learner_ = own
        classifier.classes_ = classes
        classifier.x_shape_ = x_shape
        classifier.n_features_in_ = math.prod(x_shape)
        if names is not None:
            classifier.feature_names_in_ = names
        classifier.support_ = support
        classifier.solver_ = OneTask(own, *classifier.support_, steps=classifier.steps, seed=classifier.random_state)
        return classifier

    def __sklearn_tags__(self) -> Any:
        """Images are taken, too."""
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        return tags

    def _copy_of_learner(self) -> SupportQueryLearner:
        ranges = {"batch_size": COUNT, "checkpoint": ANY_COUNT}
        check_options(FewShotClassifier.__init__, self.get_params(deep=False), ranges, called="FewShotClassifier")
        if (self.learner is None) == (self.run is None):
            raise UsageError("give either a learner in memory or the folder of a run: FewShotClassifier(run=RUN).")
        learner = copy.deepcopy(self.learner) if self.run is None else Run.open(self.run).learner(self.checkpoint)
        if not isinstance(learner, SupportQueryLearner) or learner.loss == "mse":
            raise UsageError(f"{type(learner).__name__} is no meta-learner, or one of regression: it cannot classify.")
        if self.steps is not None and (learner.adapt_steps is None or self.steps < 0):
            raise UsageError(
                f"steps={self.steps} must be >= 0 and for a learner that adapts in steps; leave it out for "
                f"{type(learner).__name__}."
            )
        return learner.eval() if self.device is None else learner.eval().to(pick_device(self.device))

    def _examples(self, flat: NDArray[Any], shape: tuple[int, ...] | None, *, fitting: bool = False) -> Tensor:
        own = self.x_shape_
        if shape is not None and shape != own and (1, *shape) != own and len(own) > 1:
            raise UsageError(
                f"examples must be [n, {', '.join(map(str, own))}] (channels first) or flattened, got {['n', *shape]}."
            )
        x = torch.from_numpy(np.array(flat))
        if self.tokens:
            return x.long().view(-1, *own)
        scale = divisor(x, own, None if fitting else self.support_[0])
        dtype = floating_dtype(self.learner_) or torch.get_default_dtype()
        largest = float(x.abs().max()) if len(x) else 0.0
        if largest > torch.finfo(dtype).max:
            raise UsageError(
                f"X reaches {largest:.1e}, more than this learner's {str(dtype).removeprefix('torch.')} can hold "
                f"({torch.finfo(dtype).max:.1e}); scale its columns first (sklearn.preprocessing.StandardScaler)."
            )
        return (x.to(dtype) / scale).view(-1, *own)
