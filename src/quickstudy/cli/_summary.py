"""What a sweep found: seeds grouped, and how learners differ on the same test tasks."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import torch

from quickstudy.cli._grid import GridRow
from quickstudy.core.scores import score
from quickstudy.report.page import Table
from quickstudy.training.intervals import mean_and_half_width
from quickstudy.training.paired import gap
from quickstudy.training.results import Result

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
        return f"{known.told(results[0]['mean'], results[0]['ci95'])} (1 seed)"
    mean, half = mean_and_half_width(torch.tensor([result["mean"] for result in results]))
    return f"{known.told(mean, half)} ({len(results)} seeds)"


def differences(found: Found) -> list[Table]:
    """For each setting, how each learner differs from the first: on the same test tasks, seed by seed."""
    tables: list[Table] = []
    for setting in dict.fromkeys(row.setting for row, _ in found):
        here = [(row, Result.from_json(result)) for row, result in found if row.setting == setting]
        first = here[0][0].label
        base = {row.seed: result for row, result in here if row.label == first}
        rows: list[list[str]] = []
        for label in dict.fromkeys(row.label for row, _ in here if row.label != first):
            pairs = [(base[row.seed], result) for row, result in here if row.label == label and row.seed in base]
            apart = gap(pairs)
            if apart is not None:
                rows.append([label, score(pairs[0][0].metric).gap(apart.mean, apart.ci95), apart.over])
        if rows:
            of = f" of {setting}" if setting else ""
            heading = f"Differences from {first} on the same test tasks{of} (± 95%)"
            tables.append(Table(heading, ["learner", "difference", "interval over"], rows))
    return tables
