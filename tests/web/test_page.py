"""The page as a person has it: in a browser, with mouse and keyboard."""

import csv
import io
import json
import zipfile

import numpy as np
import pytest
from PIL import Image

from browser import Browser
from quickstudy.tasks.images.pixels import open_image
from quickstudy.tasks.images.tracing import traced
from quickstudy.web import photos
from quickstudy.web.pupil import shipped
from quickstudy.web.teaching import Teaching
from served import ByColour, serving

pytestmark = pytest.mark.slow
ALPHABETS = ("Angelic", "Atemayar_Qelisayer", "Glagolitic", "Manipuri", "Tibetan")
NONE = "none of these"


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    browser = Browser(tmp_path_factory.mktemp("downloads"))
    yield browser
    browser.driver.quit()


@pytest.fixture(scope="module")
def address():
    with serving(Teaching(shipped())) as port:
        yield f"http://127.0.0.1:{port}/"


@pytest.fixture(autouse=True)
def nothing_in_the_console(browser):
    yield
    assert browser.errors() == []


@pytest.fixture(scope="module")
def drawings(omniglot_data):
    """Strokes of a character of each of six evaluation alphabets, by three people."""
    with zipfile.ZipFile(omniglot_data / "omniglot" / "images_evaluation.zip") as archive:
        files = sorted(archive.namelist())

        def strokes(alphabet, person):
            name = next(f for f in files if f"/{alphabet}/character03/" in f and f.endswith(f"_{person:02d}.png"))
            return [way[::3] for way in traced(open_image(io.BytesIO(archive.read(name)), "L"))]

        return {alphabet: [strokes(alphabet, person) for person in (1, 2, 3)] for alphabet in (*ALPHABETS, "Tengwar")}


def pad(i):
    return f"#draw-classes .card:nth-child({i + 1}) .pad"


def name(i):
    return f"#draw-classes .card:nth-child({i + 1}) .name"


def called(browser, i, text):
    browser.click(name(i))
    browser.type(text)


def answer(browser):
    """What stands beside the drawing, when it is the answer to all of it."""
    return browser.wait("(d => d.ariaBusy === 'false' && d.dataset.best)(document.getElementById('draw-answer'))")


def asked(browser, strokes):
    if browser.script("return Boolean(document.querySelector('.try .inked'))"):
        browser.click(".try [title='Wipe it clean']")
    browser.draw("#try-pad", strokes)
    return answer(browser)


def test_five_characters_drawn_once_are_known_again(browser, address, drawings):
    browser.open(address)
    line = browser.find("#line").text
    assert "has never seen these" in line
    assert "964 other characters" in line
    for i, alphabet in enumerate(ALPHABETS):
        if i >= 3:
            browser.click(".more button")
        called(browser, i, alphabet)
        browser.draw(pad(i), drawings[alphabet][0])
    right = [asked(browser, drawings[a][person]) == a for a in ALPHABETS for person in (1, 2)]
    assert sum(right) >= 9
    shares = browser.script("return [...document.querySelectorAll('.bars .number')].map(n => parseInt(n.textContent))")
    assert len(shares) == 6
    assert sum(shares) == pytest.approx(100, abs=3)

    rng = np.random.default_rng(0)
    assert asked(browser, [rng.random((60, 2))]) == NONE  # a scribble
    assert asked(browser, drawings["Tengwar"][1]) == NONE

    browser.click(".more button")
    called(browser, 5, "<b>new</b>")
    browser.draw(pad(5), drawings["Tengwar"][0])
    assert asked(browser, drawings["Tengwar"][1]) == "<b>new</b>"  # as it is written, not as HTML
    assert browser.find("#draw-answer .word").text == "<b>new</b>"
    assert "<b>new</b>" in browser.find("#live").text
    browser.click("#draw-classes .card:nth-child(6) .remove")
    assert answer(browser) == NONE

    browser.click("#draw-answer .bars li:nth-child(2) .icon")  # it is the second: learn it, too
    browser.wait("document.querySelectorAll('#draw-classes .card:nth-child(2) .thumb').length === 2")
    assert asked(browser, drawings["Tengwar"][1]) == ALPHABETS[1]


def test_what_was_taught_is_shown_kept_and_there_again(browser, address, tmp_path):
    browser.open(address)
    browser.click("#show-me")
    browser.wait("document.querySelectorAll('#draw-classes .card .inked').length === 5")
    assert answer(browser)
    browser.click("#draw-keep [data-keep=zip]")
    with zipfile.ZipFile(browser.saved("drawings.zip")) as archive:
        assert sum(file.endswith(".png") for file in archive.namelist()) >= 5
        archive.extractall(tmp_path)
    browser.click("#draw-keep [data-keep=lines]")
    lines = browser.wait("document.getElementById('lines').open && document.getElementById('code').textContent")
    assert lines == (tmp_path / "again.py").read_text()
    browser.keys("\ue00c")  # escape
    browser.driver.get(address)
    browser.wait("document.querySelectorAll('#draw-classes .card .inked').length === 5")
    browser.click("#start-over")
    browser.wait("document.querySelectorAll('#draw-classes .card .inked').length === 0")


