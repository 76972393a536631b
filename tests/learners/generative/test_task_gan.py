"""TaskGAN: what the critic is shown, whose gradient goes where, the moving average, and when training is over."""

import math
from itertools import product

import pytest
import torch
import torch.nn.functional as F

import quickstudy as qs
from quickstudy.learners.generative._average import MovingAverage
from quickstudy.learners.generative._drawn_sets import GRID, by_class, energy_distance, varieties
from quickstudy.learners.generative._set_scores import set_scores, slope_penalty
from quickstudy.report.pictures import draw
from quickstudy.tasks import Examples, TaskBatch
from quickstudy.testing import double

TASKS = qs.tasks.Glyphs(way=3, shot=1, query=3, size=8)


def gan(**options):
    """Small, in evaluation mode: no maps, the same codes every time."""
    torch.manual_seed(0)
    small = {"class_code": 5, "drawing_code": 3, "width": 4, "critic_width": 3, "x_shape": (1, 8, 8), "drawings": 2}
    return qs.TaskGAN(**{**small, **options}).eval()


def opinion(learner, x):
    """D of one set ``[k, 1, 8, 8]``, layer by layer."""
    e = torch.stack([embed(learner, one) for one in x])
    return head(learner.critic.of_set, e)


def embed(learner, x):
    h = x[None]
    for down in learner.critic.downs:
        h = F.conv2d(h, down.weight, down.bias, stride=2, padding=1)
        h = torch.where(h > 0, h, 0.2 * h)
    return learner.critic.embedding.weight @ h.flatten() + learner.critic.embedding.bias


def head(one, e):
    mean = e.sum(0) / len(e)
    scatter = (((e - mean) ** 2).sum(0) / (len(e) - 1) + 1e-6).sqrt()
    h = one.of_mean.weight @ mean + one.of_mean.bias + one.of_scatter.weight @ scatter
    return one.last.weight[0] @ torch.where(h > 0, h, 0.2 * h) + one.last.bias[0]


def losses_by_hand(learner, batch):
    """The critic's loss and the generator's, set by set."""
    real, mixed, made, tasks = [], [], [], []
    for t in range(2):
        x, y = (torch.cat([getattr(batch.support, a)[t], getattr(batch.query, a)[t]]) for a in "xy")
        of_class = [[x[n] for n in range(len(x)) if y[n] == c] for c in range(3)]
        task = learner._made(learner.sets(batch))[t]  # [c, s, k, ...]
        for c, s in product(range(3), range(2)):
            own = of_class[c][2 * s : 2 * s + 2]
            real.append(opinion(learner, torch.stack(own)))
            mixed.append(opinion(learner, torch.stack([own[0], of_class[c - 1][2 * s + 1]])))
            made.append(opinion(learner, task[c, s]))
        for s in range(2):
            pages = [
                [torch.stack([embed(learner, one) for one in of_class[c][2 * s : 2 * s + 2]]) for c in range(3)],
                [torch.stack([embed(learner, one) for one in task[c, s]]) for c in range(3)],
            ]
            tasks.append([head(learner.critic.of_task, torch.stack([e.mean(0) for e in page])) for page in pages])

    def mean(values):
        return sum(values) / len(values)

    critic = mean([(1 - d).clamp(min=0) for d in real])
    wrong = mean([(1 + d).clamp(min=0) for d in made]) + learner.mixed * mean([(1 + d).clamp(min=0) for d in mixed])
    critic = critic + wrong / (1 + learner.mixed)
    critic = critic + mean([(1 - r).clamp(min=0) + (1 + m).clamp(min=0) for r, m in tasks])
    return critic, -mean(made) - mean([m for _, m in tasks])


@pytest.mark.parametrize("generator_type", ["strokes", "pixels"])
def test_each_part_gets_its_own_gradient(generator_type):
    """Against derivatives of the losses put together by hand, in float64; the penalty is left out."""
    learner, batch = gan(generator_type=generator_type, r1=0.0, mixed=0.7).double(), double(TASKS.sample(2, 0))
    found = learner.meta_gradient(batch)
    of_critic, of_generator = losses_by_hand(learner, batch)
    torch.testing.assert_close(found.metrics["loss"], of_critic.detach())
    named = list(learner.named_parameters())
    params = [p for _, p in named]
    kept = {"retain_graph": True, "materialize_grads": True, "allow_unused": True}
    by_critic, by_generator = (torch.autograd.grad(loss, params, **kept) for loss in (of_critic, of_generator))
    for (name, _), g, c, own in zip(named, found.gradients, by_critic, by_generator, strict=True):
        expected, other = (c, own) if name.startswith("critic.") else (own, c)
        torch.testing.assert_close(g, expected, rtol=1e-7, atol=1e-10)
        assert name.startswith("critic.of_") or not torch.allclose(g, other, atol=1e-12), name


