"""Every learner that has pictures has them, by its type; each is an SVG that can be read in the page and alone."""

import re
import subprocess
import sys
from xml.etree import ElementTree

import pytest
import torch
from torch import nn

import quickstudy as qs
from quickstudy import registry
from quickstudy.core.picture import Picture
from quickstudy.report.pictures import draw, is_drawn
from quickstudy.report.svg import LETTERS

T = qs.tasks
GLYPHS = T.Glyphs(way=3, shot=1, query=3, size=16)
SVG = "{http://www.w3.org/2000/svg}"


def embedding():
    return qs.nets.Conv4(filters=3, size=16, out_features=None)


def metagan(**options):
    return qs.MetaGAN(embedding(), out_features=3, x_shape=(1, 16, 16), base="relation", **options)


def optimizer(name):
    return registry.make("learners", name, eval_steps=2)


NAVIGATION, PROBLEMS = T.Navigation(horizon=5), T.Problems(horizon=(2, 3), examples=16)
# By registered name: the learner, its tasks, and the names of its pictures.
CASES = {
    "rl2": (lambda: qs.RL2(in_features=1, out_features=3, episodes=4, hidden_size=4), T.Bandits(arms=3), ["learning"]),
    "maml-rl": (lambda: qs.MAMLRL(hidden=(4,), episodes=3), NAVIGATION, ["paths"]),
    "lola": (lambda: qs.LOLA(pairs=3), T.IteratedGames(), ["self-play"]),
    "meta-agent": (lambda: qs.MetaAgent(inner_steps=2), T.IteratedGames(), ["meta-agent"]),
    "task-gan": (lambda: qs.TaskGAN(x_shape=(1, 16, 16)), GLYPHS, ["classes", "between-classes"]),
    "metagan": (metagan, GLYPHS, ["fakes"]),
    "solver-gan": (
        lambda: qs.SolverGAN(qs.nets.MLP(hidden=(8,)), loss="mse"),
        T.Sinusoids(shot=5),
        ["family"],
    ),
    "meta-nas": (
        lambda: qs.MetaNAS(x_shape=(1, 16, 16), out_features=3, filters=3, inner_steps=1),
        GLYPHS,
        ["cell", "weights"],
    ),
    "mann": (
        lambda: qs.MANN(qs.nets.Flat(in_features=256), out_features=3, hidden_size=8, slots=6, slot_width=4, heads=1),
        GLYPHS,
        ["by-instance", "memory"],
    ),
    "ntm": (
        lambda: qs.NTMLearner(in_features=4, out_features=3, hidden_size=8, slots=8, slot_width=4),
        T.Copy(bits=3, length=(2, 2)),
        ["heads"],
    ),
    **{
        name: (lambda name=name: optimizer(name), PROBLEMS, ["loss-curves", "update"])
        for name in ("adam-optimizer", "lstm-optimizer", "mlp-optimizer", "hyper-optimizer")
    },
}


def drawn(name):
    make, tasks, _ = CASES[name]
    torch.manual_seed(0)
    learner = make().eval()
    return learner, draw(learner, tasks.sample(3, 0))


def widths_and_text(picture):
    root = ElementTree.fromstring(picture.image.decode())
    return root, [e for e in root.iter() if e.tag in (f"{SVG}text", f"{SVG}tspan") and e.text]


@pytest.mark.parametrize("name", CASES)
def test_a_learner_has_its_pictures(name):
    learner, pictures = drawn(name)
    assert is_drawn(type(learner))
    assert type(learner) is registry.load("learners", name)
    assert [p.name for p in pictures] == CASES[name][2]
    for picture in pictures:
        check(picture)


