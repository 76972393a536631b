"""The learned optimizers there are: ``OptimizerLearner`` with one rule each. The method is in ``optimizer.py``."""

from quickstudy.learners.optimizers.optimizer import Estimator, OptimizerLearner
from quickstudy.rules import CoordinateLSTM, FeatureMLP, HyperMLP, LearnedAdam


class AdamOptimizer(OptimizerLearner):
    """A learned optimizer: Adam, whose step size and decays are meta-learned.

    The rule is ``quickstudy.rules.LearnedAdam``; ``quickstudy.LearnedOptimizer`` puts the trained one to use.

    Args:
        lr: where the step size starts, > 0.
        betas: where the decays of the first and second moments start, each in (0, 1).
        estimator: of the meta-gradient: ``backprop`` (truncated) or ``pes`` (persistent evolution strategies).
        truncation: inner steps per segment, >= 1.
        order: of ``backprop``: 1 takes the inner gradients as constants, 2 differentiates through them.
        sigma: of ``pes``: standard deviation of the perturbations, > 0.
        pairs: of ``pes``: antithetic pairs per problem, >= 1.
        curriculum: outer steps over which the unroll grows from one segment to the problems' horizon (0: none).
        eval_steps: inner steps in validation and test, >= 1.
        chunk: problems at once in ``meta_backward`` (None: all); bounds the memory.

    Raises:
        UsageError: an option out of its range.
    """

    def __init__(
        self,
        *,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        estimator: Estimator = "backprop",
        truncation: int = 20,
        order: int = 1,
        sigma: float = 0.01,
        pairs: int = 1,
        curriculum: int = 0,
        eval_steps: int = 200,
        chunk: int | None = None,
    ) -> None:
        super().__init__(
            LearnedAdam(lr=lr, betas=betas),
            estimator=estimator,
            truncation=truncation,
            order=order,
            sigma=sigma,
            pairs=pairs,
            curriculum=curriculum,
            eval_steps=eval_steps,
            chunk=chunk,
        )
        self.lr = lr
        self.betas = betas


class LSTMOptimizer(OptimizerLearner):
    """A learned optimizer: a two-layer LSTM that moves every coordinate by itself.

    The rule is ``quickstudy.rules.CoordinateLSTM``; ``quickstudy.LearnedOptimizer`` puts the trained one to use.

    Args:
        hidden: units of each of the LSTM's two layers.
        scale: of the LSTM's output, > 0.
        normalize: divide gradients by the root of a running mean of their squares over the tensor.
        estimator: of the meta-gradient: ``backprop`` (truncated) or ``pes`` (persistent evolution strategies).
        truncation: inner steps per segment, >= 1.
        order: of ``backprop``: 1 takes the inner gradients as constants, 2 differentiates through them.
        sigma: of ``pes``: standard deviation of the perturbations, > 0.
        pairs: of ``pes``: antithetic pairs per problem, >= 1.
        curriculum: outer steps over which the unroll grows from one segment to the problems' horizon (0: none).
        eval_steps: inner steps in validation and test, >= 1.
        chunk: problems at once in ``meta_backward`` (None: all); bounds the memory.

    Raises:
        UsageError: an option out of its range.
    """

    def __init__(
        self,
        *,
        hidden: int = 20,
        scale: float = 0.1,
        normalize: bool = True,
        estimator: Estimator = "backprop",
        truncation: int = 20,
        order: int = 1,
        sigma: float = 0.01,
        pairs: int = 1,
        curriculum: int = 0,
        eval_steps: int = 200,
        chunk: int | None = None,
    ) -> None:
        super().__init__(
            CoordinateLSTM(hidden=hidden, scale=scale, normalize=normalize),
            estimator=estimator,
            truncation=truncation,
            order=order,
            sigma=sigma,
            pairs=pairs,
            curriculum=curriculum,
            eval_steps=eval_steps,
            chunk=chunk,
        )
        self.hidden = hidden
        self.scale = scale
        self.normalize = normalize


