"""The neural Turing machine against its equations, one sequence, head and slot at a time; and cells in general."""

import math

import pytest
import torch
from torch import nn

import quickstudy as qs
from quickstudy.nets import NTM, Cell, LSTMCell, read, repeat
from quickstudy.nets.memory.ntm import NTMState

SHAPES = [(1, 1, 1), (2, 1, 2), (1, 3, 1), (2, 2, 0)]


def machine(reads=1, writes=1, shift=1, controller="lstm"):
    torch.manual_seed(0)
    ntm = NTM(
        3, hidden_size=5, slots=7, slot_width=4, reads=reads, writes=writes, shift=shift, controller=controller
    ).double()
    with torch.no_grad():
        for p in ntm.parameters():
            p.mul_(3)  # far from where everything is linear
    return ntm


def in_use(ntm, n=2):
    """A state with something in it."""
    rng = torch.Generator().manual_seed(1)
    state = NTMState(*(torch.rand(t.shape, dtype=t.dtype, generator=rng) for t in ntm.start(n)))
    return state._replace(weights=state.weights / state.weights.sum(-1, keepdim=True))


def inputs(n=2, steps=6):
    return torch.randn(n, steps, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(2))


def by_step(cell, x, state):
    outputs = []
    for step in x.unbind(1):
        output, state = cell(step, state)
        outputs.append(output)
    return torch.stack(outputs, 1), state


def by_the_paper(ntm, x, state):
    """One sequence, ``x [steps, f]``: section 3 of Graves et al. in loops over heads and slots."""
    memory, weights, reads, hidden, cell = (t[0].clone() for t in state)
    c, d, slots, shift = ntm.hidden_size, ntm.slot_width, ntm.slots, ntm.shift
    heads = ntm.reads + ntm.writes
    outputs = []
    for x_t in x:
        z = ntm.from_input.weight @ x_t + ntm.from_input.bias + ntm.from_before.weight @ torch.cat([reads, hidden])
        if ntm.controller == "lstm":
            cell = torch.sigmoid(z[c : 2 * c]) * cell + torch.sigmoid(z[:c]) * torch.tanh(z[3 * c :])
            hidden = torch.sigmoid(z[2 * c : 3 * c]) * torch.tanh(cell)
            state_h = hidden
        else:
            state_h = torch.tanh(z)
        raw = list(ntm.heads.weight @ state_h + ntm.heads.bias)

        def take(count, raw=raw):
            taken = torch.stack(raw[:count])
            del raw[:count]
            return taken

        keys = [torch.tanh(take(d)) for _ in range(heads)]
        adds = [torch.tanh(take(d)) for _ in range(ntm.writes)]
        erases = [torch.sigmoid(take(d)) for _ in range(ntm.writes)]
        gates = torch.sigmoid(take(heads))
        strengths = nn.functional.softplus(take(heads))
        gammas = 1 + nn.functional.softplus(take(heads))
        shifts = [torch.softmax(take(2 * shift + 1), 0) for _ in range(heads)]
        assert not raw

        new_weights = []
        for h in range(heads):
            cosines = torch.stack([keys[h] @ row / keys[h].norm() / row.norm() for row in memory])
            content = torch.softmax(strengths[h] * cosines, 0)
            mixed = gates[h] * content + (1 - gates[h]) * weights[h]
            moved = torch.stack(
                [
                    sum(shifts[h][j + shift] * mixed[(i - j) % slots] for j in range(-shift, shift + 1))
                    for i in range(slots)
                ]
            )
            sharp = moved ** gammas[h]
            new_weights.append(sharp / sharp.sum())
        weights = torch.stack(new_weights)
        reads = torch.cat([sum(w[i] * memory[i] for i in range(slots)) for w in weights[: ntm.reads]])
        rows = []
        for i in range(slots):
            row = memory[i]
            for w, erase in zip(weights[ntm.reads :], erases, strict=True):
                row = row * (1 - w[i] * erase)
            rows.append(row + sum(w[i] * add for w, add in zip(weights[ntm.reads :], adds, strict=True)))
        memory = torch.stack(rows)
        outputs.append(torch.cat([state_h, reads]))
    return torch.stack(outputs), (memory, weights, reads, hidden, cell)


