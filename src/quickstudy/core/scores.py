"""Scores by name: what each is called, its unit, and which way is better. The one place that formats a score.

A mean has as many digits as its interval bears: two significant ones of the half-width, and the mean to the same place.
"""

import math
from dataclasses import dataclass

MINUS = "\u2212"
FINEST = 6
"""Decimal places at most; an interval that is narrower (of scores that are all alike, say) tells no digits."""


@dataclass(frozen=True)
class Score:
    """What is known of a score.

    Args:
        words: what people call it.
        percent: whether it is a share that is shown in percent.
        larger_is_better: whether more of it is better; of losses and errors it is not.
        unit: what it is counted in, where the words do not say it.
    """

    words: str
    percent: bool = False
    larger_is_better: bool = False
    unit: str = ""

    def text(self, value: float, half_width: float = math.nan) -> str:
        """A value in the score's own unit, as exact as half the width of its interval says (nan: it has none).

        >>> score("accuracy").text(0.98761), score("mse").text(0.35), score("mse").text(0.10631, 0.00402)
        ('98.76%', '0.3500', '0.1063')
        """
        return self._number(value, half_width) + "%" * self.percent

    def interval(self, half_width: float) -> str:
        """The half-width of an interval, to stand beside a value; nothing where there is none.

        >>> score("accuracy").interval(0.0523), score("mse").interval(0.00402), score("return").interval(131.0)
        ('± 5.2', '± 0.0040', '± 130')
        """
        return "" if math.isnan(half_width) else f"± {self._number(half_width, half_width)}"

    def told(self, mean: float, half_width: float) -> str:
        """A mean and its interval.

        >>> score("accuracy").told(0.95373, 0.00418), score("return").told(-412.4, 12.9)
        ('95.37% ± 0.42', '−412 ± 13')
        """
        return f"{self.text(mean, half_width)} {self.interval(half_width)}".rstrip()

    def gap(self, mean: float, half_width: float) -> str:
        """A difference of two means and its interval: of shares in points, with its sign.

        >>> score("accuracy").gap(0.0504, 0.0123), score("mse").gap(-0.0021, 0.0004)
        ('+5.0 ± 1.2', '−0.00210 ± 0.00040')
        """
        number = self._number(mean, half_width)
        signed = number if number.startswith(MINUS) else f"+{number}"
        return f"{signed} {self.interval(half_width)}".rstrip()

    def exact(self, value: float) -> str:
        """A value that was computed and not measured.

        >>> score("accuracy").exact(0.2), score("return").exact(5 / 6)
        ('20%', '0.8333')
        """
        return f"{100 * value:.4g}%" if self.percent else f"{value:.4g}".replace("-", MINUS)

    def short(self, value: float) -> str:
        """A value where there is little room: in a progress bar.

        >>> score("accuracy").short(0.98761), score("mse").short(0.35)
        ('98.8%', '0.350')
        """
        return f"{100 * value:.1f}%" if self.percent else f"{value:.3f}"

    def named(self, unit: str = "") -> str:
        """What it is called, with its unit: the score's own, or what is known of it here.

        >>> score("gaussian").named(), score("return").named("per round")
        ('negative log-likelihood, nats per target', 'return per round')
        """
        if unit.startswith("per "):
            return f"{self.words} {unit}"
        return ", ".join(filter(None, (self.words, unit or self.unit)))

    def _number(self, value: float, half_width: float) -> str:
        scale = 100 if self.percent else 1
        places = decimals(scale * half_width, 2 if self.percent else 4)
        rounded = round(scale * value, places) + 0.0  # + 0.0: no -0.0
        return f"{rounded:.{max(places, 0)}f}".replace("-", MINUS)


SCORES = {
    "accuracy": Score("accuracy", percent=True, larger_is_better=True),
    "return": Score("return", larger_is_better=True),
    "mse": Score("mean squared error"),
    "gaussian": Score("negative log-likelihood", unit="nats per target"),
    "cross_entropy": Score("cross-entropy", unit="nats per example"),
    "bits": Score("cross-entropy", unit="nats per bit"),
    "bit_error": Score("share of wrong bits"),
    "final_loss": Score("training loss at the end", unit="relative to the start"),
    "grad_norm": Score("norm of the meta-gradient"),
}


def score(name: str) -> Score:
    """A score by name; of an unknown one less is better, and its own name is what it is called."""
    return SCORES.get(name) or Score(name)


def decimals(half_width: float, usual: int) -> int:
    """Decimal places (below 0: whole tens) that show two significant digits of a half-width; ``usual`` where it has
    none, or is too narrow to tell.

    >>> decimals(0.0996, 4), decimals(131.0, 4), decimals(math.nan, 4)
    (2, -1, 4)
    """
    if not 10**-FINEST <= half_width < math.inf:
        return usual
    return min(FINEST, 1 - int(f"{half_width:.1e}".partition("e")[2]))
