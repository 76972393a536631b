"""What the page asks, and what it is answered."""

import base64
import io
import json
import zipfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from PIL import Image

import quickstudy as qs
from quickstudy.web import photos
from quickstudy.web.lesson import CLASSES, EXAMPLES, POINTS
from quickstudy.web.start import encoded
from quickstudy.web.teaching import ASKED, REMEMBERED, Recent, Teaching
from served import CROSS, HOOK, LINE, ByColour, asked, classes, posted, pupil, serving


@pytest.fixture(scope="module")
def port():
    with serving(Teaching(pupil())) as port:
        yield port


@pytest.fixture
def sorter(monkeypatch):
    monkeypatch.setattr(photos, "_classifier", ByColour)
    monkeypatch.setattr(photos, "NEEDED", ())


def coloured(*colours: str) -> list[str]:
    return [encoded(Image.new("RGB", (40, 30), colour)) for colour in colours]


def test_what_the_page_begins_with(port):
    answer, content = asked(port, "GET", "/api/begin")
    begun = json.loads(content)
    assert answer.status == 200
    assert begun["tab"] == "draw"
    assert begun["line"] == "7 other characters"
    assert begun["canDoubt"] is True
    assert "quickstudy[images]" in begun["noPhotos"] or begun["noPhotos"] == ""
    assert begun["most"] == {"classes": CLASSES, "examples": EXAMPLES, "asked": ASKED}


