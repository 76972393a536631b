"""Networks made of cells: a genotype is what it says, and the relaxed net contains every discrete one."""

import pytest
import torch
import torch.nn.functional as F

import quickstudy as qs
from quickstudy.nets import OPERATIONS, CellNet, Conv4, Genotype, RelaxedCellNet, fit_width
from quickstudy.nets.backbones.genotype import Edge
from quickstudy.testing import check_learner

CELL = "conv3@0,max3@0+sep5@1,avg3@0+skip@1+sep3@2"


def count(net):
    return sum(p.numel() for p in net.parameters())


@pytest.mark.parametrize("text", ["skip@0", "conv3@0,skip@0+sep5@1", CELL])
def test_text_there_and_back(text):
    assert str(Genotype.parse(text)) == text
    assert Genotype.parse(text.replace("+", " + ")) == Genotype.parse(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"reads like conv3@0,skip@0\+sep5@1"),
        ("conv3", "got 'conv3' in 'conv3'"),
        ("conv3@0,,", "got ''"),
        ("conv7@0", "an edge is one of skip, conv3, sep3, sep5, max3, avg3, got 'conv7'"),
        ("none@0", "leave out edges that are none"),
        ("conv3@1", r"node 1 .* \(0 to 0\), in their order, got \[1\]"),
        ("conv3@0,skip@0+sep3@0", r"node 2 .* different nodes .*, got \[0, 0\]"),
    ],
)
def test_what_is_no_cell_says_why(text, message):
    with pytest.raises(qs.UsageError, match=message):
        Genotype.parse(text)


def test_random_cells_follow_the_seed_and_reach_everything():
    cells = [Genotype.random(nodes=2, keep=2, seed=seed) for seed in range(300)]
    assert cells == [Genotype.random(nodes=2, keep=2, seed=seed) for seed in range(300)]
    edges = {(node, edge) for cell in cells for node, edges in enumerate(cell.nodes) for edge in edges}
    assert edges == {(node, Edge(o, i)) for node in (0, 1) for i in range(node + 1) for o in OPERATIONS[1:]}
    assert {len(cell.nodes[1]) for cell in cells} == {1, 2}
    assert {len(edges) for s in range(50) for edges in Genotype.random(nodes=4, keep=1, seed=s).nodes} == {1}


def test_the_strongest_are_kept():
    """Rows: input to h1, input to h2, h1 to h2, input to h3, h1 to h3, h2 to h3."""
    order = ("none", "skip", "conv3")
    weights = torch.tensor(
        [
            [0.9, 0.0, 0.1],  # the only edge: kept although none weighs more
            [0.1, 0.7, 0.2],
            [0.5, 0.1, 0.4],  # none weighs more: the node keeps its other edge alone
            [0.0, 0.6, 0.4],
            [0.0, 0.5, 0.5 - 1e-4],  # weakest of three
            [0.0, 0.1, 0.9],
        ]
    )
    assert str(Genotype.strongest(weights, keep=2, operations=order)) == "conv3@0,skip@0,skip@0+conv3@2"
    assert str(Genotype.strongest(weights, keep=1, operations=order)) == "conv3@0,skip@0,conv3@2"
    assert str(Genotype.strongest(weights, keep=3, operations=order)) == "conv3@0,skip@0,skip@0+skip@1+conv3@2"


def test_a_cell_computes_what_it_says():
    """Independent of the modules: by parameter names and the functional interface."""
    torch.manual_seed(0)
    net = CellNet(filters=4, size=16, cells=2, genotype=CELL, out_features=3).double()
    for p in net.parameters():
        torch.nn.init.normal_(p)
    x = torch.randn(5, 1, 16, 16, dtype=torch.float64)
    p = dict(net.named_parameters())

    def norm(y, at):
        y = F.batch_norm(y, None, None, p[f"{at}.norm.weight"], p[f"{at}.norm.bias"], training=True)
        return F.relu(y)

    def convolve(x, at):
        return norm(F.conv2d(x, p[f"{at}.conv.weight"], p[f"{at}.conv.bias"], padding=1), at)

    def separable(x, at, pad):
        each = F.conv2d(x, p[f"{at}.each.weight"], padding=pad, groups=4)
        return norm(F.conv2d(each, p[f"{at}.mix.weight"]), at)

    h0 = F.max_pool2d(convolve(x, "body.stem"), 2)
    for cell in range(2):
        at = f"body.cells.{cell}.edges"
        h1 = convolve(h0, f"{at}.0_1_conv3")
        h2 = F.max_pool2d(h0, 3, 1, 1) + separable(h1, f"{at}.1_2_sep5", 2)
        smooth = F.avg_pool2d(h0, 3, 1, 1, count_include_pad=False)
        h3 = smooth + h1 + separable(h2, f"{at}.2_3_sep3", 1)
        h0 = F.max_pool2d((h1 + h2 + h3) / 3, 2)
    assert h0.shape == (5, 4, 2, 2)
    torch.testing.assert_close(net(x), F.linear(h0.flatten(1), p["head.weight"], p["head.bias"]))


