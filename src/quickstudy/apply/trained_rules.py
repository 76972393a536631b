"""Update rules that were meta-trained, out of a run or out of the package, and whether one can be an optimizer."""

from pathlib import Path

import torch
from torch import Tensor

from quickstudy.apply import pretrained
from quickstudy.core.errors import UsageError
from quickstudy.core.learner import MetaLearner
from quickstudy.rules import UpdateRule
from quickstudy.training.runs import Run


def rule_of_run(run: str | Path, checkpoint: int | None = None) -> UpdateRule:
    """The rule that a run trained (None: with the best checkpoint's weights).

    Raises:
        RunError: no run there, or a damaged one.
        UsageError: a run of something else.
    """
    return _rule_of(Run.open(run).learner(checkpoint), run)


def pretrained_rule() -> UpdateRule:
    """The rule that ships with the package; ``quickstudy.pretrained.about("optimizer")`` says how it was trained."""
    return _rule_of(pretrained.load("optimizer"), "the package")


def _rule_of(learner: MetaLearner, where: str | Path) -> UpdateRule:
    rule = getattr(learner, "rule", None)
    if not isinstance(rule, UpdateRule):
        raise UsageError(f"{where} trained {type(learner).__name__}, which has no rule to optimize by.")
    return rule


def check_rule(rule: UpdateRule) -> None:
    """Raise ``UsageError`` where a rule keeps its state in another form than an optimizer can."""
    try:
        state = rule.init({"p": torch.zeros(1, 2, 2)})
        fits = all(isinstance(t, Tensor) and len(t) == 1 for t in state["p"].values()) and set(state) == {"p"}
    except (TypeError, KeyError, AttributeError, IndexError):
        fits = False
    if not fits:
        raise UsageError(
            f"{type(rule).__name__} keeps no state of the form {{parameter: {{part: [tasks, ...]}}}}, so it cannot be "
            f"an optimizer; use LearnedAdam, CoordinateLSTM, FeatureMLP or HyperMLP, or torch.optim's own."
        )
