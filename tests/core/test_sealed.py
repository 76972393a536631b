"""A flipped bit anywhere is seen, or changes nothing; what is older and has no checksum opens."""

import json

import pytest
import safetensors.torch
import torch

from quickstudy.core.sealed import check_json, open_tensors, sealed_json, sealed_tensors

TENSORS = {
    "a": torch.randn(3, 4),
    "b": torch.zeros(()),
    "none": torch.zeros(0, 2),
    "half": torch.randn(3).bfloat16(),
    "is": torch.tensor([True, False]),
    "turned": torch.randn(2, 3).mT,
}
TEXTS = {"names": '["é"]', "x": "y"}


def test_every_flipped_bit_is_seen_or_changes_nothing():
    content = sealed_tensors(TENSORS, TEXTS)
    whole, texts = open_tensors(content)
    assert texts == TEXTS
    assert all(torch.equal(whole[name], t) for name, t in TENSORS.items())
    for bit in range(0, 8 * len(content), 3):
        damaged = bytearray(content)
        damaged[bit // 8] ^= 1 << bit % 8
        try:
            tensors, found = open_tensors(bytes(damaged))
        except ValueError:
            continue
        assert all(torch.equal(tensors[name], t) for name, t in TENSORS.items())
        assert TEXTS.items() <= found.items()


def test_files_of_before():
    old = safetensors.torch.save({"a": TENSORS["a"]}, {"x": "y"})
    assert open_tensors(old)[1] == {"x": "y"}
    with pytest.raises(ValueError, match="does not match"):
        open_tensors(old, or_older=False)
    check_json({"a": 1})


def test_json_is_sealed_by_its_values():
    sealed = sealed_json({"b": [0.1, float("-inf")], "a": {"x": None}})
    check_json(json.loads(json.dumps(sealed, indent=2)))
    with pytest.raises(ValueError, match="checksum"):
        check_json({**sealed, "a": {"x": 0}})
