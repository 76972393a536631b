"""LRUA against a slow reading of the paper's equations, slot by slot and head by head, in float64."""

import math

import pytest
import torch

import quickstudy as qs
from quickstudy.nets import LRUA, read

HIDDEN, SLOTS, WIDTH, HEADS, DECAY = 6, 7, 3, 2, 0.8


def cell(**options):
    torch.manual_seed(0)
    made = LRUA(4, hidden_size=HIDDEN, slots=SLOTS, slot_width=WIDTH, heads=HEADS, decay=DECAY, **options).double()
    with torch.no_grad():
        for p in made.parameters():
            p.mul_(3)  # keys, gates and strengths that differ
    return made


def by_hand(cell, xs, sharpen):
    """Hidden state and reads after each step of one sequence, and the memory in the end."""
    memory = [torch.zeros(WIDTH, dtype=torch.float64)] * SLOTS
    usage, weights = [0.0] * SLOTS, [[0.0] * SLOTS] * HEADS
    reads = torch.zeros(HEADS * WIDTH, dtype=torch.float64)
    h = c = torch.zeros(HIDDEN, dtype=torch.float64)
    outputs = []
    for x in xs:
        before = torch.cat([reads, h])
        i, f, o, new = (cell.from_input.weight @ x + cell.from_input.bias + cell.from_before.weight @ before).chunk(4)
        c = f.sigmoid() * c + i.sigmoid() * new.tanh()
        h = o.sigmoid() * c.tanh()
        said = (cell.to_heads.weight @ h + cell.to_heads.bias).tolist()
        keys = [torch.tensor(said[n * WIDTH : (n + 1) * WIDTH], dtype=torch.float64).tanh() for n in range(HEADS)]
        gates = [1 / (1 + math.exp(-said[HEADS * WIDTH + n])) for n in range(HEADS)]
        strengths = [1.0] * HEADS
        if sharpen:
            strengths = [1 + math.log1p(math.exp(said[HEADS * (WIDTH + 1) + n])) for n in range(HEADS)]
        least = sorted(range(SLOTS), key=lambda s: usage[s])[:HEADS]
        writes = [
            [gates[n] * weights[n][s] + (1 - gates[n]) * (s == least[n]) for s in range(SLOTS)] for n in range(HEADS)
        ]
        memory = [row * (s not in least) for s, row in enumerate(memory)]
        memory = [row + sum(writes[n][s] * keys[n] for n in range(HEADS)) for s, row in enumerate(memory)]
        weights = []
        for n in range(HEADS):
            likeness = [
                float(keys[n] @ row) / math.sqrt((float(keys[n] @ keys[n]) + 1e-6) * (float(row @ row) + 1e-6))
                for row in memory
            ]
            e = [math.exp(strengths[n] * value) for value in likeness]
            weights.append([value / sum(e) for value in e])
        usage = [DECAY * usage[s] + sum(weights[n][s] + writes[n][s] for n in range(HEADS)) for s in range(SLOTS)]
        reads = torch.cat([sum(w * row for w, row in zip(weights[n], memory, strict=True)) for n in range(HEADS)])
        outputs.append(torch.cat([h, reads]))
    return torch.stack(outputs), torch.stack(memory)


@pytest.mark.parametrize("sharpen", [False, True])
def test_equation_by_equation(sharpen):
    """Over more steps than it takes to use every slot, so that slots are forgotten and written again."""
    made = cell(sharpen=sharpen)
    x = torch.randn(2, 9, 4, dtype=torch.float64)
    with torch.no_grad():
        found, state = read(made, x)
        for one in range(2):
            outputs, memory = by_hand(made, x[one], sharpen)
            torch.testing.assert_close(found[one], outputs, rtol=1e-9, atol=1e-9)
            # Slots that were used alike may have changed places.
            by_norm = [rows[rows.norm(dim=-1).argsort()] for rows in (state.memory[one], memory)]
            torch.testing.assert_close(*by_norm, rtol=1e-9, atol=1e-9)


