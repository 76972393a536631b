"""The outer loop: sample a batch of tasks, fill ``.grad`` with the meta-gradient, take a step, over and over.

Step k draws its tasks from ``fold(seed, "train", k)`` and its dropout from ``fold(seed, "noise", k)``; nothing else is
random, and a run keeps to the number of torch's threads that it was started with. So a run that was killed and resumed
is bit-identical to one that was not.
"""

import contextlib
import json
import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch.optim.lr_scheduler import LRScheduler

from quickstudy import registry
from quickstudy.core.batch import TaskDistribution
from quickstudy.core.draws import Noise
from quickstudy.core.errors import DivergedError, RunError, UsageError
from quickstudy.core.learner import MetaLearner, Metrics
from quickstudy.core.parallel import keeping_threads
from quickstudy.core.purity import sample
from quickstudy.core.scores import score as score_of
from quickstudy.core.seeding import fold
from quickstudy.training import distributed
from quickstudy.training.evaluation import BLOCK, evaluate
from quickstudy.training.interruption import interruptible
from quickstudy.training.meters import Clock, Progress, Window
from quickstudy.training.optim import MakeOptimizer, MakeSchedule, make_optimizer, make_schedule
from quickstudy.training.runs import Checkpoint, Run, load_weights, machine


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
    log_every: int = 50,
    checkpoint_every: int = 500,
    keep: int = 2,
    seed: int = 0,
    out: str | Path | None = None,
    resume: bool = False,
    device: str = "auto",
    workers: int | None = None,
    compile: bool = False,
    tensorboard: bool = False,
    progress: Callable[[Progress], None] | None = None,
    notes: dict[str, Any] | None = None,
) -> Run:
    """Meta-train a learner on a distribution of tasks.

    Args:
        learner: moved to ``device`` and trained in place.
        tasks: where each outer step's tasks come from.
        steps: outer (meta) steps.
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
        log_every: outer steps between lines of ``metrics.jsonl``.
        checkpoint_every: outer steps between checkpoints.
        keep: how many of the last checkpoints stay, beside the best one.
        seed: of tasks and dropout (the learner's initial weights are the caller's).
        out: the run folder (None: nothing is written).
        resume: go on from the last checkpoint in ``out``, if there is one.
        device: ``auto`` (a GPU if there is one), ``cpu``, ``cuda``, ...
        workers: threads on a CPU (None: as many as torch may use).
        compile: compile the meta-gradient at the first outer step (some ten seconds, and a C++ compiler is needed on a
            CPU); pays for long runs of small networks.
        tensorboard: write the metrics for TensorBoard too, into ``out`` (needs the ``tensorboard`` extra).
        progress: called after every outer step.
        notes: more to write into ``config.json`` (the command that started the run, say).

    Returns:
        The run; ``learner`` holds the last step's weights, ``run.learner()`` gives the best ones.

    Raises:
        UsageError: an option out of its range.
        DivergedError: the loss or the meta-gradient is not finite; the weights are those before that step.
        RunError: the run folder is taken, damaged, or cannot be written.
        KeyboardInterrupt: after Ctrl-C or SIGTERM, once the finished steps are saved.
    """
    if min(steps, meta_batch, validate_every, validation_tasks, log_every, checkpoint_every, keep) < 1 or meta_lr <= 0:
        raise UsageError(
            "steps, meta_batch, validate_every, validation_tasks, log_every, checkpoint_every and keep must be >= 1 "
            f"and meta_lr > 0, got {steps}, {meta_batch}, {validate_every}, {validation_tasks}, {log_every}, "
            f"{checkpoint_every}, {keep} and {meta_lr}."
        )
    if patience is not None and (validation is None or patience < 1):
        raise UsageError("patience (>= 1) counts validations: pass validation=, a held-out task distribution.")
    where = distributed.pick_device(device)
    distributed.start(where)
    distributed.check_enough(meta_batch, 1, "meta_batch")
    if validation is not None:
        distributed.check_enough(validation_tasks, BLOCK, "validation_tasks")
    learner.to(where)
    distributed.same_start_(learner)
    params = [p for p in learner.parameters() if p.requires_grad]
    opt = make_optimizer(optimizer, params, meta_lr)
    lr = make_schedule(schedule, opt, steps)
    config = {
        "learner": registry.describe(learner),
        "tasks": registry.describe(tasks),
        "validation": registry.describe(validation),
        "training": {
            "steps": steps,
            "meta_batch": meta_batch,
            "meta_lr": meta_lr,
            "optimizer": registry.describe(optimizer),
            "schedule": registry.describe(schedule),
            "clip": clip,
            "validate_every": validate_every,
            "validation_tasks": validation_tasks,
            "patience": patience,
            "log_every": log_every,
            "checkpoint_every": checkpoint_every,
            "keep": keep,
            "seed": seed,
            "compile": compile,
        },
        "bn": learner.bn_mode,
        "machine": machine(),
        **(notes or {}),
    }
    state = _State()

    def now() -> Checkpoint:
        rest = {"optimizer": opt.state_dict(), "schedule": lr.state_dict(), **asdict(state)}
        return Checkpoint(state.step, learner.state_dict(), rest)

    run = _open_run(out, config, resume, now())
    # One process reads and writes; the others may be on machines that do not have the folder.
    last_saved = distributed.from_first(run.load() if run.steps() else None)
    if last_saved is not None:
        state = _restore(last_saved, learner, opt, lr)
    run.forget_after(state.step)
    board = _tensorboard(run) if tensorboard else None
    closing = contextlib.closing(board) if board is not None else contextlib.nullcontext()
    window = Window()
    clock = Clock(state.seconds)
    validated: Metrics = {}

    def checkpoint() -> Path | None:
        state.seconds = clock.seconds()
        return run.save(now(), keep=keep, best_step=state.best_step)

    def log(record: dict[str, float]) -> None:
        run.log({"step": state.step, **record})
        if board is not None:
            for name, value in record.items():
                board.add_scalar(name, value, state.step)

    learner.train()
    threads = keeping_threads(distributed.from_first(_threads(run)))
    with closing, interruptible() as interrupted, threads:
        while state.step < steps and not (patience is not None and state.stale >= patience):
            task_seed = fold(seed, "train", state.step)
            noise = Noise(fold(seed, "noise", state.step), distributed.first_of_shard(meta_batch))
            opt.zero_grad(set_to_none=True)
            part = distributed.shard(sample(tasks, meta_batch, task_seed)).to(where)
            metrics = learner.meta_backward(part, workers=workers, compile=compile, noise=noise)
            metrics, stop = _share(learner, metrics, len(part) / meta_batch, interrupted())
            norm = torch.nn.utils.get_total_norm([p.grad for p in params if p.grad is not None])
            if not (math.isfinite(metrics["loss"]) and math.isfinite(float(norm))):
                saved = checkpoint()
                raise DivergedError(
                    f"outer step {state.step}: the loss is {metrics['loss']}, the meta-gradient's norm {float(norm)}. "
                    f"The tasks were tasks.sample({meta_batch}, seed={task_seed}); the weights from before this step "
                    f"are in {saved or 'the learner'}. A smaller inner or outer step size, or clip=10, often helps."
                )
            if clip is not None:
                torch.nn.utils.clip_grads_with_norm_(params, clip, norm)
            opt.step()
            lr.step()
            state.step += 1
            window.add({**metrics, "grad_norm": float(norm)})
            last = state.step == steps
            if progress is not None:
                progress(Progress(state.step, steps, window.means(), validated))
            if state.step % log_every == 0 or last:
                means = {f"train/{name}": value for name, value in window.means().items()}
                log({**means, "meta_lr": float(lr.get_last_lr()[0]), "seconds": clock.seconds()})
                window = Window()
            if validation is not None and (state.step % validate_every == 0 or last):
                validated = _validate(learner, validation, validation_tasks, fold(seed, "validation"), workers, state)
                log({f"validation/{name}": value for name, value in validated.items()})
            stale = patience is not None and state.stale >= patience
            if state.step % checkpoint_every == 0 or state.step == state.best_step or last or stop or stale:
                checkpoint()
            if stop and not last:
                raise KeyboardInterrupt(f"stopped after outer step {state.step} of {steps}")
    return run


