"""What each learner is trained with, by preset: the only place that names learners, tasks and nets together."""

from quickstudy.recipes.choice import Choice
from quickstudy.recipes.options import TestOptions, TrainingTaskOptions, held_out, split_options
from quickstudy.recipes.presets import Preset, preset
from quickstudy.recipes.recipe import PRESETS, Recipe, Setting
from quickstudy.recipes.table import recipe_of, usual_tasks

__all__ = [
    "PRESETS",
    "Choice",
    "Preset",
    "Recipe",
    "Setting",
    "TestOptions",
    "TrainingTaskOptions",
    "held_out",
    "preset",
    "recipe_of",
    "split_options",
    "usual_tasks",
]
