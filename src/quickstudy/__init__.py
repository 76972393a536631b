"""quickstudy: learning to learn, made practical."""

from quickstudy.exports import lazily

__getattr__, __dir__, __all__ = lazily(
    __name__,
    kind="learners",
    more={
        "quickstudy.apply.learned_optimizer": ["LearnedOptimizer"],
        "quickstudy.apply.tables.csv_file": ["read_table"],
        "quickstudy.core.batch": ["Examples", "SharesDraws", "TaskBatch", "TaskDistribution"],
        "quickstudy.core.errors": ["DataError", "DivergedError", "QuickstudyError", "RunError", "UsageError"],
        "quickstudy.core.learner": ["MetaLearner"],
        "quickstudy.encoders.encoder": ["encoder"],
        "quickstudy.learners.optimizers.optimizer": ["OptimizerLearner"],
        "quickstudy.recipes.presets": ["preset"],
        "quickstudy.report.citation": ["citation"],
        "quickstudy.training.evaluation": ["evaluate"],
        "quickstudy.training.loop": ["train"],
        "quickstudy.training.meters": ["Progress"],
        "quickstudy.training.results": ["Result"],
        "quickstudy.training.runs": ["Run"],
        "quickstudy.version": ["__version__"],
    },
    modules=[
        "quickstudy.apply.pretrained",
        "quickstudy.encoders",
        "quickstudy.learners",
        "quickstudy.nets",
        "quickstudy.registry",
        "quickstudy.rules",
        "quickstudy.tasks",
    ],
    sklearn={
        "quickstudy.apply.embedding_classifier": ["EmbeddingClassifier"],
        "quickstudy.apply.few_shot_classifier": ["FewShotClassifier"],
        "quickstudy.apply.image_classifier": ["ImageClassifier"],
        "quickstudy.apply.tables.checking": ["check_table"],
        "quickstudy.apply.tables.encoder": ["TableEncoder"],
        "quickstudy.apply.tabular": ["TabularClassifier"],
    },
    renamed={"SelfPlay": "LOLA", "SequenceLearner": "NTMLearner"},
)
