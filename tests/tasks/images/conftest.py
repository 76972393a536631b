"""A cache of a test's own, a local server, and small photographs."""

import threading
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from PIL import Image


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def own_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Empty, and nothing is found elsewhere."""
    monkeypatch.delenv("QUICKSTUDY_DATA", raising=False)
    monkeypatch.setenv("QUICKSTUDY_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Path, str]]:
    """A folder, and the address at which it is served."""
    folder = tmp_path / "served"
    folder.mkdir()
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder))) as http:
        thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield folder, f"http://127.0.0.1:{http.server_port}"
        http.shutdown()
        thread.join()


def photo(number: int) -> np.ndarray:
    """Noise, another for each number: ``[9, 9, 3]``."""
    return np.random.default_rng(number).integers(256, size=(9, 9, 3), dtype=np.uint8)


@pytest.fixture
def class_folders() -> Callable[..., None]:
    """Writes so many images into a folder for each class; returns nothing."""

    def write(root: Path, classes: list[str], images: int, name: str = "{c}{n:08}.png") -> None:
        for i, c in enumerate(classes):
            (root / c).mkdir(parents=True)
            for n in range(images):
                Image.fromarray(photo(100 * i + n)).save(root / c / name.format(c=c, n=n))

    return write
