"""What a person looks at: a run, or several compared, as one self-contained HTML page.

``write_report`` is a function of the run folders alone: what it draws of single tasks, ``save_examples`` has put there,
and pictures of what a learner does ``make_pictures``, or it makes them itself where a folder has none yet.
"""

from quickstudy.exports import lazily

__getattr__, __dir__, __all__ = lazily(
    __name__,
    more={
        "quickstudy.report.examples": ["save_examples"],
        "quickstudy.report.page": ["write_report"],
        "quickstudy.report.pictured": ["make_pictures"],
    },
)
