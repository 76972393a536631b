"""The outer loop: sample a batch of tasks, fill ``.grad`` with the meta-gradient, take a step, over and over.

Step k draws its tasks from ``fold(seed, "train", k)`` and its dropout from ``fold(seed, "noise", k)``; nothing else is
random, and a run keeps to the number of torch's threads that it was started with. So a run that was killed and resumed
is bit-identical to one that was not.
"""

import contextlib
import math
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from quickstudy.core.batch import TaskDistribution
from quickstudy.core.draws import Noise
from quickstudy.core.errors import UsageError
from quickstudy.core.learner import MetaLearner, Metrics
from quickstudy.core.parallel import keeping_threads
from quickstudy.core.purity import sample
from quickstudy.core.scores import score as score_of
from quickstudy.core.seeding import fold
from quickstudy.training import distributed
from quickstudy.training._board import Board
from quickstudy.training._guard import Before, diverged
from quickstudy.training._precision import Precision, in_precision
from quickstudy.training._setup import RECORDED as RECORDED
from quickstudy.training._setup import State, check, configuration, open_run, restore, threads_of
from quickstudy.training.evaluation import BLOCK, evaluate
from quickstudy.training.interruption import interruptible
from quickstudy.training.meters import Clock, Progress, Window
from quickstudy.training.optim import MakeOptimizer, MakeSchedule, make_optimizer, make_schedule
from quickstudy.training.progress import ProgressLine, Waiting
from quickstudy.training.runs import Checkpoint, Run, locked, remove_run


