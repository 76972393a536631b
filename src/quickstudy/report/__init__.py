"""What a person looks at: a run, or several compared, as one self-contained HTML page.

``write_report`` is a pure function of the run folders: what it draws of single tasks, ``save_examples`` has put there.
"""

from quickstudy.report.examples import save_examples
from quickstudy.report.page import write_report

__all__ = ["save_examples", "write_report"]
