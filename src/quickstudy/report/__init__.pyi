# Written by docs/generate.py from the registry: not to be edited.
# ruff: noqa

from quickstudy.report.examples import save_examples as save_examples
from quickstudy.report.page import write_report as write_report
from quickstudy.report.pictured import make_pictures as make_pictures
