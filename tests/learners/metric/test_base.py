"""What the learners that compare embeddings share: labels, class means, BatchNorm over support and queries, the way."""

import pytest
import torch
from torch import nn

import quickstudy as qs
from quickstudy import registry
from quickstudy.apply.few_images import classify_folder
from quickstudy.learners.metric.base import class_means, feature_shape, one_hot

METRIC = {name: registry.load("learners", name) for name in ("protonet", "matching", "relation", "r2d2")}


def conv4():
    torch.manual_seed(0)
    return qs.nets.Conv4(filters=3, size=16, out_features=None)


def test_class_means_of_uneven_classes(uneven):
    support, _ = uneven(4)
    means = class_means(support.x, one_hot(support.y, support.x))
    for t in range(2):
        for k in range(3):
            torch.testing.assert_close(means[t, k], support.x[t][support.y[t] == k].mean(0))
    maps = support.x.view(2, 6, 1, 2, 2)
    torch.testing.assert_close(class_means(maps, one_hot(support.y, maps)).flatten(2), means)


@pytest.mark.parametrize(
    ("y", "text"),
    [
        ([[0, 2, 0]], "a class is missing"),
        ([[0, 1, -1]], "padding .* would change what a task gives"),
        ([[0, 1, -2]], "run from -2 to 1"),
        ([[0, 1, 2], [0, 1, 1]], "a class is missing"),
        ([[0.0, 1.0, 2.0]], "must be integers"),
    ],
)
def test_labels_that_are_no_classes(y, text):
    with pytest.raises(qs.UsageError, match=text):
        one_hot(torch.tensor(y), torch.zeros(1))


@pytest.mark.parametrize("learner", METRIC.values())
def test_the_order_of_queries_and_a_tasks_uneven_shots(learner, as_it_is, uneven):
    """Predictions go with their queries; a class may have any number of examples."""
    torch.manual_seed(0)
    own = learner(as_it_is(4)).double()
    support, q = uneven(4)
    order = torch.tensor([3, 1, 4, 0, 2])
    solver = own.adapt(support)
    found = solver(q)
    assert found.shape == (2, 5, 3)
    torch.testing.assert_close(solver(q[:, order]), found[:, order])


@pytest.mark.parametrize("learner", METRIC.values())
def test_renaming_the_classes_renames_the_predictions(learner, as_it_is, uneven):
    torch.manual_seed(0)
    own = learner(as_it_is(4)).double()
    support, q = uneven(4)
    new = torch.tensor([1, 2, 0])
    renamed = own.adapt(qs.Examples(support.x, new[support.y]))(q)
    torch.testing.assert_close(renamed[..., new], own.adapt(support)(q))


@pytest.mark.parametrize("learner", METRIC.values())
def test_the_order_of_the_support_set_does_not_matter(learner, as_it_is, uneven):
    torch.manual_seed(0)
    own = learner(as_it_is(4)).double()
    support, q = uneven(4)
    order = torch.tensor([5, 3, 1, 0, 4, 2])
    torch.testing.assert_close(
        own.adapt(qs.Examples(support.x[:, order], support.y[:, order]))(q), own.adapt(support)(q)
    )


def test_transductive_normalises_support_and_queries_together():
    """As one forward of the network over both in training mode does."""
    net = conv4().double()
    batch = qs.tasks.Glyphs(way=3, query=2, size=16).sample(2, 0)
    x, q = batch.support.x.double(), batch.query.x.double()
    found = qs.ProtoNet(net).adapt(qs.Examples(x, batch.support.y))(q)
    for t in range(2):
        z = net.train()(torch.cat([x[t], q[t]])).detach()  # what torch does of itself
        torch.testing.assert_close(found[t].detach(), -(torch.cdist(z[3:], z[:3]) ** 2))


def test_support_mode_normalises_queries_by_the_support_set(uneven):
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3, momentum=1.0), nn.ReLU()).double()
    support, q = uneven(4)
    found = qs.ProtoNet(net, bn="support").adapt(support)(q).detach()
    for t in range(2):
        z = net.train()(support.x[t]).detach()  # momentum 1: the running statistics become those of this batch ...
        net[1].running_var.mul_(5 / 6)  # ... whose variance torch keeps without bias
        prototypes = torch.stack([z[support.y[t] == k].mean(0) for k in range(3)])
        torch.testing.assert_close(found[t], -(torch.cdist(net.eval()(q[t]).detach(), prototypes) ** 2))


@pytest.mark.parametrize("bn", ["transductive", "support"])
def test_a_solver_knows_its_tasks(bn):
    batch = qs.tasks.Glyphs(way=3, query=2, size=16).sample(2, 0)
    solver = qs.ProtoNet(conv4(), bn=bn).adapt(batch.support)
    with pytest.raises(qs.UsageError, match=r"adapted to 2 tasks: x must be \[2, n, \.\.\.\]"):
        solver(batch.query.x[:1])


def test_labels_of_a_regression_are_refused():
    with pytest.raises(qs.UsageError, match="must be integers"):
        qs.ProtoNet(qs.nets.MLP(out_features=None)).meta_loss(qs.tasks.Sinusoids().sample(2, 0))


def test_a_network_that_does_not_say_its_features():
    with pytest.raises(qs.UsageError, match=r"Linear does not say .* feature_shape"):
        feature_shape(nn.Linear(2, 2))


@pytest.mark.parametrize("name", METRIC)
def test_a_persons_images_of_more_classes_than_in_training(name, tmp_path):
    from PIL import Image

    tasks = qs.tasks.Glyphs(way=2, size=16)
    batch = qs.tasks.Glyphs(way=4, shot=2, query=2, size=16).sample(1, 0)
    for part, examples in (("support", batch.support), ("query", batch.query)):
        for i, (x, y) in enumerate(zip(examples.x[0], examples.y[0].tolist(), strict=True)):
            if part == "support" and (y, i % 2) == (3, 0):
                continue  # the last class has one image, the others two
            folder = tmp_path / part / (f"class{y}" if part == "support" else "")
            folder.mkdir(parents=True, exist_ok=True)
            Image.fromarray(((1 - x[0]) * 255).byte().numpy()).save(folder / f"{i}.png")
    found = classify_folder(METRIC[name](conv4()), tasks, tmp_path / "support", tmp_path / "query")
    assert len(found) == 8
    for prediction in found:
        assert list(prediction.probabilities) == ["class0", "class1", "class2", "class3"]
        assert sum(prediction.probabilities.values()) == pytest.approx(1, abs=1e-5)
