"""Pictures that learners draw end in the run folder and on the report's page, their captions with them."""

import pytest
import torch
from matplotlib.figure import Figure

import quickstudy as qs
from quickstudy.core.picture import Picture, from_figure, load_pictures, save_pictures
from quickstudy.report import write_report


def figure():
    drawn = Figure(figsize=(2, 1))
    drawn.subplots().plot([0, 1], [1, 0])
    return drawn


def test_a_caption_stays_with_its_picture(tmp_path):
    picture = from_figure(figure(), name="line", caption="It falls from 1 to 0; ε < 1.")
    assert picture == from_figure(figure(), name="line", caption="It falls from 1 to 0; ε < 1.")
    save_pictures(tmp_path, [picture])
    assert load_pictures(tmp_path) == [picture]
    assert load_pictures(tmp_path / "nothing") == []


def test_a_damaged_picture_is_named(tmp_path):
    save_pictures(tmp_path, [Picture("half", "", b"no picture")])
    with pytest.raises(qs.RunError, match=r"half\.png cannot be read as a picture"):
        load_pictures(tmp_path)


def test_the_page_shows_them(tmp_path):
    learner = qs.MAML(qs.nets.MLP(hidden=(4,)), loss="mse")
    run = qs.train(learner, qs.tasks.Sinusoids(), steps=1, meta_batch=2, out=tmp_path / "run")
    assert "drawn</h" not in write_report([run]).read_text()
    save_pictures(tmp_path / "run", [from_figure(figure(), name="line", caption="It falls & falls.")])
    page = write_report([run]).read_text()
    assert "What the learner does, drawn" in page
    assert page.count("It falls &amp; falls.") == 2


class Quadratics:
    """Tasks that are no support and query: where is the minimum of (x - c)^2?"""

    kind, x_shape, outputs = "quadratics", (1,), 1

    def sample(self, tasks, seed):
        return Centres(torch.rand(tasks, generator=torch.Generator().manual_seed(seed)))


class Centres:
    def __init__(self, c):
        self.c = c

    def __len__(self):
        return len(self.c)

    def __getitem__(self, tasks):
        return Centres(self.c[tasks])

    def to(self, device):
        return Centres(self.c.to(device))


class Descent(qs.learners.MetaLearner):
    """Learns the rate of two gradient steps."""

    adapt_steps = 2

    def __init__(self):
        super().__init__()
        self.rate = torch.nn.Parameter(torch.tensor(0.1))

    def adapt(self, support):
        return lambda x: self.path(support, 2)[-1]

    def path(self, batch, steps):
        return [batch.c * (1 - (1 - 2 * self.rate) ** k) for k in range(steps + 1)]

    def meta_loss(self, batch):
        loss = ((self.path(batch, 2)[-1] - batch.c) ** 2).mean()
        return loss, {"loss": loss.detach()}

    def score_name(self, batch):
        return "loss"

    def score_tasks(self, batch, at):
        losses = torch.stack([(x - batch.c) ** 2 for x in self.path(batch, at[-1])])[list(at)]
        return torch.stack([losses, losses])


def test_a_learner_of_other_tasks_scores_them_itself():
    learner = Descent()
    before = qs.evaluate(learner, Quadratics(), n_tasks=30)
    assert (before.metric, [s.step for s in before.by_step]) == ("loss", [0, 1, 2])
    c = torch.cat(
        [
            Quadratics().sample(n, s).c
            for n, s in ((25, qs.seeding.fold(0, "evaluate", 0)), (5, qs.seeding.fold(0, "evaluate", 25)))
        ]
    )
    assert before.by_step[1].mean == pytest.approx(float((0.64 * c**2).mean()))
    assert [s.step for s in qs.evaluate(learner, Quadratics(), n_tasks=4, steps=3).by_step] == [0, 1, 2, 3]
    qs.train(learner, Quadratics(), steps=40, meta_lr=0.02, validation=Quadratics(), validate_every=20)
    assert qs.evaluate(learner, Quadratics(), n_tasks=30).mean < before.mean / 4