def test_by_keyboard_alone(browser, address):
    browser.open(address)
    for i, keys in enumerate(("\ue014" * 8, "\ue015" * 8)):  # a line to the right, one downwards
        browser.script("arguments[0].focus()", browser.find(pad(i)))
        browser.keys(f" {keys} ")
    browser.script("arguments[0].focus()", browser.find("#try-pad"))
    browser.keys(" " + "\ue015" * 6 + " ")
    assert answer(browser) == browser.find(name(1)).get_property("value")
    browser.keys("\ue003")  # backspace takes the stroke back
    browser.wait("!document.querySelector('.try .inked')")
    browser.script("document.getElementById('tab-draw').focus()")
    browser.keys("\ue014")
    assert browser.driver.switch_to.active_element.text == "Photos"
    assert browser.find("#photos").is_displayed()
    nameless = """return [...document.querySelectorAll('button, input, select, textarea, canvas, video, a')]
        .filter(e => e.checkVisibility() && !e.closest('[aria-hidden=true]') && e.ariaHidden !== 'true')
        .filter(e => !(e.ariaLabel || e.textContent.trim() || e.labels?.length)).map(e => e.outerHTML)"""
    for tab in ("draw", "photos", "table"):
        browser.click(f"#tab-{tab}")
        assert browser.script(nameless) == []


def test_a_table_is_filled_in(browser, address):
    browser.open(address)
    browser.click("#tab-table")
    browser.click("#csv-example")
    browser.wait("document.querySelector('#filled td.new')")
    assert "Filled in 5 cells of fruit" in browser.find("#table-said").text
    browser.click("#table-keep [data-keep=csv]")
    rows = list(csv.DictReader(browser.saved("filled-in.csv").read_text().splitlines()))
    assert rows[2]["fruit"] == "apple"
    assert 0.5 < float(rows[2]["fruit confidence"]) <= 1
    assert rows[0]["fruit confidence"] == ""
    browser.script("arguments[0].value = 'one column\\n1'; arguments[0].oninput()", browser.find("#csv"))
    browser.click("#fill")
    browser.wait("document.querySelector('#table-said.wrong')")
    browser.driver.get_log("browser")  # which reports the answer 400


def test_photos_are_sorted(browser, tmp_path, monkeypatch):
    monkeypatch.setattr(photos, "_classifier", ByColour)
    monkeypatch.setattr(photos, "NEEDED", ())

    def files(*colours):
        for colour in colours:
            Image.new("RGB", (40, 30), colour).save(tmp_path / f"{colour}.png")
        return "\n".join(str(tmp_path / f"{colour}.png") for colour in colours)

    with serving(Teaching(shipped())) as port:
        browser.open(f"http://127.0.0.1:{port}/")
        browser.click("#tab-photos")
        for i, colours in enumerate((("red", "darkred"), ("blue", "navy"))):
            browser.find(f"#photo-classes .card:nth-child({i + 1}) input[type=file]").send_keys(files(*colours))
            browser.wait(f"document.querySelectorAll('#photo-classes .card:nth-child({i + 1}) img').length === 2")
        browser.find("#try-photos input").send_keys(files("firebrick", "mediumblue", "lime"))
        words = "[...document.querySelectorAll('#sorted .word')].map(e => e.textContent)"
        assert browser.wait(f"(w => w.length === 3 && w)({words})") == ["this", "that", NONE]
        assert "Name this one next" in browser.find("#sorted li:last-child").text
        (tmp_path / "broken.png").write_bytes(b"no image")
        browser.find("#try-photos input").send_keys(str(tmp_path / "broken.png"))
        assert "not an image" in browser.wait("!toast.hidden && toast.textContent")
        browser.driver.get_log("browser")  # which reports the answer 400
        browser.script("arguments[0].value = 1; arguments[0].onchange()", browser.find("#sorted li:last-child select"))
        browser.wait("document.querySelectorAll('#photo-classes .card:nth-child(2) img').length === 3")
        browser.click("#photos-keep [data-keep=zip]")
        with zipfile.ZipFile(browser.saved("photos.zip")) as archive:
            assert "few/that/3.jpg" in archive.namelist()


def test_photos_say_what_they_need(browser, monkeypatch):
    monkeypatch.setattr(photos, "NEEDED", ("no_encoder",))
    with serving(Teaching(shipped())) as port:
        browser.open(f"http://127.0.0.1:{port}/")
        browser.click("#tab-photos")
        assert "pip install 'quickstudy[images]'" in browser.find("#no-photos").text
        assert not browser.find("#photo-sides").is_displayed()


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_it_fits_the_screen_and_the_hour(browser, address, dark):
    browser.open(address, 380, dark=dark)
    browser.click("#show-me")
    assert answer(browser)
    ground = json.loads("[" + browser.script("return getComputedStyle(document.body).backgroundColor")[4:-1] + "]")
    assert (max(ground) < 60) == dark
    for tab in ("draw", "photos", "table"):
        browser.click(f"#tab-{tab}")
        assert browser.script("return document.documentElement.scrollWidth") <= 380


def test_a_server_that_is_gone_is_a_message(browser):
    with serving(Teaching(None, without="no drawings here")) as port:
        browser.open(f"http://127.0.0.1:{port}/")
        assert browser.find("#no-drawings").text == "no drawings here"
        browser.click("#tab-table")
    browser.click("#csv-example")
    assert "Start it again" in browser.wait(
        "(s => s.classList.contains('wrong') && s.textContent)(window['table-said'])"
    )
    browser.driver.get_log("browser")  # which reports the refused connection
