"""Every kind of file that is read, damaged in many ways: the right answer or a ``QuickstudyError``, nothing else."""

import importlib.util
import sys
from pathlib import Path

import pytest

FUZZ = Path(__file__).resolve().parents[1] / "benchmarks" / "fuzz.py"


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="a reader that hangs is stopped by a signal")
def test_200_mutations():
    spec = importlib.util.spec_from_file_location("fuzz", FUZZ)
    assert spec is not None
    assert spec.loader is not None
    fuzz = importlib.util.module_from_spec(spec)
    sys.modules["fuzz"] = fuzz
    try:
        spec.loader.exec_module(fuzz)
        outcomes, faults = fuzz.fuzz(200, seed=0)
    finally:
        del sys.modules["fuzz"]
    assert not faults, "\n".join(faults)
    assert outcomes.total() == 200
    assert sum(count for (_, what), count in outcomes.items() if what == "refused") > 80