@pytest.mark.parametrize("controller", ["lstm", "feedforward"])
@pytest.mark.parametrize(("reads", "writes", "shift"), SHAPES)
def test_equations(reads, writes, shift, controller):
    ntm = machine(reads, writes, shift, controller)
    x, state = inputs(), in_use(ntm)
    with torch.no_grad():
        outputs, after = read(ntm, x, state)
        for one in range(2):
            expected, left = by_the_paper(ntm, x[one], [t[one : one + 1] for t in state])
            torch.testing.assert_close(outputs[one], expected, rtol=1e-9, atol=1e-9)
            for found, part in zip(after, left, strict=True):
                torch.testing.assert_close(found[one], part, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("controller", ["lstm", "feedforward"])
@pytest.mark.parametrize(("reads", "writes", "shift"), SHAPES)
def test_derivatives_by_hand_are_those_of_the_graph(reads, writes, shift, controller):
    """First and second, by everything that goes in."""
    ntm = machine(reads, writes, shift, controller)
    x = inputs().requires_grad_()
    state = NTMState(*(t.requires_grad_() for t in in_use(ntm)))
    leaves = [x, *(t for t in state if t.numel()), *ntm.parameters()]
    found = []
    for way in (read, by_step):
        outputs, after = way(ntm, x, state)
        rng = torch.Generator().manual_seed(3)
        ends = [torch.randn(t.shape, dtype=t.dtype, generator=rng) for t in (outputs, *after)]
        loss = sum((t * end).sum() for t, end in zip((outputs, *after), ends, strict=True))
        first = torch.autograd.grad(loss, leaves, retain_graph=True)
        again = torch.autograd.grad(outputs.square().sum(), leaves, create_graph=True)
        second = torch.autograd.grad(sum(g.square().sum() for g in again), leaves)
        found.append((loss, *first, *again, *second))
    for by_hand, graph in zip(*found, strict=True):
        torch.testing.assert_close(by_hand, graph, rtol=1e-9, atol=1e-9)


def test_derivatives_against_finite_differences():
    ntm = machine()
    names, weights = zip(*ntm.named_parameters(), strict=True)

    def outputs(x, memory, *values):
        state = in_use(ntm, 1)._replace(memory=memory)
        after = torch.func.functional_call(
            _Reads(ntm), {f"cell.{n}": v for n, v in zip(names, values, strict=True)}, (x, state)
        )
        return after[0], after[1].memory

    leaves = [inputs(1, 3), in_use(ntm, 1).memory, *(w.detach() for w in weights)]
    leaves = [t.requires_grad_() for t in leaves]
    assert torch.autograd.gradcheck(outputs, leaves, fast_mode=True)
    assert torch.autograd.gradgradcheck(outputs, leaves, fast_mode=True)


class _Reads(nn.Module):
    def __init__(self, cell):
        super().__init__()
        self.cell = cell

    def forward(self, x, state):
        return read(self.cell, x, state)


def test_a_state_that_depends_on_the_weights_is_counted_once():
    """Read in two pieces, or all at once: the second derivative is the same."""
    ntm = machine()
    weight = ntm.heads.weight

    def second(pieces):
        state, outputs = ntm.start(2), []
        for piece in inputs().split(pieces, 1):
            output, state = read(ntm, piece, state)
            outputs.append(output)
        (first,) = torch.autograd.grad(torch.cat(outputs, 1).square().sum(), weight, create_graph=True)
        return torch.autograd.grad(first.square().sum(), weight)[0]

    torch.testing.assert_close(second(3), second(6), rtol=1e-9, atol=1e-9)


def test_sharp_heads_and_an_empty_memory_give_finite_derivatives():
    """float32, from the start, with heads as sharp as they become: no 0 * log 0, no division by the norm of nothing."""
    torch.manual_seed(0)
    ntm = NTM(3, hidden_size=5, slots=128, slot_width=20)
    with torch.no_grad():
        ntm.heads.weight.mul_(30)
        ntm.heads.bias.add_(10)
    outputs, state = read(ntm, inputs(2, 40).float())
    outputs.square().sum().backward()
    assert all(torch.isfinite(t).all() for t in (outputs, *state))
    assert all(torch.isfinite(p.grad).all() for p in ntm.parameters())


def test_weights_are_a_distribution_and_memory_starts_small():
    ntm = machine(2, 2)
    start = ntm.start(3)
    assert torch.equal(start.memory, torch.full_like(start.memory, 1e-6))
    assert start.weights[..., 0].eq(1).all()
    assert start.memory.dtype == torch.float64
    _, state = read(ntm, inputs(3))
    torch.testing.assert_close(state.weights.sum(-1), torch.ones(3, 4, dtype=torch.float64))
    assert (state.weights >= 0).all()
    assert state.memory.abs().max() < 6 * 2 + 1  # bounded: a step adds at most 1 for each write head


def test_a_larger_memory_takes_the_same_weights():
    small, large = machine(), NTM(3, hidden_size=5, slots=50, slot_width=4).double()
    large.load_state_dict(small.state_dict())
    assert read(large, inputs())[1].memory.shape == (2, 50, 4)


@pytest.mark.parametrize("cell", [machine(), machine(2, 2, 2, "feedforward"), LSTMCell(3, 5).double()])
def test_cells(cell):
    """Reading in pieces, sequence by sequence, or from a fork gives what reading at once does; no state is changed."""
    assert isinstance(cell, Cell)
    x, start = inputs(), cell.start(2)
    copies = [t.clone() for t in start]
    with torch.no_grad():
        outputs, end = read(cell, x, start)
        assert outputs.shape == (2, 6, cell.output_size)
        first, state = read(cell, x[:, :4], start)
        rest, last = read(cell, x[:, 4:], state)
        torch.testing.assert_close(torch.cat([first, rest], 1), outputs)
        torch.testing.assert_close(by_step(cell, x, start)[0], outputs)
        torch.testing.assert_close(read(cell, x[1:])[0], outputs[1:])
        forked = read(cell, x.repeat_interleave(3, 0), repeat(start, 3))[0]
        torch.testing.assert_close(forked, outputs.repeat_interleave(3, 0))
        nothing, same = read(cell, x[:, :0], state)
    assert nothing.shape == (2, 0, cell.output_size)
    for found, expected in ((same, state), (last, end), (start, copies)):
        for part, other in zip(found, expected, strict=True):
            torch.testing.assert_close(part, other)


def test_the_lstm_cell_is_the_textbooks():
    cell = LSTMCell(3, 5).double()
    x = inputs()
    lstm = nn.LSTMCell(3, 5).double()
    lstm.load_state_dict({name.removesuffix("_l0"): p for name, p in cell.lstm.named_parameters()})
    state = tuple(torch.zeros(2, 5, dtype=torch.float64) for _ in range(2))
    for step in x.unbind(1):
        state = lstm(step, state)
    torch.testing.assert_close(read(cell, x)[0][:, -1], state[0])


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"slots": 0}, "slots"),
        ({"slots": 4, "shift": 2}, "shift < slots / 2"),
        ({"writes": 0}, "writes"),
    ],
)
def test_options_out_of_range(options, text):
    with pytest.raises(qs.UsageError, match=text):
        NTM(3, **options)


def test_the_slots_are_a_ring():
    """A head told to go on from the last slot comes to the first."""
    ntm = NTM(1, hidden_size=2, slots=5, slot_width=2).double()
    with torch.no_grad():
        for p in ntm.parameters():
            p.zero_()
        bias = ntm.heads.bias
        bias[8:10] = -50.0  # gate, after keys 4, add 2 and erase 2: by place alone
        bias[10:14] = torch.tensor([0.0, 0.0, 20.0, 20.0])  # sharp
        bias[14:] = torch.tensor([-50.0, -50.0, 50.0]).repeat(2)  # always one on
    state = ntm.start(1)
    places = []
    for _ in range(6):
        with torch.no_grad():
            _, state = ntm(torch.zeros(1, 1, dtype=torch.float64), state)
        places.append(int(state.weights[0, 0].argmax()))
        assert math.isclose(float(state.weights[0, 0].max()), 1.0)
    assert places == [1, 2, 3, 4, 0, 1]
