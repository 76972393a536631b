"""Build sdist and wheel, and use the wheel alone: outside the checkout, beside what it says it needs and nothing else.

    python .ci/wheel.py [FOLDER]     (FOLDER: where both are left; default: dist)

The clean environment holds the wheel, installed by pip, and links to the packages that its own metadata asks for, and
theirs, as this environment has them. So nothing large is installed a second time, what the metadata does not name
cannot be imported, and ``pip check`` holds the versions to what is asked for.
"""

import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from importlib.metadata import distribution
from pathlib import Path

from packaging.requirements import Requirement

PROJECT = Path(__file__).resolve().parents[1]


def run(*words: object, **options: object) -> None:
    """A command, said before it runs; the script ends where it fails."""
    print("+", *words, flush=True)
    subprocess.run([str(word) for word in words], check=True, **options)


def build(out: Path) -> tuple[Path, Path]:
    """The sdist, and the wheel made from it, which so holds all that a wheel needs."""
    shutil.rmtree(out, ignore_errors=True)
    run(sys.executable, "-m", "build", "--outdir", out, PROJECT, stdout=subprocess.DEVNULL)
    (sdist,), (wheel,) = out.glob("*.tar.gz"), out.glob("*.whl")
    return sdist, wheel


def check_contents(sdist: Path, wheel: Path) -> None:
    """The wheel has every file of the package and no other; the sdist nothing that git does not know."""
    listed = subprocess.run(["git", "ls-files"], cwd=PROJECT, check=True, capture_output=True, text=True).stdout
    known = set(listed.splitlines())
    package = {name.removeprefix("src/") for name in known if name.startswith("src/")}
    packed = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    if packed != package:
        raise SystemExit(f"wheel: missing {sorted(package - packed)}, too many {sorted(packed - package)}")
    with tarfile.open(sdist) as archive:
        source = {file.name.partition("/")[2] for file in archive.getmembers() if not file.isdir()}
    if more := source - known - {"PKG-INFO"}:
        raise SystemExit(f"sdist: not in git: {sorted(more)}")
    kinds = sorted({Path(name).suffix for name in packed if not name.endswith((".py", ".pyi"))})
    print(f"{wheel.name}: {len(packed)} files, {wheel.stat().st_size / 1e6:.1f} MB, with {', '.join(kinds)}")
    print(f"{sdist.name}: {len(source)} files, {sdist.stat().st_size / 1e6:.1f} MB")


def install(wheel: Path, place: Path) -> Path:
    """The clean environment's ``bin``."""
    run(sys.executable, "-m", "venv", "--without-pip", place)
    run(*pip(place), "install", "--quiet", "--no-deps", "--no-index", wheel)
    (packages,) = place.glob("lib/python*/site-packages")
    (metadata,) = packages.glob("quickstudy-*.dist-info/METADATA")
    asked = [line.partition(": ")[2] for line in metadata.read_text("utf-8").splitlines() if "Requires-Dist: " in line]
    needed: set[str] = set()
    while asked:
        requirement = Requirement(asked.pop())
        applies = requirement.marker is None or any(
            requirement.marker.evaluate({"extra": extra}) for extra in {"", *requirement.extras}
        )
        if applies and requirement.name not in needed:
            needed.add(requirement.name)
            asked += distribution(requirement.name).requires or []
    for name in sorted(needed):
        found = distribution(name)
        for top in {file.parts[0] for file in found.files or [] if file.parts[0] not in ("..", "__pycache__")}:
            if not (packages / top).exists():
                (packages / top).symlink_to(Path(str(found.locate_file(top))).resolve())
    run(*pip(place), "check")
    return place / "bin"


def pip(place: Path) -> list[object]:
    """This environment's pip, working on another, which so needs none."""
    return [sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", place / "bin" / "python"]


def use(tools: Path, folder: Path) -> None:
    """What a person does first."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    told = {"cwd": folder, "env": env}
    where = "import quickstudy, sys; assert quickstudy.__file__.startswith(sys.prefix), quickstudy.__file__"
    run(tools / "python", "-c", where, **told)
    run(tools / "quickstudy", "list", stdout=subprocess.DEVNULL, **told)
    train = ["train", "maml", "--tasks", "sinusoids", "--steps", "2", "--test-tasks", "10", "--out", "trained"]
    run(tools / "quickstudy", *train, **told)
    # The demo's first step, on whatever the demo finds: Omniglot or, as it then says, glyphs. It goes on from there for
    # minutes, so it is interrupted as a person would do it.
    print("+ quickstudy demo, to its first step", flush=True)
    with subprocess.Popen(
        [tools / "quickstudy", "demo", "--steps", "2", "--out", "demo"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        **told,
    ) as demo:
        said = []
        for line in demo.stdout:
            said.append(line)
            print(line, end="", flush=True)
            if line.startswith("step 1/"):
                break
        demo.terminate()
    if not said or not said[-1].startswith("step 1/"):
        raise SystemExit("the demo ended before its first step")


if __name__ == "__main__":
    out = Path(sys.argv[1] if len(sys.argv) > 1 else PROJECT / "dist").resolve()
    files = build(out)
    check_contents(*files)
    with tempfile.TemporaryDirectory(prefix="quickstudy-wheel-") as place:
        use(install(files[1], Path(place) / "env"), Path(place))
    print(f"The wheel works alone. Both are in {out}.")