def train(
    learner: MetaLearner,
    tasks: TaskDistribution[Any],
    *,
    steps: int,
    meta_batch: int = 32,
    meta_lr: float = 1e-3,
    optimizer: str | MakeOptimizer = "adam",
    schedule: str | MakeSchedule = "constant",
    clip: float | None = None,
    validation: TaskDistribution[Any] | None = None,
    validate_every: int = 500,
    validation_tasks: int = 200,
    patience: int | None = None,
    log_every: int | None = None,
    checkpoint_every: int = 500,
    keep: int = 2,
    seed: int = 0,
    out: str | Path | None = None,
    resume: bool = False,
    overwrite: bool = False,
    device: str = "auto",
    workers: int | None = None,
    compile: bool = False,
    precision: Precision = "float32",
    tensorboard: bool = False,
    progress: bool | Callable[[Progress], None] | None = True,
    notes: dict[str, Any] | None = None,
) -> Run:
    """Meta-train a learner on a distribution of tasks.

    Args:
        learner: moved to ``device`` and trained in place.
        tasks: where each outer step's tasks come from.
        steps: outer (meta) steps; the one option that may be another, larger, when a run goes on.
        meta_batch: tasks per outer step.
        meta_lr: step size of the outer optimizer.
        optimizer: ``adam``, ``adam0`` (without momentum, for adversaries), ``adamw``, ``sgd``, or a function from
            parameters to a ``torch.optim.Optimizer``.
        schedule: of the outer step size, over all steps: ``constant``, ``linear`` or ``cosine`` to zero, or a function
            from the optimizer to a scheduler.
        clip: largest norm of the meta-gradient (None: no clipping).
        validation: held-out tasks; their score picks the best checkpoint.
        validate_every: outer steps between validations.
        validation_tasks: tasks per validation.
        patience: stop after this many validations without a better score (None: never).
        log_every: outer steps between lines of ``metrics.jsonl`` (None: 50, fewer in a short run).
        checkpoint_every: outer steps between checkpoints.
        keep: how many of the last checkpoints stay, beside the best one.
        seed: of tasks and dropout (the learner's initial weights are the caller's).
        out: the run folder (None: nothing is written).
        resume: go on from the last checkpoint in ``out``, if there is one.
        overwrite: remove the run that is in ``out``, if there is one.
        device: ``auto`` (a GPU if there is one), ``cpu``, ``cuda``, ...
        workers: threads on a CPU (None: as many as torch may use).
        compile: compile the meta-gradient at the first outer step (some ten seconds, and a C++ compiler is needed on a
            CPU); pays for long runs of small networks.
        precision: ``float32``; or ``bf16`` or ``fp16``, in which the products in the derivatives of convolutions and
            linear layers are computed, and nothing else (``docs/speed.md`` says for which learners that is enough).
        tensorboard: write the metrics for TensorBoard too, into ``out`` (needs the ``tensorboard`` extra).
        progress: show how far it is and how good, in a terminal, a notebook or a log; or a function that is called
            after every outer step.
        notes: more to write into ``config.json`` (the command that started the run, say).

    Returns:
        The run; ``learner`` holds the last step's weights, ``run.learner()`` gives the best ones, ``run.test(tasks)``
        tests them, and ``run.report()`` writes the page.

    Raises:
        UsageError: an option out of its range.
        DivergedError: the loss, the meta-gradient or the new weights are not finite; weights and buffers are those
            from before that step.
        RunError: the run folder is taken, in use, damaged, or cannot be written; or the run there is another.
        KeyboardInterrupt: after Ctrl-C or SIGTERM, once the finished steps are saved.
    """
    options = {**locals()}
    check(train, options)
    where = distributed.pick_device(device)
    distributed.start(where)
    distributed.check_enough(meta_batch, 1, "meta_batch")
    if validation is not None:
        distributed.check_enough(validation_tasks, BLOCK, "validation_tasks")
    if distributed.world() > 1 and learner.whole_batch is not None:
        raise UsageError(
            f"{type(learner).__name__} {learner.whole_batch}, so {distributed.world()} processes that share a batch "
            f"would give another meta-gradient; train it in one process."
        )
    learner.to(where)
    distributed.same_start_(learner)
    params = [p for p in learner.parameters() if p.requires_grad]
    opt = make_optimizer(optimizer, params, meta_lr)
    lr = make_schedule(schedule, opt, steps)
    state = State()

    def now() -> Checkpoint:
        rest = {"optimizer": opt.state_dict(), "schedule": lr.state_dict(), **asdict(state)}
        return Checkpoint(state.step, learner.state_dict(), rest)

    first = distributed.rank() == 0
    with contextlib.ExitStack() as held:
        held.enter_context(in_precision(learner, precision, where))
        held.enter_context(locked(Path(out) if first and out is not None else None))
        if overwrite and first and out is not None:
            remove_run(Path(out))
        run = open_run(out, configuration(options), resume, now())
        run.trained_here = learner
        # One process reads and writes; the others may be on machines that do not have the folder.
        last_saved = distributed.from_first(run.load() if run.steps() else None)
        if last_saved is not None:
            state = restore(last_saved, run, learner, opt, lr, options)
        run.clean()
        run.forget_after(state.step)
        board = held.enter_context(contextlib.closing(Board(run.path))) if tensorboard and run.path else None
        window = Window()
        clock = Clock(state.seconds)
        validated: Metrics = {}

        def checkpoint(beside: int = 0) -> Path | None:
            state.seconds = clock.seconds()
            return run.save(now(), keep=keep + beside, best_step=state.best_step)

        def log(record: dict[str, float]) -> None:
            run.log({"step": state.step, **record})
            if board is not None:
                board.log(record, state.step)

        shown = ProgressLine() if progress is True and first else None
        if shown is not None:
            held.callback(shown.close)
        advance = progress if callable(progress) else shown
        learner.train()
        before = Before(learner, params)
        interrupted = held.enter_context(interruptible())
        held.enter_context(keeping_threads(distributed.from_first(threads_of(run))))
        while state.step < steps and not (patience is not None and state.stale >= patience):
            before.keep()
            task_seed = fold(seed, "train", state.step)
            noise = Noise(fold(seed, "noise", state.step), distributed.first_of_shard(meta_batch))
            opt.zero_grad(set_to_none=True)
            part = distributed.shard(sample(tasks, meta_batch, task_seed)).to(where)
            metrics = learner.meta_backward(part, workers=workers, compile=compile, noise=noise)
            metrics, stop = _share(learner, metrics, len(part) / meta_batch, interrupted())
            norm = torch.nn.utils.get_total_norm([p.grad for p in params if p.grad is not None])
            if not (math.isfinite(metrics["loss"]) and math.isfinite(float(norm))) or before.is_spoiled():
                before.restore()
                saved = checkpoint(beside=1) or "the learner"
                raise diverged(
                    f"outer step {state.step}: the loss is {metrics['loss']}, the meta-gradient's norm {float(norm)}",
                    *(part, f"tasks.sample({meta_batch}, seed={task_seed})", str(saved)),
                )
            if clip is not None:
                torch.nn.utils.clip_grads_with_norm_(params, clip, norm)
            opt.step()
            if before.is_spoiled():
                before.restore()  # but not the optimizer, so no checkpoint is made of it
                raise diverged(
                    f"outer step {state.step}: the optimizer's step, of size {lr.get_last_lr()[0]:g}, made weights "
                    f"that are not finite",
                    *(part, f"tasks.sample({meta_batch}, seed={task_seed})", "the learner"),
                )
            lr.step()
            state.step += 1
            window.add({**metrics, "grad_norm": float(norm)})
            last = state.step == steps
            if advance is not None:
                advance(Progress(state.step, steps, window.means(), validated))
            if state.step % (log_every or max(1, min(50, steps // 20))) == 0 or last:
                means = {f"train/{name}": value for name, value in window.means().items()}
                log({**means, "meta_lr": float(lr.get_last_lr()[0]), "seconds": clock.seconds()})
                window = Window()
            if validation is not None and (state.step % validate_every == 0 or last):
                with Waiting("validating", "task", after=2) as waiting:
                    validated = _validate(
                        learner, validation, validation_tasks, seed, workers, state, waiting if shown else None
                    )
                log({f"validation/{name}": value for name, value in validated.items()})
            stale = patience is not None and state.stale >= patience
            if state.step % checkpoint_every == 0 or state.step == state.best_step or last or stop or stale:
                checkpoint()
            if stop and not last:
                raise KeyboardInterrupt(f"stopped after outer step {state.step} of {steps}")
    return run


def _validate(
    learner: MetaLearner,
    tasks: TaskDistribution[Any],
    n_tasks: int,
    seed: int,
    workers: int | None,
    state: State,
    waiting: Waiting | None,
) -> Metrics:
    result = evaluate(
        learner, tasks, n_tasks=n_tasks, seed=fold(seed, "validation"), at=(), workers=workers, progress=waiting
    )
    score = result.mean if score_of(result.metric).larger_is_better else -result.mean
    if score > state.best_score:
        state.best_step, state.best_score, state.stale = state.step, score, 0
    else:
        state.stale += 1
    return {result.metric: result.mean, "ci95": result.ci95, "loss": result.loss}


def _share(learner: MetaLearner, metrics: Metrics, weight: float, stop: bool) -> tuple[Metrics, bool]:
    """Gradients (in place) and metrics as means over the tasks of all processes; stop if any process must."""
    values = torch.tensor([*metrics.values()], dtype=torch.float64) * weight
    flag = torch.tensor([float(stop)])
    if distributed.world() > 1:
        distributed.sum_([*distributed.weigh_gradients(learner, weight), values, flag])
        distributed.average_buffers_(learner, weight)
    return dict(zip(metrics, values.tolist(), strict=True)), bool(flag.item())
