"""A page that is served while a test asks it, by a pupil that needs no training: the distances of pixels."""

import contextlib
import json
import threading
from collections.abc import Iterator
from http.client import HTTPConnection, HTTPResponse
from typing import Any

import numpy as np
import uvicorn
from PIL import Image

import quickstudy as qs
from quickstudy.nets.backbones.flat import Flat
from quickstudy.web.doubt import Doubt
from quickstudy.web.pupil import Pupil
from quickstudy.web.serve import listen
from quickstudy.web.server import application
from quickstudy.web.teaching import Teaching

LINE = [[100, 500, 900, 500]]
HOOK = [[200, 100, 200, 800, 800, 800]]
CROSS = [[500, 100, 500, 900], [100, 500, 900, 500]]


def pupil() -> Pupil:
    learner = qs.ProtoNet(Flat(in_features=28 * 28)).eval()
    return Pupil(learner, (1, 28, 28), Doubt([2, 8], [-60.0, -60.0], [5.0, 5.0]), "7 other characters")


def classes(**examples: Any) -> list[dict[str, Any]]:
    return [{"name": name, "examples": list(drawings)} for name, drawings in examples.items()]


@contextlib.contextmanager
def serving(teaching: Teaching, **options: Any) -> Iterator[int]:
    """The port at which it is answered."""
    listening = listen("127.0.0.1", 0)
    app = application(teaching, **{"names": ["127.0.0.1", "localhost"], **options})
    config = uvicorn.Config(app, log_level="critical", lifespan="off", ws="none", server_header=False)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    try:
        yield listening.getsockname()[1]
    finally:
        server.should_exit = server.force_exit = True
        thread.join(10)
        listening.close()


def asked(port: int, method: str, path: str, body: Any = None, **headers: str) -> tuple[HTTPResponse, bytes]:
    """An answer, and all of its content."""
    with contextlib.closing(HTTPConnection("127.0.0.1", port, timeout=300)) as connection:
        sent = body if body is None or isinstance(body, bytes) else json.dumps(body)
        kind = {"Content-Type": "application/json"} if method == "POST" else {}
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, path, sent, {**kind, **named})
        answer = connection.getresponse()
        return answer, answer.read()


def posted(port: int, path: str, body: Any, status: int = 200) -> Any:
    """The JSON of an answer that has this status."""
    answer, content = asked(port, "POST", path, body)
    assert answer.status == status, content
    return json.loads(content)


class ByColour:
    """What ``ImageClassifier`` promises, done with the mean colours of images; its head is itself."""

    threshold_ = 0.25

    def fit(self, images: list[Image.Image], labels: list[str]) -> "ByColour":
        self.classes_ = sorted(set(labels))
        x = self.features(images)
        self.centres = np.stack([x[[y == name for y in labels]].mean(0) for name in self.classes_])
        self.classifier_ = self
        return self

    def features(self, images: list[Image.Image]) -> np.ndarray:
        return np.stack([np.asarray(image).mean((0, 1)) / 255 for image in images])

    def predict_proba(self, rows: np.ndarray) -> np.ndarray:
        p = np.exp(-20 * self._away(rows))
        return p / p.sum(1, keepdims=True)

    def unknown_score(self, rows: np.ndarray) -> np.ndarray:
        return self._away(rows).min(1)

    def next_to_label(self, rows: np.ndarray, n: int) -> np.ndarray:
        return np.argsort(-self.unknown_score(rows))[:n]

    def to_onnx(self, path: Any) -> None:
        path.write_bytes(b"onnx")

    def _away(self, rows: np.ndarray) -> np.ndarray:
        return np.linalg.norm(rows[:, None] - self.centres, axis=2)
