"""The ways to compute one meta-gradient that ``peers.py`` compares: quickstudy, its peers, and code written by hand.

A contender gets a workload, its net and a batch, and gives ``step()``: one meta-gradient, or the accuracies of tasks.
"""

import inspect

import quickstudy as qs
from contenders.maml import by_higher, by_torchopt_loop, by_torchopt_vmap, plain_loop, plain_vmap
from contenders.ours import quickstudy, quickstudy_test
from contenders.parallel_metalearn import parallel_metalearn
from contenders.parts import ADAM, APART, PLAIN, TRAP, Contender, Step
from contenders.prototypical import plain_prototypical
from contenders.reptile import plain_reptile, reptile_by_higher, reptile_by_torchopt, reptile_by_torchopt_vmap
from contenders.testing import test_by_higher, test_by_plain_loop, test_by_vmap
from workloads import Workload

SHARES = 1e-6  # of answers that are right: float32

__all__ = ["PLAIN", "Contender", "Step", "contenders"]


def contenders(work: Workload) -> list[Contender]:
    """Who takes part."""
    tolerance = ADAM if work.family == "reptile" else 1e-9
    if work.test:
        return [
            Contender("quickstudy", quickstudy_test(), tolerance=SHARES),
            Contender("quickstudy, plain modules", quickstudy_test(own_net=False), tolerance=SHARES),
            Contender(PLAIN, test_by_plain_loop),
            Contender("plain vmap", test_by_vmap(written_out=True)),
            Contender("plain vmap, F.batch_norm", test_by_vmap(written_out=False)),
            Contender("higher", test_by_higher),
        ]
    ours = [Contender("quickstudy", quickstudy(), tolerance=tolerance)]
    if work.net_kind == "conv":
        ours.append(Contender("quickstudy, plain modules", quickstudy(own_net=False), tolerance=tolerance))
    if "compile" in inspect.signature(qs.MetaLearner.meta_backward).parameters:
        ours.append(Contender("quickstudy, compile=True", quickstudy(compile=True), tolerance=tolerance))
    if work.family == "prototypical":
        others = [
            Contender(PLAIN, plain_prototypical(together=True)),
            Contender(APART, plain_prototypical(together=False), "normalises support and query apart", like=APART),
        ]
    elif work.family == "reptile":
        others = [
            Contender(PLAIN, plain_reptile(fused=False), tolerance=ADAM),
            Contender("plain loop, fused Adam", plain_reptile(fused=True), tolerance=ADAM),
            Contender("higher", reptile_by_higher, "its Adam adds eps before the bias correction", tolerance=1e-2),
            Contender("torchopt.Adam, loop", reptile_by_torchopt, tolerance=ADAM),
            Contender("torchopt.adam, vmap", reptile_by_torchopt_vmap, tolerance=ADAM),
        ]
    else:
        others = [
            Contender(PLAIN, plain_loop),
            Contender("plain vmap", plain_vmap(grad_inside=False, written_out=True)),
            Contender("plain vmap(grad)", plain_vmap(grad_inside=True, written_out=False)),
            Contender("higher", by_higher),
            Contender("torchopt.sgd, vmap", by_torchopt_vmap(written_out=True)),
        ]
        if work.order == 2:  # MetaSGD keeps the graph of its gradients: it has no first order
            others.append(Contender("torchopt.MetaSGD", by_torchopt_loop))
        if work.net_kind == "conv":
            others += [
                Contender("plain vmap, F.batch_norm", plain_vmap(grad_inside=False, written_out=False), TRAP, True),
                Contender("torchopt.sgd, vmap, F.batch_norm", by_torchopt_vmap(written_out=False), TRAP, True),
            ]
    return [*ours, *others, *parallel_metalearn(work, tolerance)]
