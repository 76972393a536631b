"""One way to seal what is written with a checksum: JSON, or a safetensors file of tensors and texts.

What was written before there were checksums has none, and is opened as it is.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from quickstudy.core.files import read_bytes
from quickstudy.core.packing import to_save

KEY = "checksum"


def sealed_json(content: Mapping[str, Any]) -> dict[str, Any]:
    """The content with its checksum, which does not depend on order or blanks."""
    return {**content, KEY: _of_json(content)}


def check_json(content: Mapping[str, Any]) -> None:
    """Raise ``ValueError`` where content is not what ``sealed_json`` sealed."""
    own = {name: value for name, value in content.items() if name != KEY}
    if KEY in content and content[KEY] != _of_json(own):
        raise ValueError("its content does not match its checksum")


def sealed_tensors(tensors: Mapping[str, Tensor], texts: Mapping[str, str]) -> bytes:
    """A safetensors file of tensors, and of texts in its header, with a checksum of all of them."""
    own = to_save(dict(tensors))
    return safetensors.torch.save(own, {**texts, KEY: _of_tensors(own, texts)})


def open_tensors(content: bytes | Path, *, or_older: bool = True) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The tensors and texts of a safetensors file.

    Args:
        content: of the file, or its path.
        or_older: whether one without a checksum will do.

    Raises:
        ValueError: it is damaged, or no such file.
        OSError: it cannot be read.
    """
    content = read_bytes(content) if isinstance(content, Path) else content
    try:
        tensors = safetensors.torch.load(content)
        header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
        texts: dict[str, str] = dict(header.get("__metadata__") or {})
    except (safetensors.SafetensorError, ValueError, KeyError, TypeError, AttributeError, MemoryError) as error:
        raise ValueError(f"it is damaged, or no file of tensors ({error})") from error
    known = texts.pop(KEY, None)
    if known != _of_tensors(tensors, texts) and not (known is None and or_older):
        raise ValueError("its content does not match its checksum")
    return tensors, texts


def checksum(content: bytes) -> str:
    """SHA-256, in hexadecimal digits."""
    return hashlib.sha256(content).hexdigest()


def _of_json(content: Mapping[str, Any]) -> str:
    return checksum(json.dumps(content, sort_keys=True).encode())


def _of_tensors(tensors: Mapping[str, Tensor], texts: Mapping[str, str]) -> str:
    found = hashlib.sha256(json.dumps(texts, sort_keys=True).encode())
    for name in sorted(tensors):
        t = tensors[name].contiguous()
        found.update(json.dumps([name, str(t.dtype), [*t.shape]]).encode())
        found.update(t.flatten().view(torch.uint8).numpy().data if t.numel() else b"")
    return found.hexdigest()