class MLPOptimizer(OptimizerLearner):
    """A learned optimizer: a small MLP over momenta, second moments and the step.

    The rule is ``quickstudy.rules.FeatureMLP``; ``quickstudy.LearnedOptimizer`` puts the trained one to use.

    Args:
        hidden: units of each of the MLP's two hidden layers.
        lr: steps of the untrained rule, relative to the root mean square of a tensor's parameters, > 0.
        estimator: of the meta-gradient: ``backprop`` (truncated) or ``pes`` (persistent evolution strategies).
        truncation: inner steps per segment, >= 1.
        order: of ``backprop``: 1 takes the inner gradients as constants, 2 differentiates through them.
        sigma: of ``pes``: standard deviation of the perturbations, > 0.
        pairs: of ``pes``: antithetic pairs per problem, >= 1.
        curriculum: outer steps over which the unroll grows from one segment to the problems' horizon (0: none).
        eval_steps: inner steps in validation and test, >= 1.
        chunk: problems at once in ``meta_backward`` (None: all); bounds the memory.

    Raises:
        UsageError: an option out of its range.
    """

    def __init__(
        self,
        *,
        hidden: int = 4,
        lr: float = 0.01,
        estimator: Estimator = "backprop",
        truncation: int = 20,
        order: int = 1,
        sigma: float = 0.01,
        pairs: int = 1,
        curriculum: int = 0,
        eval_steps: int = 200,
        chunk: int | None = None,
    ) -> None:
        super().__init__(
            FeatureMLP(hidden=hidden, lr=lr),
            estimator=estimator,
            truncation=truncation,
            order=order,
            sigma=sigma,
            pairs=pairs,
            curriculum=curriculum,
            eval_steps=eval_steps,
            chunk=chunk,
        )
        self.hidden = hidden
        self.lr = lr


class HyperOptimizer(OptimizerLearner):
    """A learned optimizer that mixes a per-coordinate MLP for each tensor by its statistics.

    The rule is ``quickstudy.rules.HyperMLP``; ``quickstudy.LearnedOptimizer`` puts the trained one to use.

    Args:
        hidden: units of the per-coordinate MLP's hidden layer.
        bank: MLPs that are mixed.
        lstm: units of the LSTM that mixes them.
        lr: steps of the untrained rule, relative to the root mean square of a tensor's parameters, > 0.
        estimator: of the meta-gradient: ``backprop`` (truncated) or ``pes`` (persistent evolution strategies).
        truncation: inner steps per segment, >= 1.
        order: of ``backprop``: 1 takes the inner gradients as constants, 2 differentiates through them.
        sigma: of ``pes``: standard deviation of the perturbations, > 0.
        pairs: of ``pes``: antithetic pairs per problem, >= 1.
        curriculum: outer steps over which the unroll grows from one segment to the problems' horizon (0: none).
        eval_steps: inner steps in validation and test, >= 1.
        chunk: problems at once in ``meta_backward`` (None: all); bounds the memory.

    Raises:
        UsageError: an option out of its range.
    """

    def __init__(
        self,
        *,
        hidden: int = 8,
        bank: int = 4,
        lstm: int = 16,
        lr: float = 0.01,
        estimator: Estimator = "backprop",
        truncation: int = 20,
        order: int = 1,
        sigma: float = 0.01,
        pairs: int = 1,
        curriculum: int = 0,
        eval_steps: int = 200,
        chunk: int | None = None,
    ) -> None:
        super().__init__(
            HyperMLP(hidden=hidden, bank=bank, lstm=lstm, lr=lr),
            estimator=estimator,
            truncation=truncation,
            order=order,
            sigma=sigma,
            pairs=pairs,
            curriculum=curriculum,
            eval_steps=eval_steps,
            chunk=chunk,
        )
        self.hidden = hidden
        self.bank = bank
        self.lstm = lstm
        self.lr = lr
