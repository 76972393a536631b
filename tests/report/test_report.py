import html
import html.parser
import json
import re
import shutil
from pathlib import Path

import pytest
import torch

import quickstudy as qs
from quickstudy.core.references import Reference
from quickstudy.core.scores import score
from quickstudy.core.seeding import fold
from quickstudy.report import save_examples, write_report
from quickstudy.report.content import read_story
from quickstudy.report.examples import QUERIES_PER_CLASS, load_examples

COMMAND = "quickstudy train maml --tasks glyphs --out 'runs/a <b> & c'"
VOID = {"meta", "link", "img", "br", "input", "hr"}


def glyphs_run(path: Path, **notes) -> qs.Run:
    torch.manual_seed(0)
    tasks = qs.tasks.Glyphs(way=3, shot=2, query=5)
    learner = qs.MAML(qs.nets.Conv4(in_channels=1, out_features=3, filters=4), inner_lr=0.4, inner_steps=2)
    run = qs.train(
        learner,
        tasks,
        steps=2,
        meta_batch=2,
        validation=qs.tasks.Glyphs(split="val", way=3, shot=2, query=5),
        validate_every=1,
        validation_tasks=2,
        log_every=1,
        out=path,
        notes=notes,
        device="cpu",
    )
    held_out = qs.tasks.Glyphs(split="test", way=3, shot=2, query=5)
    result = qs.evaluate(learner, held_out, n_tasks=10)
    run.add_result({**result.to_json(), "split": "test", "checkpoint": 2})
    save_examples(run, learner, held_out, n=2)
    return run


def sinusoid_run(path: Path) -> qs.Run:
    torch.manual_seed(0)
    learner = qs.MAML(qs.nets.MLP(hidden=(8,)), inner_steps=1, loss="mse")
    run = qs.train(learner, qs.tasks.Sinusoids(), steps=3, meta_batch=2, log_every=1, out=path, device="cpu")
    held_out = qs.tasks.Sinusoids(split="test", shot=5)
    run.add_result({**qs.evaluate(learner, held_out, n_tasks=10, steps=3).to_json(), "split": "test"})
    save_examples(run, learner, held_out, n=2, steps=3)
    return run