def test_step_by_step_and_all_at_once_are_the_same():
    made = cell()
    x = torch.randn(3, 8, 4, dtype=torch.float64)
    outputs, last = read(made, x)
    state = made.start(3)
    for t in range(8):
        output, state = made(x[:, t], state)
        torch.testing.assert_close(output, outputs[:, t])
    for found, expected in zip(state, last, strict=True):
        torch.testing.assert_close(found, expected)


def gated(gate):
    made = cell()
    with torch.no_grad():
        made.to_heads.weight[HEADS * WIDTH : HEADS * (WIDTH + 1)] = 0
        made.to_heads.bias[HEADS * WIDTH : HEADS * (WIDTH + 1)] = gate
    return made


def test_a_closed_gate_writes_to_the_least_used_slots_alone_and_clears_them_first():
    made = gated(-60.0)
    _, state = read(made, torch.randn(1, 6, 4, dtype=torch.float64))
    least = state.usage.topk(HEADS, largest=False).indices[0].tolist()
    _, after = made(torch.randn(1, 4, dtype=torch.float64), state)
    raw = after.hidden @ made.to_heads.weight.mT + made.to_heads.bias
    keys = raw[0, : HEADS * WIDTH].tanh().view(HEADS, WIDTH)
    torch.testing.assert_close(after.memory[0, least], keys)
    others = [s for s in range(SLOTS) if s not in least]
    assert torch.equal(after.memory[0, others], state.memory[0, others])
    assert (state.memory[0, least] != after.memory[0, least]).any()


def test_an_open_gate_writes_where_was_read():
    made = gated(60.0)
    _, state = read(made, torch.randn(1, 6, 4, dtype=torch.float64))
    _, after = made(torch.randn(1, 4, dtype=torch.float64), state)
    keep = torch.ones(SLOTS, 1, dtype=torch.float64)
    keep[state.usage.topk(HEADS, largest=False).indices[0]] = 0
    raw = after.hidden @ made.to_heads.weight.mT + made.to_heads.bias
    keys = raw[0, : HEADS * WIDTH].tanh().view(HEADS, WIDTH)
    torch.testing.assert_close(after.memory[0], state.memory[0] * keep + state.read_weights[0].mT @ keys)


def test_gradient_against_finite_differences():
    made = cell(sharpen=True)
    x = torch.randn(2, 9, 4, dtype=torch.float64, requires_grad=True)

    def outputs(x, *parameters):
        return torch.func.functional_call(made, dict(zip(names, parameters, strict=True)), (x,), strict=True)

    class Reads(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.cell = made

        def forward(self, x):
            return read(self.cell, x)[0]

    made = Reads()
    names, parameters = zip(*made.named_parameters(), strict=True)
    assert torch.autograd.gradcheck(outputs, (x, *parameters), fast_mode=True)
    assert torch.autograd.gradgradcheck(outputs, (x, *parameters), fast_mode=True)


def test_the_state_that_is_passed_in_is_kept():
    made = cell()
    _, state = read(made, torch.randn(2, 3, 4, dtype=torch.float64))
    copies = [part.clone() for part in state]
    read(made, torch.randn(2, 3, 4, dtype=torch.float64), state)
    assert all(torch.equal(part, copy) for part, copy in zip(state, copies, strict=True))
    assert not state.usage.requires_grad  # what is least used is a constant


def test_no_steps_leave_the_state():
    made = cell()
    outputs, state = read(made, torch.zeros(2, 0, 4, dtype=torch.float64))
    assert outputs.shape == (2, 0, made.output_size)
    assert all(torch.equal(a, b) for a, b in zip(state, made.start(2), strict=True))


@pytest.mark.parametrize("options", [{"slots": 1, "heads": 2}, {"slot_width": 0}, {"decay": 1.5}])
def test_options_out_of_range(options):
    with pytest.raises(qs.UsageError, match="slots >= heads and 0 <= decay <= 1"):
        LRUA(4, **options)
