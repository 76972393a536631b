"""Clocks, peak memory and the machine: what ``peers.py`` and ``scaling.py`` share."""

import json
import platform
import re
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F

import quickstudy as qs
from workloads import Workload


def machine() -> dict[str, Any]:
    """What the figures hold for."""
    model = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists() and (found := re.search(r"model name\s*:\s*(.+)", info.read_text())):
        model = found[1]
    return {
        "cpu": model,
        "cores": torch.multiprocessing.cpu_count(),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "quickstudy": qs.__version__,
        "python": platform.python_version(),
    }


@contextmanager
def threads(count: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def seconds(call: Callable[[], object], calls: int = 1) -> float:
    started = time.perf_counter()
    for _ in range(calls):
        call()
    return (time.perf_counter() - started) / calls


def rates() -> dict[str, float]:
    """Measured multiply-adds per second, on all cores: a large product of matrices, and Conv4's largest layer."""
    n = 2048
    a, b = torch.randn(n, n), torch.randn(n, n)
    # 64 channels to 64 at 14x14, 25 images: block 2 of Conv4, where three quarters of its multiply-adds are.
    x, weight = torch.randn(25, 64, 14, 14), torch.randn(64, 64, 3, 3)
    with torch.no_grad():
        product, convolution = lambda: a @ b, lambda: F.conv2d(x, weight, padding=1)
        product(), convolution()
        return {
            "matrix multiplication": n**3 / statistics.median(seconds(product) for _ in range(5)),
            "convolution": 25 * 14**2 * 64 * 64 * 9 / statistics.median(seconds(convolution, 5) for _ in range(5)),
        }


def resident_mib() -> float:
    return _status("VmRSS") if _STATUS.exists() else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def peak_mib() -> float:
    return _status("VmHWM") if _STATUS.exists() else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def forget_peak() -> None:
    """Start the peak anew at what is resident now (Linux; elsewhere the peak since the process began counts)."""
    forget = Path("/proc/self/clear_refs")
    if forget.exists():
        forget.write_text("5")


def memory_of(prepare: Callable[[Workload], Callable[[], object]], work: Workload, calls: int = 3) -> dict[str, float]:
    """MiB by which the peak of ``calls`` calls, the first included, exceeds what was resident before them.

    What torch and others load at their first use, whatever the size of the work, is apart: the growth over one call
    with a single small task.
    """
    tiny = prepare(replace(work, tasks=1, filters=min(work.filters, 4)))
    step = prepare(work)
    before = resident_mib()
    tiny()
    forget_peak()
    used = resident_mib()
    for _ in range(calls):
        step()
    return {"peak_mib": peak_mib() - used, "first_use_mib": used - before}


_STATUS = Path("/proc/self/status")


def _status(field: str) -> float:
    found = re.search(rf"{field}:\s+(\d+) kB", _STATUS.read_text())
    assert found, f"{_STATUS} has no {field}"
    return int(found[1]) / 1024


def in_child(arguments: list[str]) -> dict[str, Any]:
    """The last line, as JSON, of this script run again with other arguments: a process with a memory of its own."""
    ran = subprocess.run([sys.executable, sys.argv[0], *arguments], capture_output=True, text=True, check=False)
    if ran.returncode:
        return {"error": (ran.stderr.strip().splitlines() or ["no output"])[-1]}
    return json.loads(ran.stdout.strip().splitlines()[-1])