@pytest.fixture(scope="module")
def glyphs(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("report") / "glyphs"
    glyphs_run(path, command=COMMAND)
    return path


@pytest.fixture(scope="module")
def sinusoids(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("report") / "sinusoids"
    sinusoid_run(path)
    return path


class Page(html.parser.HTMLParser):
    """Checks nesting, collects ids, references and the text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.raw, self.open, self.tags, self.ids, self.references, self.words = text, [], [], [], [], []
        self.feed(text)
        self.text = re.sub(r"\s+", " ", " ".join(self.words))
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        for name, value in attrs:
            if name == "id":
                self.ids.append(value)
            if name.endswith("href") or name == "src":
                self.references.append(value)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)


def check_page(path: Path) -> Page:
    """What every page promises: well nested, self-contained, unique ids, no references that lead nowhere."""
    page = Page(path.read_text())
    assert page.raw.startswith("<!doctype html>")
    assert "script" not in page.tags
    assert not re.search(
        r"https?:|//\w", re.sub(r'xmlns(:\w+)?="[^"]+"|data:image/(png|svg.xml);base64,[^"]+', "", page.raw)
    )
    assert "url(#" not in page.raw or set(re.findall(r"url\(#([^)]+)\)", page.raw)) <= set(page.ids)
    assert len(page.ids) == len(set(page.ids))
    assert all(r.startswith("data:") or r.removeprefix("#") in page.ids for r in page.references)
    assert not re.search(r"#a1b0[01]", page.raw), "a sentinel colour is left"
    assert page.raw.count('role="img"') == page.raw.count("aria-label=") - page.raw.count(
        '<pre tabindex="0" aria-label='
    )
    return page


def test_image_run(glyphs):
    run = qs.Run.open(glyphs)
    path = write_report([run])
    assert path == glyphs / "report.html"
    page = check_page(path)
    (result,) = run.results()
    for expected in (
        score("accuracy").text(result["mean"], result["ci95"]),
        score("accuracy").interval(result["ci95"]),
        "For comparison: chance 33.33%",
        "10 test tasks",
        "2 inner steps",
        "transductive",
        "MAML on drawn characters, 3-way 2-shot",
        COMMAND,
        "Conv4(in_channels=1, out_features=3, filters=4",
        result["tasks"],
        run.config["machine"]["torch"],
    ):
        assert expected in page.text, expected
    for step in result["by_step"]:
        assert score("accuracy").text(step["mean"], step["ci95"]) in page.text
    assert page.raw.count('class="chart"') == 3  # accuracy, loss, accuracy by inner step
    shown = 2 * 3 * (2 + QUERIES_PER_CLASS)
    assert page.raw.count("data:image/png;base64,") == shown
    assert page.text.count("✓") + page.text.count("✗") == 2 * 3 * QUERIES_PER_CLASS + 2  # and the legend's two
    assert 'class="missing"' not in page.raw


def test_drawn_answers_are_the_predictions(glyphs):
    drawn = load_examples(glyphs)
    assert drawn is not None
    t = drawn.tensors
    assert t["predictions"].shape == (3, 2, 3 * QUERIES_PER_CLASS, 3)
    assert t["scores"].shape == (3, 2)
    right = int((t["predictions"][-1].argmax(-1) == t["query_y"]).sum())
    page = check_page(write_report([qs.Run.open(glyphs)]))
    assert page.text.count("✓") - 1 == right
    assert len(re.findall(r"\bis [ABC]\b", page.text)) == t["query_y"].numel() - right


def test_sinusoid_run(sinusoids):
    run = qs.Run.open(sinusoids)
    page = check_page(write_report([run]))
    (result,) = run.results()
    for expected in (
        score("mse").text(result["mean"], result["ci95"]),
        "Mean squared error",
        "For comparison: 0 everywhere 4.252",
        "Dotted, from above: 0 everywhere 4.252, best possible 0.",
        "lower is better",
        "true curve",
        "before adapting",
        "after 3 inner steps",
        "No command is recorded",
    ):
        assert expected in page.text, expected
    assert page.raw.count('class="chart"') == 2 + 1 + 2  # learning, by inner step, tasks
    assert "data:image/png" not in page.raw


def test_sinusoid_examples_agree_with_the_task(sinusoids):
    drawn = load_examples(sinusoids)
    assert drawn is not None
    t = drawn.tensors
    assert t["curves"].shape == (4, 2, len(t["grid_x"]), 1)
    # the true curve passes through the support points, up to the grid's spacing
    for task in range(2):
        nearest = (t["support_x"][task] - t["grid_x"]).abs().argmin(1)
        assert (t["truth"][task, nearest, 0] - t["support_y"][task, :, 0]).abs().max() < 5 * 10 / 120


def test_predictions_with_a_spread_have_a_band(tmp_path):
    torch.manual_seed(0)
    tasks = qs.tasks.GaussianProcesses(split="test", shot=(4, 6))
    learner = qs.CNP(qs.nets.MLP(out_features=None, hidden=(8,)), loss="gaussian", width=8)
    run = qs.train(learner, tasks, steps=1, meta_batch=2, log_every=1, out=tmp_path / "gp", device="cpu")
    run.add_result({**qs.evaluate(learner, tasks, n_tasks=3).to_json(), "split": "test"})
    save_examples(run, learner, tasks, n=2)
    drawn = load_examples(tmp_path / "gp")
    assert drawn is not None
    assert drawn.tensors["curves"].shape == (1, 2, len(drawn.tensors["grid_x"]), 1, 2)
    page = check_page(write_report([run]))
    for expected in (
        "Conditional neural process on draws from a Gaussian process, 4- to 6-shot",
        "two standard deviations to either side",
        "Negative log-likelihood, nats per target",
        "For comparison: one normal distribution everywhere 1.424 , exact posterior",
    ):
        assert expected in page.text, expected
    assert page.raw.count("a band of two standard deviations") == 2
    assert page.raw.count("fill-opacity: 0.18") == 2
    assert read_story(run).tested_as_trained


def test_several_runs(glyphs, sinusoids, tmp_path):
    twin = tmp_path / "other" / "glyphs"
    shutil.copytree(glyphs, twin)
    out = tmp_path / "compared.html"
    assert write_report([qs.Run.open(p) for p in (glyphs, sinusoids, twin)], out) == out
    page = check_page(out)
    assert "3 runs compared" in page.text
    assert "other/glyphs" in page.text  # two folders of one name are told apart
    assert len(re.findall(r'<section class="run"', page.raw)) == 3
    assert page.raw.count('class="chart"') == 3 + 3 + 3 + 5
    body = page.raw[page.raw.index("<tbody>") : page.raw.index("</tbody>")]
    assert body.count("<tr>") == 3
    for path in (glyphs, sinusoids):
        (result,) = qs.Run.open(path).results()
        assert score(result["metric"]).interval(result["ci95"]) in body


def test_pure_function_of_the_folder(glyphs, tmp_path):
    run = qs.Run.open(glyphs)
    first, second = (write_report([run], tmp_path / name).read_bytes() for name in ("a.html", "b.html"))
    assert first == second


def test_interrupted_run(tmp_path):
    config = {"learner": {"learners": "maml", "options": {}}, "training": {"steps": 1000, "meta_batch": 4}}
    run = qs.Run.create(tmp_path / "run", config)
    page = check_page(write_report([run]))
    assert "No outer step of 1,000 has been logged yet" in page.text
    for missing in ("No result yet", "No learning curves", "No drawn tasks", "No command"):
        assert missing in page.text
    run.log({"step": 40, "train/loss": 0.5, "train/accuracy": 0.75, "seconds": 3.0})
    page = check_page(write_report([run]))
    assert "40 of 1,000 outer steps are logged" in page.text
    assert page.raw.count('class="chart"') == 2


def test_barest_run(tmp_path):
    check_page(write_report([qs.Run.create(tmp_path / "run", {})]))
    assert check_page(write_report([qs.Run(None, {})], tmp_path / "memory.html"))


def test_stopped_early(tmp_path):
    run = qs.Run.create(tmp_path / "run", {"training": {"steps": 100, "patience": 2}})
    for step, value in ((10, 0.5), (20, 0.9), (30, 0.8), (40, 0.85)):
        run.log({"step": step, "validation/accuracy": value, "validation/ci95": 0.1, "validation/loss": 1.0})
    assert read_story(run).ending.startswith("Stopped early after 40 of 100")


def test_users_strings_are_escaped(tmp_path):
    evil = "<script>alert('$x$')</script>"
    config = {
        "learner": {"opaque": f"mine.{evil}"},
        "tasks": {"tasks": evil, "options": {"way": evil, "shot": 1}},
        "training": {"note": evil},
        "bn": evil,
        "command": evil,
        evil: evil,
    }
    run = qs.Run.create(tmp_path / "a&b $<i>$ \"quoted'", config)
    by_step = [{"step": i, "mean": 0.5, "ci95": 0.1, "loss": 1.0} for i in range(2)]
    run.add_result({"metric": evil, "by_step": by_step, "n_tasks": 2, "seed": 0, "bn": evil, "tasks": evil})
    run.log({"step": 1, f"train/{evil}": 1.0, f"validation/{evil}": 0.5, "validation/ci95": 0.1})
    page = check_page(write_report([run, run], tmp_path / "report.html"))
    assert evil in page.text
    assert "i" not in page.tags


def test_odd_numbers_and_damaged_files(tmp_path):
    run = qs.Run.create(tmp_path / "run", {"training": {"steps": 2}})
    run.log({"step": 1, "train/loss": float("nan"), "train/accuracy": float("nan"), "seconds": 0.0})
    run.log({"step": 2, "train/loss": float("inf"), "train/accuracy": 0.5, "seconds": 4000.0})
    run.add_result({"unknown": 1})
    (tmp_path / "run" / "examples.safetensors").write_bytes(b"\x10broken")
    page = check_page(write_report([run]))
    assert "1 line of results.jsonl" in page.text
    assert "cannot be read" in page.text
    assert "1 h 07 min" in page.text


def test_headline_is_the_runs_own_test(glyphs, tmp_path):
    run = qs.Run.create(tmp_path / "run", json.loads((glyphs / "config.json").read_text()))
    (own,) = qs.Run.open(glyphs).results()
    for record in ({**own, "split": "val", "tasks": "val"}, own, {**own, "n_tasks": 99}, {**own, "tasks": "20-way"}):
        run.add_result(record)
    story = read_story(run)
    assert story.headline is not None
    assert (story.headline.tasks, story.headline.n_tasks) == (own["tasks"], 99)
    assert "All 4 evaluations" in check_page(write_report([run])).text


def test_rgb_and_vector_examples(tmp_path):
    torch.manual_seed(0)
    images = torch.randint(256, (24, 3, 16, 16), dtype=torch.uint8)
    tasks = qs.tasks.Episodes(images, torch.arange(24) // 6, way=2, shot=1, query=2)
    learner = qs.MAML(qs.nets.MLP(in_features=768, out_features=2, hidden=(4,)))
    learner.train()
    run = qs.Run.create(tmp_path / "run", {})
    save_examples(run, learner, tasks, n=1)
    assert learner.training
    page = check_page(write_report([run]))
    assert page.raw.count("data:image/png;base64,") == 2 * (1 + 2)
    assert 'class="ink"' not in page.raw

    class Vectors:
        def sample(self, tasks: int, seed: int) -> qs.TaskBatch:
            x, y = torch.randn(tasks, 4, 6), torch.tensor([0, 1, 1, 0]).repeat(tasks, 1)
            return qs.TaskBatch(qs.Examples(x, y), qs.Examples(x, y))

    save_examples(run, qs.MAML(qs.nets.MLP(in_features=6, out_features=2, hidden=(4,))), Vectors())
    page = check_page(write_report([run]))
    assert "data:image/png" not in page.raw
    assert "✓" in page.text


def test_classes_go_by_their_names(tmp_path):
    """A person's own classes, whatever they are called; their names are written as text, and kept beside the run."""
    torch.manual_seed(0)
    images = torch.randint(256, (24, 3, 16, 16), dtype=torch.uint8)
    called = ["<b>grebe</b>", "heron & egret", "x" * 60, "東京"]
    tasks = qs.tasks.Episodes(images, torch.arange(24) // 6, way=2, shot=1, query=2, names=called)
    run = qs.Run.create(tmp_path / "run", {})
    save_examples(run, qs.MAML(qs.nets.MLP(in_features=768, out_features=3, hidden=(4,))), tasks, n=4)
    page = check_page(write_report([run]))
    drawn = {name for of_task in tasks.sample(4, fold(0, "examples")).class_names for name in of_task}
    assert len(drawn) > 2
    for name in drawn:
        assert f'<span class="class">{html.escape(name)}</span>' in page.raw
    assert "<b>grebe" not in page.raw


def test_misuse(tmp_path, glyphs):
    run = qs.Run.open(glyphs)
    with pytest.raises(qs.UsageError, match="at least one run"):
        write_report([])
    with pytest.raises(qs.UsageError, match="several runs"):
        write_report([run, run])
    learner, tasks = qs.MAML(qs.nets.MLP(), loss="mse"), qs.tasks.Sinusoids()
    with pytest.raises(qs.UsageError, match="n >= 1"):
        save_examples(run, learner, tasks, n=0)
    with pytest.raises(qs.UsageError, match="folder"):
        save_examples(qs.Run(None, {}), learner, tasks)


def test_chance_is_that_of_the_tested_way(glyphs, tmp_path):
    run = qs.Run.create(tmp_path / "run", json.loads((glyphs / "config.json").read_text()))
    (own,) = qs.Run.open(glyphs).results()
    older = {name: value for name, value in own.items() if name != "references"}  # those of older versions
    run.add_result(older)
    assert read_story(run).references == read_story(qs.Run.open(glyphs)).references == (Reference("chance", 1 / 3),)
    (run.path / "results.jsonl").unlink()
    run.add_result({**older, "tasks": own["tasks"].replace("3-way", "13-way")})
    assert read_story(run).references == ()
    page = check_page(write_report([run]))
    assert "MAML on drawn characters," not in page.text
    assert "For comparison" not in page.text