def check(picture: Picture) -> None:
    root, text = widths_and_text(picture)
    raw = picture.image.decode()
    assert root.tag == f"{SVG}svg"
    assert root.findtext(f"{SVG}desc") == picture.caption
    assert len(picture.caption) > 20
    # Words are text, and none is smaller than the others but for exponents.
    assert text
    sizes = [float(s) for s in re.findall(r"font-size: ([\d.]+)px", raw)]
    assert max(sizes) == LETTERS
    assert min(sizes) >= 0.69 * LETTERS
    # Colours are variables, which it brings along for light and for dark.
    assert "prefers-color-scheme: dark" in raw
    used = set(re.findall(r"var\((--[\w-]+)\)", raw))
    assert "--card" in used
    assert len(used) >= 2
    assert used <= set(re.findall(r"(--[\w-]+):", raw))
    style = root.findtext(f"{SVG}style") or ""
    assert not re.search(r"#[0-9a-f]{6}|font-family", raw.replace(style, "")), "a colour or font of matplotlib's"
    # Ids are its own; every reference leads somewhere; nothing is loaded.
    ids = [e.get("id") for e in root.iter() if e.get("id")]
    assert len(ids) == len(set(ids))
    assert all(i.startswith(f"{picture.name}-") for i in ids if i)
    assert set(re.findall(r"url\(#([^)]+)\)", raw)) <= set(ids)
    assert not re.search(r'(?:href|src)="(?!#|data:image/png;base64,)', raw)


@pytest.mark.parametrize("rule", ["dice", "naive"])
def test_self_play_is_replayed_where_returns_are_exact(rule):
    (picture,) = draw(qs.LOLA(pairs=3, method=rule), T.IteratedGames().sample(2, 0))
    assert ("step size 1" in picture.caption) == (rule == "naive")
    assert (b"return per round" in picture.image) == (rule == "naive")


@pytest.mark.parametrize("memory", ["ntm", "lstm"])
def test_other_memories(memory):
    learner = qs.MANN(
        qs.nets.Flat(in_features=256), out_features=3, memory=memory, hidden_size=8, slots=6, slot_width=4, heads=1
    )
    _, picture = draw(learner, GLYPHS.sample(2, 0))
    check(picture)
    assert ("orange" in picture.image.decode()) == (memory == "lstm")  # a hidden state has a sign


def test_images_in_colour_keep_their_colours():
    x = torch.rand(36, 3, 16, 16)
    tasks = T.Episodes(x, torch.arange(36) // 6, way=3, shot=1, query=2)
    net = qs.nets.Conv4(in_channels=3, filters=3, size=16, out_features=None)
    learner = qs.MetaGAN(net, out_features=3, x_shape=(3, 16, 16), base="relation")
    (picture,) = draw(learner, tasks.sample(2, 0))
    check(picture)
    assert b"<filter" not in picture.image
    (grey,) = draw(metagan(), GLYPHS.sample(2, 0))
    assert b"flood-color: var(--ink)" in grey.image


def test_the_same_again():
    (one,), (other,) = drawn("lola")[1], drawn("lola")[1]
    assert one == other


def test_a_class_serves_those_made_of_it():
    class Mine(qs.RL2):
        """Somebody's own."""

    assert is_drawn(Mine)
    learner = Mine(in_features=1, out_features=3, episodes=2, hidden_size=4)
    assert [p.name for p in draw(learner, T.Bandits(arms=3).sample(2, 0))] == ["learning"]


def test_of_what_nobody_registered_there_are_none():
    assert not is_drawn(qs.MAML)
    assert draw(qs.MAML(qs.nets.MLP()), None) == []
    assert draw(nn.Linear(1, 1), None) == []


def test_anybody_can_register_a_learner():
    class Other(nn.Module):
        """A learner of a third party."""

    def draw_other(learner: Other, batch: int) -> list[Picture]:
        return [Picture(f"other-{batch}", "It is there.", b"<svg/>")]

    draw.register(Other, draw_other)
    assert is_drawn(Other)
    assert [p.name for p in draw(Other(), 3)] == ["other-3"]


def test_exactly_these_have_pictures():
    assert {name for name in registry.LEARNERS.own if is_drawn(registry.load("learners", name))} == set(CASES)


def test_nothing_is_imported_before_the_first_picture():
    code = (
        "import sys, quickstudy.learners, quickstudy.report.pictures as p\n"
        "names = ('matplotlib', 'quickstudy.report.pictures.games')\n"
        "assert not [n for n in names if n in sys.modules], sys.modules.keys()\n"
        "p.draw(0, 0)\n"
        "assert names[1] in sys.modules and names[0] not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
