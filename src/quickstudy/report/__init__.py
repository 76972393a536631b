"""What a person looks at: a run, or several compared, as one self-contained HTML page.

``write_report`` is a function of the run folders alone: what it draws of single tasks, ``save_examples`` has put there,
and pictures of what a learner does ``make_pictures``, or it makes them itself where a folder has none yet.
"""

from quickstudy.report.examples import save_examples
from quickstudy.report.page import write_report
from quickstudy.report.pictured import make_pictures

__all__ = ["make_pictures", "save_examples", "write_report"]
