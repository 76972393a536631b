"""Meta-learners: one file per algorithm."""

from quickstudy.exports import lazily

__getattr__, __dir__, __all__ = lazily(
    __name__,
    kind="learners",
    more={
        "quickstudy.core.learner": [
            "MetaGradient",
            "MetaLearner",
            "Metrics",
            "Scalars",
            "Solver",
        ],
        "quickstudy.core.support_query": ["SupportQueryLearner"],
        "quickstudy.learners.gradient.inner": ["GradientLearner", "InnerLoop"],
        "quickstudy.learners.memory.instances": ["by_instance"],
        "quickstudy.learners.metric.base": ["MetricLearner"],
        "quickstudy.learners.optimizers.optimizer": ["OptimizerLearner"],
    },
    renamed={"SelfPlay": "LOLA", "SequenceLearner": "NTMLearner"},
)