@dataclass
class _State:
    """What the outer loop carries on, beside weights, optimizer and schedule."""

    step: int = 0
    best_step: int | None = None
    best_score: float = -math.inf
    """Score of the best validation, larger is better."""
    stale: int = 0
    """Validations since the best one."""
    seconds: float = 0.0


def _validate(
    learner: MetaLearner,
    tasks: TaskDistribution[Any],
    n_tasks: int,
    seed: int,
    workers: int | None,
    state: _State,
) -> Metrics:
    result = evaluate(learner, tasks, n_tasks=n_tasks, seed=seed, at=(), workers=workers)
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


def _open_run(out: str | Path | None, config: dict[str, Any], resume: bool, start: Checkpoint) -> Run:
    if distributed.rank() != 0:
        return Run.create(None, config)
    if not (resume and out is not None and (Path(out) / "config.json").exists()):
        return Run.create(out, config, start)
    run = Run.open(out)
    for part in ("learner", "tasks", "validation", "training"):
        now, then = json.loads(json.dumps(config[part])), run.config[part]
        if now != then:
            raise RunError(f"{out} was started with another {part}, so it cannot be resumed: {then} there, {now} now.")
    return run


def _threads(run: Run) -> int:
    """How many of torch's threads the run was started with."""
    recorded = (run.config.get("machine") or {}).get("threads")
    return recorded if isinstance(recorded, int) and recorded >= 1 else torch.get_num_threads()


def _restore(checkpoint: Checkpoint, learner: MetaLearner, opt: torch.optim.Optimizer, lr: LRScheduler) -> _State:
    load_weights(learner, checkpoint.learner)
    rest = dict(checkpoint.rest)
    opt.load_state_dict(rest.pop("optimizer"))
    lr.load_state_dict(rest.pop("schedule"))
    return _State(**rest)


def _tensorboard(run: Run) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise UsageError("tensorboard=True needs the extra: pip install 'quickstudy[tensorboard]'.") from error
    return SummaryWriter(str(run.path / "tensorboard")) if run.path else None
