"""What a sweep found: seeds grouped, and how learners differ on the same test tasks."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import torch

from quickstudy.cli._grid import GridRow
from quickstudy.core.scores import score
from quickstudy.report.page import Table
from quickstudy.training.intervals import mean_and_half_width

Found = Sequence[tuple[GridRow, Mapping[str, Any]]]


def grouped(found: Found) -> Table:
    """A line for each learner, a column for each setting: the mean over seeds, and its 95% interval over seeds.

    Of one seed the interval is over its test tasks.
    """
    settings, labels = (list(dict.fromkeys(getattr(row, name) for row, _ in found)) for name in ("setting", "label"))
    cells: dict[tuple[str, str], list[Mapping[str, Any]]] = defaultdict(list)
    for row, result in found:
        cells[row.label, row.setting].append(result)
    rows = [[label, *(_cell(cells[label, setting]) for setting in settings)] for label in labels]
    return Table("Seeds together (± 95% over seeds; of one seed, over its test tasks)", ["learner", *settings], rows)


def _cell(results: Sequence[Mapping[str, Any]]) -> str:
    if not results:
        return ""
    known = score(results[0]["metric"])
    if len(results) == 1:
        return f"{known.text(results[0]['mean'])} {known.interval(results[0]['ci95'])} (1 seed)"
    mean, half = mean_and_half_width(torch.tensor([result["mean"] for result in results]))
    return f"{known.text(mean)} {known.interval(half)} ({len(results)} seeds)"


def differences(found: Found) -> list[Table]:
    """For each setting, how each learner differs from the first: on the same test tasks, seed by seed.

    The interval is over seeds where there are several, else over test tasks (or draws, where tasks share them: then
    none is given).
    """
    tables: list[Table] = []
    for setting in dict.fromkeys(row.setting for row, _ in found):
        here = [(row, result) for row, result in found if row.setting == setting]
        first = here[0][0].label
        base = {row.seed: result for row, result in here if row.label == first}
        rows = [
            [label, *line]
            for label in dict.fromkeys(row.label for row, _ in here if row.label != first)
            if (line := _difference(base, {row.seed: result for row, result in here if row.label == label}))
        ]
        if rows:
            of = f" of {setting}" if setting else ""
            heading = f"Differences from {first} on the same test tasks{of} (± 95%)"
            tables.append(Table(heading, ["learner", "difference", "interval over"], rows))
    return tables


def _difference(base: Mapping[int, Mapping[str, Any]], other: Mapping[int, Mapping[str, Any]]) -> list[str]:
    """The mean difference and what its interval is over; empty where test tasks are not the same."""
    pairs = [(base[seed], other[seed]) for seed in base.keys() & other.keys()]
    same = ("metric", "tasks", "n_tasks", "seed")
    if not pairs or any(a[name] != b[name] or len(a["scores"]) != len(b["scores"]) for a, b in pairs for name in same):
        return []
    apart = torch.stack([torch.tensor(b["scores"]) - torch.tensor(a["scores"]) for a, b in pairs]).double()
    known = score(pairs[0][0]["metric"])
    shared = bool(pairs[0][0].get("shares"))
    draws, over = (apart.mean(1), f"{len(pairs)} seeds") if len(pairs) > 1 else (apart[0], f"{apart.shape[1]} tasks")
    mean, half = mean_and_half_width(draws)
    if len(pairs) == 1 and shared:
        return [known.text(mean), "tasks share draws: no interval"]
    return [f"{known.text(mean)} {known.interval(half)}", over]
