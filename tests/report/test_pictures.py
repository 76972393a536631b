"""Pictures end in the run folder and on the report's page, their captions with them; none of them runs anything."""

import base64
import io
import re

import pytest
import torch
from PIL import Image, PngImagePlugin

import quickstudy as qs
from quickstudy.core.picture import LARGEST, Picture, load_pictures, save_pictures
from quickstudy.core.seeding import fold
from quickstudy.report import write_report
from quickstudy.report.svg import SERIES, canvas, picture, tinted

SVG = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {}">{}</svg>'


def line(name="line", caption="It falls from 1 to 0; ε < 1 & more."):
    with canvas(200, 100) as figure:
        figure.add_subplot().plot([0, 1], [1, 0], label="a <b>")
    return picture(figure, name=name, caption=caption)


def png(caption):
    about, out = PngImagePlugin.PngInfo(), io.BytesIO()
    about.add_text("Description", caption)
    Image.new("L", (2, 2)).save(out, "PNG", pnginfo=about)
    return Picture("dots", caption, out.getvalue(), "png")


def run_with(path, *pictures):
    run = qs.Run.create(path, {})
    save_pictures(path, pictures)
    return run


def test_a_caption_stays_with_its_picture(tmp_path):
    assert line() == line()
    both = [png("Dots."), line()]
    save_pictures(tmp_path, both)
    assert load_pictures(tmp_path) == both
    assert load_pictures(tmp_path / "nothing") == []


def test_a_picture_takes_the_place_of_the_one_of_its_name(tmp_path):
    save_pictures(tmp_path, [png("Dots.")])
    (tmp_path / "pictures" / ".dots.svg.half").write_text("of a process that was killed")
    save_pictures(tmp_path, [line("dots")])
    assert load_pictures(tmp_path) == [line("dots")]


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("half.png", b"no picture", "cannot identify"),
        ("half.svg", b"<svg", "unclosed token|not well-formed"),
        ("half.svg", b"\xff\xfe", "codec"),
        ("html.svg", b"<html><script>alert(1)</script></html>", "it is no SVG"),
        ("grows.svg", b'<!DOCTYPE svg [<!ENTITY a "aaaa">]><svg xmlns="http://www.w3.org/2000/svg"/>', "document type"),
    ],
)
def test_what_is_no_picture_is_named(tmp_path, name, content, says):
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures" / name).write_bytes(content)
    with pytest.raises(qs.RunError, match=rf"{name} cannot be read as a picture: .*({says})"):
        load_pictures(tmp_path)
    page = write_report([qs.Run.create(tmp_path / "run", {})]).read_text()
    assert "No pictures" not in page
    (tmp_path / "pictures").rename(tmp_path / "run" / "pictures")
    page = write_report([qs.Run.open(tmp_path / "run")]).read_text()
    assert f"{name} cannot be read as a picture" in page


def test_nothing_outside_the_folder_is_shown(tmp_path):
    secret = tmp_path / "secret.svg"
    secret.write_bytes(line().image)
    run_with(tmp_path / "run", line("own"))
    (tmp_path / "run" / "pictures" / "link.svg").symlink_to(secret)
    with pytest.raises(qs.RunError, match=r"link\.svg .* leads out of the run's folder"):
        load_pictures(tmp_path / "run")


def test_nothing_huge_is_read(tmp_path):
    run_with(tmp_path / "run", line())
    with open(tmp_path / "run" / "pictures" / "line.svg", "ab") as file:
        file.truncate(LARGEST + 1)
    with pytest.raises(qs.RunError, match="more than 20,000,000 bytes"):
        load_pictures(tmp_path / "run")


HOSTILE = (
    '<desc>&lt;script&gt;alert("caption")&lt;/script&gt;</desc><script>alert(1)</script>'
    '<image href="https://example.org/seen.png" onload="alert(2)"/><a href="javascript:alert(3)"><text>x</text></a>'
    '<foreignObject><iframe xmlns="http://www.w3.org/1999/xhtml" src="javascript:alert(4)"/></foreignObject>'
    "<style>body { display: none }</style>"
)


def test_a_hostile_picture_is_an_image_and_nothing_else(tmp_path):
    """In ``<img>`` browsers run no script of an SVG and load nothing; none of it may be outside of that."""
    hostile = SVG.format('99999 1" onload="alert(5)', HOSTILE).encode()
    page = write_report([run_with(tmp_path / "run", Picture("hostile", "", hostile))]).read_text()
    assert page.count(base64.b64encode(hostile).decode()) == 1
    (image,) = re.findall(r"<img [^>]*>", page)
    assert f'src="data:image/svg+xml;base64,{base64.b64encode(hostile).decode()}"' in image
    assert 'style="min-width: 2760px; max-width: 4500px"' in image, "its width is within reason"
    for word in ("<script", "onload", "javascript:", "foreignObject", "example.org", "iframe", "display: none }"):
        assert word not in page, word
    assert "&lt;script&gt;alert(&#34;caption&#34;)" in image


def test_the_page_shows_them(tmp_path):
    learner = qs.MAML(qs.nets.MLP(hidden=(4,)), loss="mse")
    run = qs.train(learner, qs.tasks.Sinusoids(), steps=1, meta_batch=2, out=tmp_path / "run")
    assert "drawn</h" not in write_report([run]).read_text()
    save_pictures(tmp_path / "run", [line(caption="It falls & falls."), png("Dots.")])
    page = write_report([run]).read_text()
    assert "What the learner does, drawn" in page
    assert page.count("It falls &amp; falls.") == 2
    assert 'style="min-width: 184px; max-width: 300px"' in page
    assert 'class="picture png" src="data:image/png;base64,' in page


def test_text_is_text():
    raw = line().image.decode()
    assert "<text" in raw
    with canvas(200, 100) as figure:
        figure.add_subplot().set_title("a <b> & $x$")
    assert "a &lt;b&gt; &amp; $x$</text>" in picture(figure, name="x", caption="c").image.decode()


def test_a_map_is_opaque_where_its_values_are_large():
    with canvas(100, 100) as figure:
        axes = figure.add_subplot()
        tinted(axes, torch.tensor([[0.0, 0.5], [1.0, 2.0]]), SERIES[0])
        tinted(axes, torch.tensor([[1.0, 0.0], [0.0, 0.0]]), SERIES[1])
    raw = picture(figure, name="map", caption="c").image.decode()
    assert raw.count("<filter") == raw.count("<g filter=") == 2
    assert '<g filter="url(#map-tint--c0)"><image' in raw
    first = re.findall(r'href="data:image/png;base64,([^"]+)"', raw)[0]
    pixels = Image.open(io.BytesIO(base64.b64decode(first)))
    assert [pixels.getpixel((x, y))[3] for y in (0, 1) for x in (0, 1)] == [0, 128, 255, 255]


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
        [Quadratics().sample(n, s).c for n, s in ((25, fold(0, "evaluate", 0)), (5, fold(0, "evaluate", 25)))]
    )
    assert before.by_step[1].mean == pytest.approx(float((0.64 * c**2).mean()))
    assert [s.step for s in qs.evaluate(learner, Quadratics(), n_tasks=4, steps=3).by_step] == [0, 1, 2, 3]
    qs.train(learner, Quadratics(), steps=40, meta_lr=0.02, validation=Quadratics(), validate_every=20)
    assert qs.evaluate(learner, Quadratics(), n_tasks=30).mean < before.mean / 4
