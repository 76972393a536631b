"""``quickstudy teach``."""

import contextlib
import webbrowser
from pathlib import Path
from typing import Any, Literal

from tyro.conf import Positional

from quickstudy.cli.terminal import say, tell
from quickstudy.core.errors import UsageError

EXTRA = "the page needs a server ({missing} is missing); install it with: pip install 'quickstudy[web]'"


def teach(
    folder: Positional[Path | None] = None,
    *,
    run: str | None = None,
    checkpoint: str = "best",
    kind: Literal["auto", "drawings", "photos"] = "auto",
    port: int | None = None,
    host: str = "127.0.0.1",
    no_browser: bool = False,
) -> None:
    """Open a page in the browser that you teach: drawings, photos, tables.

    It runs on this machine alone, and what it is taught stays in the page. Ctrl-C ends it.

    Args:
        folder: class folders of images to begin with (None: with none).
        run: the folder of a trained run of images, which is taught in place of what comes with quickstudy.
        checkpoint: best, last, or an outer step of the run.
        kind: what the folder's images are: drawings, photos, or auto.
        port: where it listens (None: 8017, or another one if that is taken; 0: any).
        host: address to listen at; another than this machine's own lets others in, 0.0.0.0 all.
        no_browser: only say where the page is.
    """
    try:
        from quickstudy.web.serve import address, listen, serve
    except ModuleNotFoundError as error:
        if error.name not in ("starlette", "uvicorn", "anyio"):
            raise
        raise UsageError(EXTRA.format(missing=error.name)) from error

    teaching = _teaching(folder, run, checkpoint, kind)
    with contextlib.closing(listen(host, port)) as listening:
        page = address(listening, host)

        def ready() -> None:
            say(f"The page is {page} (Ctrl-C ends it).")
            if not no_browser and not webbrowser.open(page):
                tell("No browser could be opened here: open that address in yours.")

        with contextlib.suppress(KeyboardInterrupt):
            serve(teaching, listening, host, ready=ready, closed=lambda: say("Closed."))


def _teaching(folder: Path | None, run: str | None, checkpoint: str, kind: str) -> Any:
    """What the page is opened with.

    Raises:
        UsageError, RunError, DataError: of the folder, or of the run.
    """
    from quickstudy.cli.trained import checkpoint_step
    from quickstudy.training.runs import Run
    from quickstudy.web.pupil import of_run, shipped
    from quickstudy.web.start import read_folder
    from quickstudy.web.teaching import Teaching

    start: dict[str, Any] = {}
    if folder is not None:
        found, classes = read_folder(folder, None if kind == "auto" else kind)  # pyright: ignore[reportArgumentType]
        start = {"tab": "draw" if found == "drawings" else "photos", found: classes}
    pupil, without = None, ""
    if run is not None:
        pupil = of_run(run, checkpoint_step(Run.open(run), checkpoint))
        if pupil.ink:
            return Teaching(pupil, start=start, name=f"qs.FewShotClassifier.from_run({run!r})")
        start = {"tab": "photos", **start}
    own = pupil
    try:
        pupil = shipped()
    except UsageError as error:
        pupil, without = None, str(error)
    return Teaching(pupil, run=own, without=without, start=start)