def test_a_drawing_is_known_again(port):
    taught = classes(line=[LINE], hook=[HOOK], cross=[CROSS])
    small = [[300 + x // 10 if i % 2 == 0 else 700 + x // 10 for i, x in enumerate(way)] for way in HOOK]
    answer = posted(port, "/api/draw", {"classes": taught, "drawing": small})
    assert len(answer["shares"]) == 4
    assert sum(answer["shares"]) == pytest.approx(1)
    assert answer["shares"].index(max(answer["shares"])) == 1
    assert len(base64.b64decode(answer["seen"])) == answer["size"] ** 2 == 28**2
    again = posted(port, "/api/draw", {"key": answer["key"], "drawing": small})
    assert again == answer


def test_something_else_is_none_of_these(port):
    scribble = [[(i * 7919) % 1000 for i in range(200)]]
    answer = posted(port, "/api/draw", {"classes": classes(line=[LINE], hook=[HOOK]), "drawing": scribble})
    assert answer["shares"].index(max(answer["shares"])) == 2


def test_several_drawings_of_a_class(port):
    taught = classes(line=[LINE, [[100, 900, 900, 100]]], hook=[HOOK])
    answer = posted(port, "/api/draw", {"classes": taught, "drawing": [[100, 880, 880, 110]]})
    assert answer["shares"][0] > answer["shares"][1]


def test_the_same_answers_at_once_as_one_after_the_other(port):
    asks = [{"classes": classes(a=[LINE], b=[HOOK], c=[[[0, 0, 10 * k, 900]]]), "drawing": CROSS} for k in range(8)]
    alone = [posted(port, "/api/draw", ask) for ask in asks]
    with ThreadPoolExecutor(8) as pool:
        for _ in range(2):
            assert list(pool.map(lambda ask: posted(port, "/api/draw", ask), asks)) == alone


def test_what_was_learned_longest_ago_is_forgotten(monkeypatch):
    lessons = 8
    monkeypatch.setattr("quickstudy.web.teaching.LESSONS", lessons)
    teaching = Teaching(pupil())
    first = teaching.draw({"classes": classes(a=[LINE], b=[HOOK])})["key"]
    for k in range(lessons):
        assert teaching.draw({"key": first, "drawing": LINE}) if k == lessons // 2 else True
        teaching.draw({"classes": classes(a=[LINE], b=[[[k, 0, 500, 900]]])})
        if k == lessons - 2:
            assert teaching.draw({"key": first, "drawing": LINE})
    for k in range(lessons):
        teaching.draw({"classes": classes(a=[LINE], b=[[[k, 0, 500, 800]]])})
    with pytest.raises(Exception, match="Send the classes again") as refused:
        teaching.draw({"key": first, "drawing": LINE})
    assert refused.value.status == 409


def test_what_is_large_leaves_little_room():
    recent = Recent()
    recent.put("a", 1, 10)
    recent.put("b", 2, REMEMBERED - 10)
    assert (recent.get("a"), recent.get("b")) == (1, 2)
    recent.put("c", 3, REMEMBERED + 1)
    assert (recent.get("a"), recent.get("b"), recent.get("c")) == (None, None, 3)


MANY = [[[0, 0] for _ in range(POINTS + 1)]]


@pytest.mark.parametrize(
    ("sent", "says"),
    [
        (b"", "not JSON"),
        (b"[1]", "no JSON object"),
        (b"[" * 5000, "not JSON"),
        ({"classes": 3}, "no list"),
        ({"classes": [1, 2]}, "no list"),
        ({"classes": []}, "two classes"),
        ({"classes": classes(a=[LINE])}, "two classes"),
        ({"classes": [{"name": "a", "examples": [LINE]}] * 2}, "two classes are called a"),
        ({"classes": [{"name": " ", "examples": [LINE]}]}, "no name"),
        ({"classes": [{"name": "a" * 61, "examples": [LINE]}]}, "at most 60"),
        ({"classes": [{"name": 5, "examples": [LINE]}]}, "must be a text"),
        (b'{"classes": [{"name": "\\ud800", "examples": [[[1, 1]]]}]}', "half a character"),
        ({"classes": classes(a=[])}, "a needs 1 to"),
        ({"classes": classes(a=[LINE] * (EXAMPLES + 1))}, "a needs 1 to"),
        ({"classes": classes(**{f"c{i}": [LINE] for i in range(CLASSES + 1)})}, "more than"),
        *(
            ({"classes": classes(a=[LINE], b=[HOOK]), "drawing": drawing}, "a drawing is")
            for drawing in (
                None, [], [[]], [[1]], [[1, 2, 3]], [["1", "2"]], [[True, 2]], [[1, 1e9]], [[1, -1e9]], 7, "x", MANY
            )
        ),
        (b'{"classes": [{"name": "a", "examples": [[[NaN, 1]]]}, {"name": "b", "examples": [[[1, 1]]]}]}', "a drawing"),
        ({"drawing": LINE}, "the key"),
    ],
)  # fmt: skip
def test_anything_else_is_refused(port, sent, says):
    assert says in posted(port, "/api/draw", sent, status=400)["error"]


def test_more_classes_than_the_head_has():
    learner = qs.MAML(qs.nets.MLP(in_features=784, out_features=2, hidden=(4,)), inner_steps=1).eval()
    with pytest.raises(qs.UsageError, match="tells 2 apart at most"):
        Teaching(replace(pupil(), learner=learner)).draw({"classes": classes(a=[LINE], b=[HOOK], c=[CROSS])})


def test_without_a_learner_of_characters():
    with pytest.raises(qs.UsageError, match="teach one of your own"):
        Teaching(None, without="teach one of your own").draw({"classes": classes(a=[LINE], b=[HOOK])})


def test_photos(port, sorter):
    taught = classes(red=coloured("red", "#e01010"), blue=coloured("blue"))
    answer = posted(port, "/api/photos", {"classes": taught, "photos": coloured("#f01020", "#1010f0", "#10f010")})
    assert [shares.index(max(shares)) for shares in answer["shares"]] == [0, 1, 2]
    assert answer["next"] == 2
    again = posted(port, "/api/photos", {"key": answer["key"], "photos": coloured("blue")})
    assert again["shares"][0][1] > 0.5
    assert again["next"] is None


def test_keys_are_of_drawings_or_of_photos(port, sorter):
    key = posted(port, "/api/draw", {"classes": classes(a=[LINE], b=[HOOK])})["key"]
    assert posted(port, "/api/photos", {"key": key, "photos": []}, status=409)


def test_broken_photos_are_a_message(port, sorter):
    taught = classes(red=coloured("red"), blue=coloured("blue"))
    for photo, says in [
        (base64.b64encode(b"no image at all").decode(), "photo 2 is not an image"),
        (base64.b64encode(base64.b64decode(coloured("red")[0])[:300]).decode(), "photo 2 cannot be read"),
        ("%%%", "photo 2 is not written in base64"),
        (5, "photo 2 must be a text"),
    ]:
        sent = {"classes": taught, "photos": [*coloured("red"), photo]}
        assert says in posted(port, "/api/photos", sent, status=400)["error"]
    assert "at most 50" in posted(port, "/api/photos", {"classes": taught, "photos": ["x"] * 51}, status=400)["error"]


def test_a_photo_of_too_many_pixels(port):
    file = io.BytesIO()
    Image.new("1", (8000, 8000)).save(file, "PNG")
    sent = {"photo": base64.b64encode(file.getvalue()).decode(), "name": "<big>.png"}
    assert "<big>.png has 8000 x 8000 pixels" in posted(port, "/api/photos/read", sent, status=400)["error"]


def test_a_kind_that_a_browser_does_not_know(port):
    file = io.BytesIO()
    Image.new("RGB", (900, 450), "red").save(file, "TIFF")
    found = posted(port, "/api/photos/read", {"photo": base64.b64encode(file.getvalue()).decode(), "name": "a.tif"})
    assert Image.open(io.BytesIO(base64.b64decode(found["file"]))).size == (384, 192)


def test_without_the_extra_photos_say_how_to_get_it(port, monkeypatch):
    monkeypatch.setattr(photos, "NEEDED", ("no_encoder",))
    assert "pip install 'quickstudy[images]'" in Teaching(None).begin()["noPhotos"]
    taught = classes(red=coloured("red"), blue=coloured("green"))
    assert "quickstudy[images]" in posted(port, "/api/photos", {"classes": taught, "photos": []}, status=400)["error"]


def test_a_table(port):
    text = "size,kind\n" + "\n".join(f"{i % 2 * 9 + i / 9},{'ab'[i % 2]}" for i in range(12)) + "\n9.4,?"
    answer = posted(port, "/api/table", {"text": text, "target": None})
    assert answer["target"] == "kind"
    assert answer["rows"][12] == ["9.4", "b"]
    assert list(answer["filled"]) == ["12"]
    assert answer["csv"].startswith("size,kind,kind confidence\n")
    namespace = {}
    exec(answer["lines"].replace('Path("table.csv").read_text()', repr(text)).replace("print", "out = str"), namespace)
    assert namespace["out"] == answer["csv"]
    for sent, says in [({"text": "a"}, "no rows"), ({"text": text, "target": "x"}, "no column"), ({}, "must be")]:
        assert says in posted(port, "/api/table", sent, status=400)["error"]


def test_what_breaks_is_told_without_its_inside(port, monkeypatch):
    def breaks(*_):
        raise ZeroDivisionError("secret")

    monkeypatch.setattr(qs.ProtoNet, "fit", breaks)
    error = posted(port, "/api/draw", {"classes": classes(broken=[LINE], too=[HOOK])}, status=500)["error"]
    assert "ZeroDivisionError" in error
    assert "secret" not in error


def test_warming_up_asks_it_once(monkeypatch):
    monkeypatch.setattr(photos, "NEEDED", ("no_encoder",))  # of which the first photo's wait is spared, too
    teaching = Teaching(pupil())
    teaching.warm_up()
    Teaching(None).warm_up()


def test_the_zip_holds_what_was_drawn(port):
    taught = classes(**{"a/../b": [LINE, HOOK], "<c>": [CROSS]})
    answer, content = asked(port, "POST", "/api/draw/zip", {"classes": taught})
    assert answer.headers["content-type"] == "application/zip"
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        images = ["few/a_b/1.png", "few/a_b/2.png", "few/c/1.png"]
        assert archive.namelist() == [*images, "labels.csv", "again.py"]
        assert archive.read("labels.csv").decode().splitlines()[1:] == [
            "few/a_b/1.png,a/../b", "few/a_b/2.png,a/../b", "few/c/1.png,<c>"
        ]  # fmt: skip
        assert Image.open(io.BytesIO(archive.read("few/c/1.png"))).size == (420, 420)
