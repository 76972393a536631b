"""Attention's and the recurrent layers' kernels are chosen only where a second derivative is taken, and put back."""

import contextlib
import threading

import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel

import quickstudy as qs
from quickstudy.core import twice
from quickstudy.core.twice import differentiable_twice

seen: list[tuple[bool, ...]] = []


def flags():
    cuda = torch.backends.cuda
    return (
        cuda.flash_sdp_enabled(),
        cuda.mem_efficient_sdp_enabled(),
        cuda.math_sdp_enabled(),
        cuda.cudnn_sdp_enabled(),
    )


class Attention(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.embed = nn.Linear(4, 24)
        self.head = nn.Linear(8, 3)

    def forward(self, x):
        seen.append(flags())
        q, k, v = self.embed(x).view(1, len(x), 3, 1, 8).permute(2, 0, 3, 1, 4)
        return self.head(nn.functional.scaled_dot_product_attention(q, k, v)[0, 0])


def tasks():
    x, y = torch.randn(60, 4), torch.arange(60) // 10
    return qs.tasks.Episodes(x, y, way=3, shot=1, query=2)


def test_the_plain_kernel_only_where_it_is_differentiated_twice():
    before, batch = flags(), tasks().sample(2, 0)
    for learner, twice_ in (
        (qs.MAML(Attention(), inner_lr=0.1, inner_steps=1, execution="threads"), True),
        (qs.IMAML(Attention(), inner_lr=0.1, inner_steps=1, execution="threads"), True),
        (qs.FOMAML(Attention(), inner_lr=0.1, inner_steps=1, execution="threads"), False),
        (qs.ProtoNet(Attention(), execution="threads"), False),
    ):
        seen.clear()
        learner.meta_gradient(batch)
        math_only = [not f[0] and not f[1] and f[2] for f in seen]
        assert any(math_only) is twice_, type(learner).__name__
        assert flags() == before
        seen.clear()
        qs.evaluate(learner, tasks(), n_tasks=2)
        assert {*seen} == {before}


def test_threads_that_overlap_leave_the_callers_choice():
    with sdpa_kernel([SDPBackend.MATH, SDPBackend.EFFICIENT_ATTENTION]):
        before = flags()
        inside, leave = threading.Barrier(3), [threading.Event(), threading.Event()]

        def work(which):
            with differentiable_twice():
                inside.wait()
                leave[which].wait()

        threads = [threading.Thread(target=work, args=(i,)) for i in range(2)]
        for t in threads:
            t.start()
        inside.wait()
        assert flags()[0] is False
        assert not twice.wanted(), "it is a thread's own wish"
        for event, t in zip(leave, threads, strict=True):
            event.set()
            t.join()
        assert flags() == before


def test_recurrent_layers_do_without_cudnn_there(monkeypatch):
    """What only a GPU shows is whether cuDNN would have been used; that it is off in these layers is seen here."""
    entered = []

    class Noted(twice.Shared):
        def __enter__(self):
            entered.append(1)

        def __exit__(self, *error):
            pass

    monkeypatch.setattr(twice, "WITHOUT_CUDNN", Noted(contextlib.nullcontext))

    class Recurrent(nn.Module):
        def __init__(self):
            super().__init__()
            self.gru, self.head = nn.GRU(4, 5, batch_first=True), nn.Linear(5, 3)

        def forward(self, x):
            return self.head(self.gru(x.unsqueeze(1))[0][:, 0])

    qs.MAML(Recurrent(), inner_lr=0.1, inner_steps=1).meta_gradient(tasks().sample(1, 0))
    assert entered
    entered.clear()
    qs.FOMAML(Recurrent(), inner_lr=0.1, inner_steps=1).meta_gradient(tasks().sample(1, 0))
    assert not entered
