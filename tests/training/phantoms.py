"""A tiny case folder of phantom lesions and a tiny recipe, made once for all tests that train or predict."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from dermapair.config import Recipe
from dermapair.data.cases import CaseTable, case_frame, read_cases, write_cases
from dermapair.data.lesions import select_lesions
from dermapair.data.phantom import PHANTOM, generate
from dermapair.data.split import split_cases
from dermapair.data.store import PixelSource, open_pixels
from dermapair.data.task import build_task
from dermapair.errors import ImageError
from dermapair.models import BACKBONES
from dermapair.training.loop import TrainingData
from dermapair.types import PixelMap, RGBImage
from models.tiny import tiny_trunk

LESIONS = 24
_made: list[Path] = []


def phantom_cases(factory: pytest.TempPathFactory) -> Path:
    """A split case folder; lesion 0 of each part lacks clinical, lesion 1 dermoscopic, 2 has two clinical."""
    if not _made:
        folder = factory.mktemp("phantoms")
        rows, manifest = generate(folder, lesions=LESIONS, seed=0, size_px=64)
        diagnoses = tuple(d.code for d in PHANTOM.diagnoses)
        table = CaseTable(case_frame(rows), folder, diagnoses, {"adapter": "phantom", **manifest})
        table = split_cases(table, val=0.25, test=0.25, seed=0)
        write_cases(replace(table, frame=_with_gaps(table.frame)), folder)
        _made.append(folder)
    return _made[0]


def _with_gaps(frame: pl.DataFrame) -> pl.DataFrame:
    """Take views away, and give some lesions a second clinical picture (another file of the same lesion)."""
    drop, twice = [], []
    for split in ("train", "val", "test"):
        first, second, third = frame.filter(pl.col("split") == split)["lesion_id"].unique(
            maintain_order=True
        )[:3]
        drop += [f"{first}_clinical", f"{second}_dermoscopic"]
        twice.append(third)
    second_pictures = frame.filter(
        pl.col("lesion_id").is_in(twice) & (pl.col("view") == "dermoscopic")
    ).with_columns(pl.lit("clinical").alias("view"), (pl.col("image_id") + "_2").alias("image_id"))
    return pl.concat([frame.filter(~pl.col("image_id").is_in(drop)), second_pictures])


def tiny_recipe(**sections: Mapping[str, Any]) -> Recipe:
    """Two epochs of Triple-Net on the hand-made trunk, in fp32; sections change keys."""
    values: dict[str, dict[str, Any]] = {
        "task": {"groups": {"cancer": ["melanoma", "bcc", "scc"], "benign": ["*"]}},
        "data": {"size": 40, "input": 32},
        "network": {"kind": "triple", "backbone": "tiny", "weights": "none"},
        "optimizer": {"name": "sgd", "lr": 0.05},
        "train": {"epochs": 2, "batch_size": 4, "metric": "log_loss", "precision": "fp32"},
    }
    for section, keys in sections.items():
        values.setdefault(section, {}).update(keys)
    return Recipe.model_validate({"name": "tiny", **values})


def register_tiny(monkeypatch: pytest.MonkeyPatch, name: str = "tiny", *, batch_norm: bool = False) -> None:
    """Make the hand-made trunk a backbone that recipes can name."""
    monkeypatch.setitem(BACKBONES, name, lambda weights: tiny_trunk(batch_norm=batch_norm))


def training_data(cases: Path, recipe: Recipe) -> TrainingData:
    """The training and validation lesions."""
    table = read_cases(cases)
    task = build_task(recipe.task, table.diagnoses)
    train, val = (select_lesions(table, task, split=split) for split in ("train", "val"))
    return TrainingData(task, train.one_image_each(seed=recipe.seed), val, open_pixels(table, recipe.data))


@dataclass(frozen=True)
class Spoiled:
    """A source of which some rows cannot be read."""

    source: PixelSource
    rows: frozenset[int]

    def square(self, row: int) -> RGBImage:
        if row in self.rows:
            raise ImageError(f"row {row}", "expected an image, got noise")
        return self.source.square(row)

    def square_map(self, row: int) -> PixelMap:
        return self.source.square_map(row)