def test_one_convolution_is_a_block_of_conv4():
    torch.manual_seed(0)
    x = torch.randn(4, 1, 16, 16)
    for genotype in ("conv3@0", "conv3@0,skip@1"):
        cell, conv4 = CellNet(filters=3, size=16, genotype=genotype), Conv4(filters=3, size=16)
        conv4.load_state_dict(dict(zip(conv4.state_dict(), cell.state_dict().values(), strict=True)))
        torch.testing.assert_close(cell(x), conv4(x))


@pytest.mark.parametrize("cell", ["skip@0,conv3@0+sep3@1", "max3@0,sep5@1", "avg3@0,conv3@0+conv3@1"])
def test_relaxed_with_weights_of_0_and_1_is_the_discrete_net(cell):
    torch.manual_seed(0)
    genotype = Genotype.parse(cell)
    relaxed = RelaxedCellNet(filters=3, size=16, nodes=2, cells=2).double()
    x = torch.randn(4, 1, 16, 16, dtype=torch.float64)
    mixed = relaxed(x)
    relaxed.theta.data = genotype.logits().double()
    discrete = relaxed.keep_only(genotype)
    assert discrete.genotype == cell
    assert torch.equal(relaxed(x), discrete(x))
    assert not torch.allclose(relaxed(x), mixed)


def test_relaxed_mixes_by_the_softmax():
    """One edge of two operations without weights: the mixture is linear in them."""
    torch.manual_seed(0)
    net = RelaxedCellNet(filters=3, size=4, cells=1, nodes=1, operations=("none", "skip", "avg3")).double()
    net.theta.data = torch.tensor([[0.5, -1.0, 2.0]]).double()
    h = net.body.stem(torch.randn(6, 1, 4, 4, dtype=torch.float64))
    _, skip, average = torch.tensor([0.5, -1.0, 2.0]).double().exp() / torch.tensor([0.5, -1.0, 2.0]).exp().sum()
    expected = skip * h + average * F.avg_pool2d(h, 3, 1, 1, count_include_pad=False)
    torch.testing.assert_close(net.body.cells[0](h, net.theta.softmax(-1)), expected, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("cell", ["conv3@0", "sep3@0,skip@0+sep5@1", "skip@0,max3@0+conv3@1"])
def test_parameters_counted_by_hand(cell):
    c = 8
    per = {"conv3": 9 * c * c + c + 2 * c, "sep3": 9 * c + c * c + 2 * c, "sep5": 25 * c + c * c + 2 * c}
    operations = [edge.operation for edges in Genotype.parse(cell).nodes for edge in edges]
    expected = 9 * c + 3 * c + 3 * sum(per.get(o, 0) for o in operations) + 5 * c + 5
    assert count(CellNet(filters=c, genotype=cell)) == expected


@pytest.mark.parametrize("target", [5_000, 20_000, 60_000])
def test_widths_of_the_same_number_of_parameters(target):
    for cell in ("conv3@0", "sep3@0", "sep5@0,skip@0+sep3@1"):
        width = fit_width(lambda filters, cell=cell: CellNet(filters=filters, genotype=cell), target)
        found, *around = (count(CellNet(filters=width + d, genotype=cell)) for d in (0, -1, 1))
        assert abs(found - target) <= min(abs(other - target) for other in around)
        assert abs(found - target) < 0.05 * target
    assert fit_width(lambda filters: Conv4(filters=filters), count(Conv4(filters=21))) == 21


@pytest.mark.parametrize("execution", ["loop", "vmap", "threads"])
def test_any_learner_trains_it(execution):
    torch.manual_seed(0)
    net = CellNet(filters=3, size=16, cells=2, genotype="sep3@0,max3@0+conv3@1", out_features=3)
    learner = qs.MAML(net, inner_lr=0.1, bn="support", execution=execution)
    check_learner(learner, qs.tasks.Glyphs(way=3, query=2, size=16))


def test_features():
    x = torch.rand(2, 3, 20, 20)
    net = CellNet(in_channels=3, size=20, filters=4, cells=2, out_features=None)
    assert net(x).shape == (2, 16)
    assert net.feature_shape == (4, 2, 2)
    assert CellNet(in_channels=3, size=20, filters=4, cells=2, out_features=None, features="maps")(x).shape[1:] == (
        net.feature_shape
    )


def test_errors():
    with pytest.raises(qs.UsageError, match=r"nothing is left of images of size 15 .* 16 or more"):
        CellNet(size=15)
    with pytest.raises(qs.UsageError, match=r"takes images \[n, 1, 28, 28\], got \[2, 1, 16, 16\]"):
        CellNet()(torch.rand(2, 1, 16, 16))
    with pytest.raises(qs.UsageError, match="out_features >= 1, got 'flat' and 0"):
        CellNet(out_features=0)
    with pytest.raises(qs.UsageError, match="filters and cells must be >= 1"):
        CellNet(filters=0)
    with pytest.raises(qs.UsageError, match="different operations of none, skip"):
        RelaxedCellNet(operations=("skip", "conv7"))
    with pytest.raises(qs.UsageError, match="other than none"):
        RelaxedCellNet(operations=("none",))
    with pytest.raises(qs.UsageError, match="needs the operation 'sep3'; there are none, skip"):
        Genotype.parse("sep3@0").logits(("none", "skip"))
