"""Update rules: pure, differentiable functions from (parameters, gradients, state) to (parameters, state)."""

from quickstudy.exports import lazily

__getattr__, __dir__, __all__ = lazily(
    __name__,
    kind="rules",
    more={
        "quickstudy.core.rule": ["MovesOne", "UpdateRule", "UsesLosses"],
        "quickstudy.rules.adam": ["AdamState"],
        "quickstudy.rules.curvature": ["Curvature"],
        "quickstudy.rules.per_parameter": ["PerParameter"],
        "quickstudy.rules.per_step": ["PerStep"],
    },
)
