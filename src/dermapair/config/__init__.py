"""Recipes: one TOML file that describes one experiment, checked key by key."""

from dermapair.config.loading import load_recipe, recipe_names, to_toml
from dermapair.config.recipe import (
    AugmentSettings,
    CropSettings,
    DataSettings,
    LossSettings,
    NetworkSettings,
    OptimizerSettings,
    PredictSettings,
    Recipe,
    ScheduleSettings,
    TaskSettings,
    TrainSettings,
)

__all__ = [
    "AugmentSettings",
    "CropSettings",
    "DataSettings",
    "LossSettings",
    "NetworkSettings",
    "OptimizerSettings",
    "PredictSettings",
    "Recipe",
    "ScheduleSettings",
    "TaskSettings",
    "TrainSettings",
    "load_recipe",
    "recipe_names",
    "to_toml",
]
