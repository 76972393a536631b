"""What a person looks at: a run, or several compared, as one self-contained HTML page.

``write_report`` is a pure function of the run folders: what it draws of single tasks, ``save_examples`` has put there.
"""

from quickstudy.exports import lazily

__getattr__, __dir__, __all__ = lazily(
    __name__,
    more={"quickstudy.report.examples": ["save_examples"], "quickstudy.report.page": ["write_report"]},
)
