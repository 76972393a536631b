"""Meta-learners: one file per algorithm."""

from quickstudy.exports import lazily

__getattr__, __dir__, __all__ = lazily(
    __name__,
    kind="learners",
    more={
        "quickstudy.core.learner": [
            "AdaptsInSteps",
            "LossLearner",
            "MetaGradient",
            "MetaLearner",
            "Metrics",
            "Scalars",
            "Solver",
        ],
        "quickstudy.learners.gradient.inner": ["GradientLearner", "InnerLoop"],
        "quickstudy.learners.metric.base": ["MetricLearner"],
        "quickstudy.learners.optimizers.optimizer": ["OptimizerLearner"],
        "quickstudy.report.pictures.instances": ["by_instance"],
    },
)
