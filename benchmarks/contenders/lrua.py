"""Least recently used access as public implementations write it: head by head, step by step, all by autograd."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

import quickstudy as qs

SMALL = 1e-6


class PlainLRUA(nn.Module):
    """The memory of MANN with an LSTM; the equations are those of ``quickstudy.nets.memory.lrua``."""

    def __init__(self, in_features: int, hidden: int, slots: int, width: int, heads: int, decay: float) -> None:
        super().__init__()
        self.hidden, self.slots, self.width, self.heads, self.decay = hidden, slots, width, heads, decay
        self.controller = nn.LSTMCell(in_features + heads * width, hidden)
        self.keys = nn.ModuleList(nn.Linear(hidden, width) for _ in range(heads))
        self.gates = nn.ModuleList(nn.Linear(hidden, 1) for _ in range(heads))

    def forward(self, x: Tensor) -> Tensor:
        n = len(x)
        memory, usage = x.new_zeros(n, self.slots, self.width), x.new_zeros(n, self.slots)
        w_read, reads = [x.new_zeros(n, self.slots)] * self.heads, [x.new_zeros(n, self.width)] * self.heads
        h = c = x.new_zeros(n, self.hidden)
        outputs: list[Tensor] = []
        for step in x.unbind(1):
            h, c = self.controller(torch.cat([step, *reads], 1), (h, c))
            least = usage.topk(self.heads, largest=False).indices
            memory = memory * (1 - F.one_hot(least, self.slots).sum(1)).unsqueeze(2)
            keys = [torch.tanh(key(h)) for key in self.keys]
            w_write = []
            for i, gate in enumerate(self.gates):
                sigma = torch.sigmoid(gate(h))
                w_write.append(sigma * w_read[i] + (1 - sigma) * F.one_hot(least[:, i], self.slots))
                memory = memory + w_write[i].unsqueeze(2) * keys[i].unsqueeze(1)
            w_read, reads = [], []
            for key in keys:
                lengths = ((key**2).sum(1, keepdim=True) + SMALL).sqrt() * ((memory**2).sum(2) + SMALL).sqrt()
                w_read.append(F.softmax((key.unsqueeze(1) * memory).sum(2) / lengths, 1))
                reads.append(torch.bmm(w_read[-1].unsqueeze(1), memory).squeeze(1))
            usage = (self.decay * usage + sum(w_read) + sum(w_write)).detach()
            outputs.append(torch.cat([h, *reads], 1))
        return torch.stack(outputs, 1)

    def take(self, ours: qs.nets.LRUA, *, gradients: bool = False) -> dict[str, Tensor]:
        """The weights of ours (or their gradients), by the names they have here."""
        value = (lambda p: p.grad) if gradients else (lambda p: p.detach())
        c, r = self.hidden, self.heads * self.width

        def gates(w: Tensor) -> Tensor:  # torch's order: in, forget, new, out
            return torch.cat([w[: 2 * c], w[3 * c :], w[2 * c : 3 * c]])

        before = gates(value(ours.from_before.weight))
        found = {
            "controller.weight_ih": torch.cat([gates(value(ours.from_input.weight)), before[:, :r]], 1),
            "controller.weight_hh": before[:, r:],
            "controller.bias_ih": gates(value(ours.from_input.bias)),
            "controller.bias_hh": gates(value(ours.from_input.bias)) * float(gradients),
        }
        for i in range(self.heads):
            for name, rows in (
                ("keys", slice(i * self.width, (i + 1) * self.width)),
                ("gates", slice(r + i, r + i + 1)),
            ):
                found[f"{name}.{i}.weight"] = value(ours.to_heads.weight)[rows]
                found[f"{name}.{i}.bias"] = value(ours.to_heads.bias)[rows]
        return found