def test_the_penalty_is_the_squared_slope():
    """Against central differences by every pixel; it has a derivative by the critic's weights alone."""
    learner, batch = gan().double(), double(TASKS.sample(2, 0))
    sets = learner.sets(batch)
    found = slope_penalty(learner.critic, sets)
    slopes = []
    for t, s in product(range(2), range(2)):  # of the first class of three
        x = sets[t, 0, s]
        for place in range(x.numel()):
            step = torch.zeros(x.numel(), dtype=x.dtype)
            step[place] = 1e-5
            up, down = (opinion(learner, x + sign * step.view(x.shape)) for sign in (1, -1))
            slopes.append(float((up - down).detach() / 2e-5) ** 2)
    assert found.item() == pytest.approx(sum(slopes) / 4, rel=1e-5)
    with_it, without = gan(r1=3.0).double().meta_gradient(batch), gan(r1=0.0).double().meta_gradient(batch)
    for (name, p), a, b in zip(learner.named_parameters(), with_it.gradients, without.gradients, strict=True):
        extra = torch.autograd.grad(found, p, retain_graph=True, allow_unused=True)[0]
        torch.testing.assert_close(a - b, torch.zeros_like(p) if extra is None else 1.5 * extra)
        assert (extra is not None and extra.any()) or not name.startswith(("critic.downs.0.w", "critic.of_set.last.w"))


def test_the_average_by_hand():
    learner = gan(ema=0.3).train()
    name = "of_plan.weight"
    average = learner.generator.get_parameter(name).detach().clone()
    optimizer = torch.optim.SGD(learner.parameters(), 0.1)
    for n in range(6):
        before = learner.generator.get_parameter(name).detach().clone()
        optimizer.zero_grad()
        learner.meta_backward(TASKS.sample(2, n))
        optimizer.step()
        d = min(0.3, (1 + n) / (10 + n))
        average = d * average + (1 - d) * before
        torch.testing.assert_close(learner.average.get_buffer(f"p{learner.average.names.index(name)}"), average)
    assert d == 0.3 < 6 / 15
    u, z = torch.randn(2, 5), torch.randn(2, 4, 3)
    assert not torch.allclose(learner.images(u, z), learner.generator(u, z))
    learner.generator.load_state_dict(
        {n: learner.average.get_buffer(f"p{i}") for i, n in enumerate(learner.average.names)}
    )
    torch.testing.assert_close(learner.images(u, z), learner.generator(u, z))
    late = MovingAverage(learner.generator, 0.6)
    late.steps.fill_(1e6)
    p = learner.generator.blackness
    torch.testing.assert_close(late.after(learner.generator)["p0"], 0.6 * late.get_buffer("p0") + 0.4 * p.detach())


def test_classes_are_found_by_their_labels():
    x = torch.arange(6.0).view(1, 6, 1)
    sets = by_class(Examples(x, torch.tensor([[2, 0, 2, 1, 0, 1]])))
    assert sets[0, :, :, 0].tolist() == [[1, 4], [3, 5], [0, 2]]
    with pytest.raises(qs.UsageError, match="the same number of examples"):
        by_class(Examples(x, torch.tensor([[0, 0, 0, 0, 1, 1]])))
    with pytest.raises(qs.UsageError, match="two classes with two drawings"):
        gan().meta_loss(qs.tasks.Glyphs(way=1, size=8).sample(1, 0))


def test_energy_distance_pair_by_pair():
    torch.manual_seed(0)
    real, made = torch.rand(2, 3, 2, 1, 14, 14).double(), torch.rand(2, 4, 2, 1, 14, 14).double()
    found = energy_distance(real, made)

    def grey(one):  # [k, 1, 14, 14] to means of 2 x 2 pixels
        return torch.stack([one[..., i::2, j::2] for i, j in product(range(2), range(2))]).mean(0).flatten()

    def far(a, b):
        return ((grey(a) - grey(b)) ** 2).mean().sqrt()

    assert grey(real[0, 0]).numel() == 2 * GRID**2
    for t in range(2):
        across = sum(far(a, b) for a in real[t] for b in made[t]) / 12
        among = [
            sum(far(s[i], s[j]) for i in range(len(s)) for j in range(len(s)) if i != j) / (len(s) * (len(s) - 1))
            for s in (real[t], made[t])
        ]
        torch.testing.assert_close(found[t], 2 * across - sum(among))


def test_varieties_of_what_does_not_vary():
    classes = torch.rand(1, 3, 1, 1, 1, 8, 8).expand(-1, -1, -1, 4, -1, -1, -1)
    assert varieties(classes)[1] < 1e-6 < varieties(classes)[0]
    drawings = torch.rand(1, 1, 1, 4, 1, 8, 8).expand(-1, 3, -1, -1, -1, -1, -1)
    assert varieties(drawings)[0] < 1e-6 < varieties(drawings)[1]


