"""What is exported is read with its checksums; what ships is whole; what was written before there were any opens."""

import json

import pytest
import torch

import quickstudy as qs
from quickstudy.apply import pretrained


def write(folder):
    torch.manual_seed(0)
    learner = qs.MAML(qs.nets.MLP(hidden=(4,)), loss="mse")
    pretrained.write(folder, "tiny", learner, {"format": 2, "learner": qs.registry.describe(learner)})
    return learner


def test_it_comes_back_and_damage_is_seen(tmp_path):
    learner = write(tmp_path)
    found = pretrained.read(tmp_path, "tiny").state_dict()
    assert all(torch.equal(found[name], t) for name, t in learner.state_dict().items())
    for kind in ("json", "safetensors"):
        file = tmp_path / f"tiny.{kind}"
        content = file.read_bytes()
        place = content.index(b"0.01") + 2 if kind == "json" else len(content) - 2
        file.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
        with pytest.raises(qs.RunError, match="does not match its checksum"):
            pretrained.read(tmp_path, "tiny")
        file.write_bytes(content)


def test_without_checksums(tmp_path):
    write(tmp_path)
    told = json.loads((tmp_path / "tiny.json").read_text())
    del told["sha256"], told["checksum"]
    (tmp_path / "tiny.json").write_text(json.dumps(told))
    pretrained.read(tmp_path, "tiny")


@pytest.mark.parametrize("name", pretrained.names())
def test_what_ships_has_checksums(name):
    told = pretrained.about(name)
    assert told["sha256"]
    assert told["checksum"]
    pretrained.load(name)
