"""Tables of measurements, out of ``results/*.csv``: a hook of MkDocs that fills a page's blocks.

``<!-- results: FILE column=value ... -->`` and ``<!-- end -->`` stand around a table: of the rows of
``results/FILE.csv`` with these values, a line for each learner (and whatever else differs), a column for each setting,
beside it the figure of the learner's paper where ``papers.csv`` has one. Several seeds are averaged. What all lines
share stands above.
"""

import re
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).resolve().parents[1] / "benchmarks"))

from results import RESULTS, ResultRow, read_papers, read_result_rows

BLOCK = re.compile(r"(?<=<!-- results: )([\w.-]+)((?: \w+=\S+)*) -->\n.*?(?=<!-- end -->)", re.DOTALL)
SAID = (
    "learner",
    "tasks",
    "protocol",
    "preset",
    "options",
    "budget_s",
    "bn",
    "precision",
    "metric",
    "machine",
    "torch",
)
"""What a line may be told apart by, in this order."""
CALLED = {"budget_s": "seconds of training", "bn": "BatchNorm"}


def table(rows: list[ResultRow], papers: list[ResultRow]) -> str:
    """Markdown: the lines' shared values, then the table."""
    if not rows:
        return "(no such rows yet)\n"
    shared = {c: rows[0][c] for c in SAID[1:] if all(row[c] == rows[0][c] for row in rows)}
    own = [c for c in SAID if c not in shared]
    settings = list(dict.fromkeys(row["setting"] for row in sorted(rows, key=lambda row: _natural(row["setting"]))))
    lines: dict[tuple[str, ...], dict[str, list[ResultRow]]] = defaultdict(lambda: defaultdict(list))
    for row in rows:
        lines[tuple(row[c] for c in own)][row["setting"]].append(row)
    in_papers = {s: any(_of_paper(line, papers) for by in lines.values() for line in by.get(s, [])) for s in settings}
    head = [*(CALLED.get(c, c) for c in own), *(c for s in settings for c in (s, *(["paper"] * in_papers[s])))]
    body: list[list[str]] = []
    for key, by_setting in sorted(lines.items()):
        cells = [f"`{word}`" if name == "learner" else word for name, word in zip(own, key, strict=True)]
        for s in settings:
            cells.append(_cell(by_setting.get(s, [])))
            cells += [_of_paper(by_setting[s][0], papers) if s in by_setting else ""] if in_papers[s] else []
        body.append(cells)
    said = "; ".join(f"{CALLED.get(c, c)}: {value}" for c, value in shared.items() if value)
    tested = sorted({row["n_tasks"] for row in rows}, key=_natural)
    within = ", ± 95% over tasks" if any(row["ci95"] for row in rows) else ""
    text = [f"{said}; {' or '.join(tested)} test tasks{within}.", ""]
    text += ["| " + " | ".join(cells) + " |" for cells in (head, ["---"] * len(head), *body)]
    return "\n".join(text) + "\n"


def _cell(rows: list[ResultRow]) -> str:
    if not rows:
        return ""
    means, widths = [float(row["mean"]) for row in rows], [float(row["ci95"]) for row in rows if row["ci95"]]
    text = f"{sum(means) / len(means):.2f}" + (f" ± {sum(widths) / len(widths):.2f}" if widths else "")
    return text if len(rows) == 1 else f"{text} (seeds: {', '.join(f'{mean:.2f}' for mean in means)})"


def _of_paper(row: ResultRow, papers: list[ResultRow]) -> str:
    """The figure of the learner's paper for what a row measures (of its protocol where the paper's has one)."""
    for paper in papers:
        same = all(paper[c] == row[c] for c in ("learner", "tasks", "setting", "metric"))
        if same and paper["protocol"] in ("", row["protocol"]):
            return paper["mean"] + (f" ({net})" if (net := paper["net"]) and not net.startswith("Conv4") else "")
    return ""


def _natural(text: str) -> list[Any]:
    """So that 5w comes before 20w."""
    return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", text)]


def fill(text: str, results: Path = RESULTS) -> str:
    """A page with the tables in its blocks."""
    papers = read_papers(results)

    def block(match: re.Match[str]) -> str:
        wanted = dict(pair.split("=", 1) for pair in match[2].split())
        rows = [row for row in read_result_rows(results / f"{match[1]}.csv") if wanted.items() <= row.items()]
        return f"{match[1]}{match[2]} -->\n\n{table(rows, papers)}\n"

    return BLOCK.sub(block, text)


def on_page_markdown(markdown: str, **_: Any) -> str:
    """MkDocs: a page with its tables."""
    return fill(markdown)