def test_it_tells_sets_of_several_classes_after_a_short_training():
    torch.manual_seed(0)
    tasks = qs.tasks.Glyphs(way=5, shot=1, query=3, size=12, rotate=False)
    learner = qs.TaskGAN(x_shape=(1, 12, 12), critic_width=12, augment=0.0, mixed=8.0)
    held_out = qs.tasks.Glyphs(split="test", way=5, shot=1, query=3, size=12)
    before, after = [], []
    for found in (before, after):
        with torch.no_grad():
            sets = learner.sets(held_out.sample(40, 0))
            of = set_scores(learner.critic, sets, sets)
            found.append((of.real > of.mixed).float().mean())
        if found is before:
            qs.train(learner, tasks, steps=40, meta_batch=4, meta_lr=3e-3, optimizer="adam0")
    assert before[0] < 0.7 < 0.8 < after[0]
    assert qs.evaluate(learner, held_out, n_tasks=20).loss < math.log(5)  # of the critic, as a classifier


def test_the_score_is_small_where_drawings_are_alike():
    """Of a generator that has learned nothing it is larger than of one whose drawings are the tasks' own."""
    learner, batch = gan(x_shape=(1, 16, 16)), qs.tasks.Glyphs(way=5, shot=1, query=3, size=16).sample(25, 0)
    with torch.no_grad():
        scores, losses = learner.score_tasks(batch, (0,))[:, 0]
    real = learner.sets(batch)[:, :, 0]
    other = learner.sets(qs.tasks.Glyphs(split="test", way=5, shot=1, query=3, size=16).sample(25, 1))[:, :, 0]
    assert scores.shape == losses.shape == (25,)
    assert abs(float(energy_distance(real, other).mean())) < 0.3 * float(scores.mean())


def test_it_says_when_it_has_collapsed(tmp_path):
    learner = gan(fail_after=3)
    with torch.no_grad():
        for p in learner.generator.of_shake.parameters():
            p.zero_().requires_grad_(False)
    for p in learner.generator.of_shake.parameters():  # all drawings of a class are the same, and stay so
        p.requires_grad_(True).register_hook(torch.zeros_like)
    with pytest.raises(qs.DivergedError, match=r"TaskGAN has collapsed: for 3 steps"):
        qs.train(learner, TASKS, steps=9, meta_batch=2, checkpoint_every=1, out=tmp_path / "r")
    assert qs.Run.open(tmp_path / "r").steps()[-1] == 3
    assert qs.Run.open(tmp_path / "r").learner().images(torch.randn(1, 5), torch.randn(1, 2, 3)).isfinite().all()


def test_it_says_when_the_critic_is_never_wrong():
    learner = gan(fail_after=2).train()
    learner.health.beaten.fill_(2)
    with pytest.raises(qs.DivergedError, match="known every generated set from every real one"):
        learner.meta_gradient(TASKS.sample(1, 0))


def test_resumed_is_bit_identical(tmp_path):
    options = {"steps": 6, "meta_batch": 2, "optimizer": "adam0", "checkpoint_every": 3, "log_every": 2}

    def stop(now):
        if now.step == 4:
            raise RuntimeError("killed")

    straight = gan()
    qs.train(straight, TASKS, out=tmp_path / "a", **options)
    with pytest.raises(RuntimeError, match="killed"):
        qs.train(gan(), TASKS, out=tmp_path / "b", progress=stop, **options)
    other = gan(class_code=5)
    qs.train(other, TASKS, out=tmp_path / "b", resume=True, **options)
    for (name, a), b in zip(straight.state_dict().items(), other.state_dict().values(), strict=True):
        assert torch.equal(a, b), name


def test_codes_and_maps_are_new_in_training_only():
    learner, batch = gan(), TASKS.sample(2, 0)
    sets = learner.sets(batch)
    assert torch.equal(learner._made(sets), learner._made(sets))
    assert torch.equal(learner._seen(sets, "real"), sets)
    learner.train()
    assert not torch.equal(learner._made(sets), learner._made(sets))
    same = sets[:, :1, :1, :1].expand_as(sets)
    seen = learner._seen(same, "real")
    torch.testing.assert_close(seen, seen[:, :1, :1, :1].expand_as(seen))  # one map for all of a task
    assert not torch.allclose(seen, same)


def test_pictures():
    sheet, walk = draw(gan(), TASKS.sample(2, 0))
    assert (sheet.name, walk.name) == ("classes", "between-classes")


def test_what_cannot_work_is_refused():
    with pytest.raises(qs.UsageError, match="drawings >= 2"):
        gan(drawings=1)
    with pytest.raises(qs.UsageError, match="ema must be in"):
        gan(ema=1.0)
    with pytest.raises(qs.UsageError, match="square images"):
        gan(x_shape=(4,))
    with pytest.raises(qs.UsageError, match="use generator_type='pixels'"):
        gan(x_shape=(3, 8, 8))
    assert gan(x_shape=(3, 8, 8), generator_type="pixels").images(torch.randn(2, 5), torch.randn(2, 4, 3)).shape[
        2:
    ] == (3, 8, 8)
    x = torch.zeros(1, 4, 1, 8, 8)
    uneven = Examples(x, torch.tensor([[0, 1, 1, 1]]))
    with pytest.raises(qs.UsageError, match="the same number"):
        gan().meta_loss(TaskBatch(uneven, uneven))
