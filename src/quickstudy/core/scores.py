"""Scores by name: what each is called, its unit, and which way is better. The one place that formats a score."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Score:
    """What is known of a score.

    Args:
        words: what people call it.
        percent: whether it is a share that is shown in percent.
        larger_is_better: whether more of it is better; of losses and errors it is not.
    """

    words: str
    percent: bool = False
    larger_is_better: bool = False

    def text(self, value: float) -> str:
        """A value in the score's own unit.

        >>> score("accuracy").text(0.98761), score("mse").text(0.35)
        ('98.76%', '0.3500')
        """
        return f"{100 * value:.2f}%" if self.percent else f"{value:.4f}"

    def interval(self, half_width: float) -> str:
        """The half-width of an interval, to stand beside a value.

        >>> score("accuracy").interval(0.0052), score("mse").interval(0.0052)
        ('± 0.52', '± 0.0052')
        """
        return f"± {100 * half_width:.2f}" if self.percent else f"± {half_width:.4f}"

    def short(self, value: float) -> str:
        """A value where there is little room: in a progress bar.

        >>> score("accuracy").short(0.98761), score("mse").short(0.35)
        ('98.8%', '0.350')
        """
        return f"{100 * value:.1f}%" if self.percent else f"{value:.3f}"


SCORES = {
    "accuracy": Score("accuracy", percent=True, larger_is_better=True),
    "return": Score("return", larger_is_better=True),
    "mse": Score("mean squared error"),
    "gaussian": Score("negative log-likelihood"),
    "bit_error": Score("share of wrong bits"),
    "grad_norm": Score("norm of the meta-gradient"),
}


def score(name: str) -> Score:
    """A score by name; of an unknown one less is better, and its own name is what it is called."""
    return SCORES.get(name) or Score(name)
