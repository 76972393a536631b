"""A page of answers: escaped, bounded, and with what could not be read."""

import re

import numpy as np
from PIL import Image

from quickstudy.apply.answer import Answer
from quickstudy.apply.check import Check, Estimate, Suspect
from quickstudy.report import answers
from quickstudy.report.answers import AnswersPage

RED = Image.new("RGB", (300, 200), "red")


def answer(label="ash", source=RED, p=(0.8, 0.2)):
    return Answer(source, label, np.array(p), 0.1)


def test_names_are_escaped_and_pictures_are_inside(tmp_path):
    file = tmp_path / "<b>&.png"
    RED.save(file)
    page = AnswersPage(["<i>ash", "elm"], 3)
    page.add(answer("<i>ash", file))
    page.add(answer("unknown"))
    page.add(Answer(file, problem="<u>x.png cannot be read."))
    html = page.render()
    assert "&lt;b&gt;&amp;.png" in html
    assert "&lt;i&gt;ash" in html
    assert "<li>&lt;u&gt;x.png cannot be read.</li>" in html
    assert not re.search("<[biu]>", html)
    assert html.count('src="data:image/jpeg;base64,') == 2
    assert not re.search(r"(src|href)=\"(?!data:)", html)
    assert "<h1>2 pictures in 2 classes</h1>" in html
    assert html.index("ash</") < html.index("<h2>unknown"), "classes first"


def test_it_stays_small(monkeypatch):
    monkeypatch.setattr(answers, "MOST", 6)
    monkeypatch.setattr(answers, "LISTED", 1)
    page = AnswersPage(["ash", "elm"], 20)
    for label in ["ash"] * 9 + ["elm"]:
        page.add(answer(label))
    for i in range(3):
        page.add(Answer("x", problem=f"{i} cannot be read."))
    html = page.render()
    assert html.count("<img") == 3, "two of each class or unknown"
    assert "and 7 more" in html
    assert "0 cannot be read" in html
    assert "1 cannot be read" not in html
    assert "and 2 more" in html
    assert len(html) < 20_000
    everything = AnswersPage(["ash", "elm"], 6)
    for _ in range(6):
        everything.add(answer())
    assert everything.render().count("<img") == 6


def test_a_picture_that_is_gone_has_no_thumbnail(tmp_path):
    page = AnswersPage(["ash", "elm"], 1)
    page.add(answer(source=tmp_path / "gone.png"), under="label next")
    html = page.render()
    assert "<img" not in html
    assert "gone.png" in html
    assert "<h2>label next" in html


def test_a_check_is_shown():
    page = AnswersPage(["ash", "elm"], 0)
    estimate = Estimate(0.9, 0.7, 0.95)
    confusion = np.array([[4.0, 1.0], [0.0, 5.0]])
    suspects = (Suspect(0, "ash", "elm", 0.93),)
    page.checked(Check(estimate, ("ash", "elm"), confusion, ((1, estimate),), suspects, ("oak",)), [RED])
    html = page.render()
    assert "<h1>2 classes</h1>" in html
    assert "90.0%" in html
    assert "70.0% to 95.0%" in html
    assert re.search(r'class="wrong"[^>]*>1<', html)
    assert "labelled ash" in html
    assert "93%" in html
    assert "one picture only: oak" in html
