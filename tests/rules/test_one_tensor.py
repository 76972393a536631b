"""A rule's step of one tensor, as a compiler gets it, is the step that ``update`` makes."""

import pytest
import torch

from quickstudy.apply._parameters import rows
from quickstudy.rules import FeatureMLP


@pytest.mark.parametrize("shape", [(7,), (3, 5), (5, 1), (1, 5)])
def test_is_update(shape):
    torch.manual_seed(0)
    rule = FeatureMLP().double()
    with torch.no_grad():
        for weight in rule.parameters():
            weight += 0.1 * torch.randn_like(weight)
    p = torch.randn(shape, dtype=torch.float64)
    params, state = {"p": p[None]}, rule.init({"p": p[None]})
    own = {part: rows(t[0], p) for part, t in state["p"].items()}
    for scale in (1.0, 1e-3, 10.0):
        g = scale * torch.randn(shape, dtype=torch.float64)
        params, state = rule.update(params, {"p": g[None]}, state)
        moved, own = rule.move_one(p, g, own)
        p = p + moved
        torch.testing.assert_close(p, params["p"][0], rtol=1e-10, atol=1e-12)
        for part, expected in state["p"].items():
            torch.testing.assert_close(torch.stack(own[part]).flatten(), expected.flatten(), rtol=1e-10, atol=1e-12)
