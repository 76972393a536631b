"""A trained learner as a scikit-learn classifier: ``fit`` is one task's adapting, ``predict`` asks its solver.

Needs the extra ``sklearn``; ``import quickstudy`` does not import this module.
"""

import copy
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data
from torch import Tensor

from quickstudy.apply._few_shot_file import restore, save
from quickstudy.apply._look import Look
from quickstudy.apply._tables import as_examples, as_table, shape_of_one
from quickstudy.apply.one_task import OneTask
from quickstudy.apply.pictures import are_pictures, labelled, pictures
from quickstudy.apply.refitted import Refitted
from quickstudy.core.batchnorm import together
from quickstudy.core.errors import UsageError
from quickstudy.core.learner import MetaLearner
from quickstudy.core.model_checks import floating_dtype
from quickstudy.core.options import ANY_COUNT, COUNT, check_options
from quickstudy.core.support_query import SupportQueryLearner
from quickstudy.encoders.reading import read_image
from quickstudy.tasks.images.labels import check_complete
from quickstudy.training.distributed import pick_device
from quickstudy.training.runs import Run


class FewShotClassifier(ClassifierMixin, Refitted, BaseEstimator):
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
        tasks: what the learner was trained on, by which pictures are prepared (None: the run's).
        reject: the share of examples of known classes that may be called unknown, in (0, 1), such as 0.05: ``predict``
            then says ``unknown`` where the unknown score is above ``threshold_`` (None: it never does).
        unknown: what ``predict`` calls them (None: ``"unknown"`` where classes are texts, -1 where they are numbers).
        calibrate: whether the sharpness of the probabilities is measured by cross-validation on the few examples.

    X is ``[n, ...]`` in ``x_shape`` (channels first) or flattened ``[n, features]``; uint8 (0..255) becomes [0, 1] as
    in ``Episodes``, and so do other whole numbers of images; floating point is taken as it is. In ``predict`` X may be
    of another type than in ``fit``: it is brought to the same unit, or refused where that is not sure. Or X are
    pictures, files or Pillow images, in a list, or a folder of them: then they get the size and colours of the images
    that the learner was trained on. Labels are anything that scikit-learn takes for classes.
    After ``fit``: ``classes_``, ``n_features_in_`` (numbers per example), ``learner_`` (the copy), ``threshold_`` (nan
    where ``reject`` is None).
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
        tasks: Any = None,
        reject: float | None = None,
        unknown: Any = None,
        calibrate: bool = False,
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
        self.tasks = tasks
        self.reject = reject
        self.unknown = unknown
        self.calibrate = calibrate

    @staticmethod
    def from_run(run: str | Path, *, checkpoint: int | None = None, steps: int | None = None) -> "FewShotClassifier":
        """The classifier of a run folder.

        Raises:
            RunError: no run there.
        """
        Run.open(run)
        return FewShotClassifier(run=run, checkpoint=checkpoint, steps=steps)

    def fit(self, X: Any, y: Any = None) -> "FewShotClassifier":  # noqa: N803
        """Adapt to the few examples X with labels y; of a folder of class folders, without y, to what is in it.

        Raises:
            UsageError: fewer than two classes, or more than the learner's head has outputs; examples of a shape that
                does not fit; an option that does not; numbers and texts among the labels; pictures for a learner whose
                tasks are not known, or are no images.
            DataError: examples without a label, or a picture that cannot be read.
        """
        learner = self._copy_of_learner()
        self.look_: Look | None = None
        given, y = labelled(X, y) if are_pictures(X) else (X, y)
        check_complete(y)
        table, shape = as_table(self._numbers(given))
        checked: tuple[Any, Any] = validate_data(self, table, y)  # pyright: ignore[reportAssignmentType]
        flat, y = checked
        check_classification_targets(y)
        self.classes_, labels = np.unique(y, return_inverse=True)
        if len(self.classes_) < 2:
            raise UsageError(f"a classifier needs examples of at least 2 classes, got {len(self.classes_)} class.")
        self.labels_, self.refits_ = labels.reshape(-1).astype(np.int64), []
        self._check_open_set()
        self.x_shape_ = shape_of_one(self.x_shape, learner, shape, flat.shape[1])
        self.learner_ = learner
        self.support_ = self._examples(flat, shape, fitting=True), torch.from_numpy(self.labels_)
        self.solver_ = OneTask(learner, *self.support_, steps=self.steps, seed=self.random_state)
        self.solver_.adapt()
        return self

    def unknown_score(self, X: Any) -> Float[np.ndarray, " n"]:  # noqa: N803
        """How unlike all classes each example is (larger: less like any): minus its largest logit.

        Of learners that compare embeddings it is the distance to the nearest class, say. (Vaze, Han, Vedaldi,
        Zisserman: Open-set recognition: a good closed-set classifier is all you need? ICLR 2022.)
        """
        return -self._logits(X).max(1)

    def _logits(self, X: Any) -> NDArray[np.float64]:  # noqa: N803
        """A head's further outputs are left out.

        Raises:
            UsageError: numbers so large that the learner's computations overflow.
        """
        check_is_fitted(self)
        table, shape = as_table(self._numbers(X))
        flat: Any = validate_data(self, table, reset=False)
        return self._solved(self.solver_, self._examples(flat, shape))

    def _features(self, X: Any) -> NDArray[np.float64]:  # noqa: N803
        """Of any learner, what it says of the classes: alike are examples between the same ones."""
        return self.predict_proba(X)

    def _without(self, held: Bool[np.ndarray, " n"]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        asked, (x, y) = torch.from_numpy(held), self.support_
        solver = OneTask(self.learner_, x[~asked], y[~asked], steps=self.steps, seed=self.random_state)
        logits = self._solved(solver, x[asked])
        return logits, -logits.max(1)

    def _solved(self, solver: OneTask, x: Tensor) -> NDArray[np.float64]:
        whole = self.batch_size is None or together(self.learner_.bn_mode)
        logits = torch.cat([solver(part) for part in x.split(len(x) if whole else self.batch_size)])
        found = logits[:, : len(self.classes_)].double()
        if not bool(found.softmax(-1).isfinite().all()):
            raise UsageError(
                f"{type(self.learner_).__name__} has no number for {int(found.softmax(-1).isnan().any(1).sum())} of "
                f"{len(x)} examples: what it computes overflowed or its weights did. X reaches "
                f"{float(x.abs().max()):.1e} here, {float(self.support_[0].abs().max()):.1e} in fit; scale X to the "
                f"size of what it was trained on."
            )
        return found.numpy()

    def _numbers(self, X: Any) -> Any:  # noqa: N803
        """X, or the pixels of pictures."""
        if not are_pictures(X):
            return X
        if self.look_ is None:
            if self.tasks is None and self.run is None:
                raise UsageError(
                    "pictures get the size and colours of the images that a learner was trained on, which one in "
                    "memory does not tell: FewShotClassifier(run=RUN), FewShotClassifier(LEARNER, tasks=TASKS), or "
                    "give arrays [n, channels, height, width]."
                )
            self.look_ = Look.of(Run.open(self.run).tasks() if self.tasks is None and self.run else self.tasks)
        return np.stack([self.look_.pixels(read_image(one)) for one in pictures(X)])

    def save(self, path: str | Path) -> None:
        """Write one safetensors file: the learner, its weights, and the examples it was fitted to. No pickle.

        Raises:
            UsageError: classes that are neither numbers nor texts.
            RunError: the file cannot be written.
        """
        check_is_fitted(self)
        save(self, path)

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
        return restore(FewShotClassifier, path, learner)

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
        dtype = torch.long if self.tokens else floating_dtype(self.learner_) or torch.get_default_dtype()
        return as_examples(flat, shape, self.x_shape_, dtype, None if fitting else self.support_[0])
