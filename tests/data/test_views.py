"""Exchanged views are found; where too little is there to learn from, that is said."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from dermapair.data.adapters import import_cases
from dermapair.data.cases import CaseTable
from dermapair.data.fingerprints import COLOUR_SIDE, SIDE, Fingerprints, fingerprints
from dermapair.data.views import LEAST, swapped_views, view_features


def prints_of(
    dermoscopic: np.ndarray, rng: np.random.Generator, errors: tuple[str | None, ...]
) -> Fingerprints:
    """Return made-up images: dermoscopic ones are rougher and bluer."""
    n = len(dermoscopic)
    rough = np.where(dermoscopic, 40, 8)[:, None, None]
    grey = np.clip(128 + rough * rng.normal(size=(n, SIDE, SIDE)), 0, 255).astype(np.uint8)
    colour = np.full((n, COLOUR_SIDE, COLOUR_SIDE, 3), 150, dtype=np.uint8)
    colour[dermoscopic, ..., 2] = 190
    return Fingerprints(grey, colour, np.full((n, 2), 64), (b"",) * n, errors)


def lesions_with(
    swapped: set[int], n: int, rng: np.random.Generator
) -> tuple[pl.Series, pl.Series, Fingerprints]:
    lesion = np.repeat(np.arange(n), 2)
    dermoscopic = np.tile([False, True], n)
    view = np.where(dermoscopic ^ np.isin(lesion, list(swapped)), "dermoscopic", "clinical")
    prints = prints_of(dermoscopic, rng, (None,) * (2 * n))
    return pl.Series(view.tolist()), pl.Series([f"l{i}" for i in lesion]), prints


def test_the_lesions_whose_views_were_exchanged_are_named(rng: np.random.Generator) -> None:
    found = swapped_views(*lesions_with({3, 31}, 60, rng))
    assert found is not None
    assert {lesion for lesion, _ in found} == {"l3", "l31"}
    assert found[0][1] >= found[1][1] >= 4
    assert swapped_views(*lesions_with(set(), 60, rng)) == []


def test_too_few_images_of_a_view_are_said_to_be_too_few(rng: np.random.Generator) -> None:
    assert swapped_views(*lesions_with({1}, LEAST - 1, rng)) is None
    views, lesions, prints = lesions_with(set(), LEAST, rng)
    unread = Fingerprints(
        prints.grey, prints.colour, prints.sizes, prints.digests, ("damaged", *prints.errors[1:])
    )
    assert swapped_views(views, lesions, unread) is None


@pytest.mark.parametrize("clinical_lesions", [1, 4, 49])
def test_many_images_of_few_lesions_are_too_few(clinical_lesions: int, rng: np.random.Generator) -> None:
    views, _, prints = lesions_with(set(), 60, rng)
    lesions = [f"l{i % clinical_lesions if view == 'clinical' else i}" for i, view in enumerate(views)]
    assert swapped_views(views, pl.Series(lesions), prints) is None


def test_features_do_not_change_when_an_image_is_mirrored(rng: np.random.Generator) -> None:
    grey = rng.integers(0, 256, (2, SIDE, SIDE), dtype=np.uint8)
    colour = rng.integers(0, 256, (2, COLOUR_SIDE, COLOUR_SIDE, 3), dtype=np.uint8)
    mirrored = view_features(np.ascontiguousarray(grey[:, :, ::-1]), np.ascontiguousarray(colour[:, :, ::-1]))
    assert np.allclose(mirrored, view_features(grey, colour), atol=1e-4)


def test_planted_exchanges_in_real_pairs_are_found(shared: Path) -> None:
    cases = import_cases("milk10k", shared / "data" / "milk10k")
    lesions = cases.frame["lesion_id"].unique(maintain_order=True)[::8]
    frame = cases.frame.filter(pl.col("lesion_id").is_in(lesions.implode()))
    planted = set(lesions[::50])
    other = pl.when(pl.col("view") == "clinical").then(pl.lit("dermoscopic")).otherwise(pl.lit("clinical"))
    swap = pl.col("lesion_id").is_in(list(planted))
    frame = frame.with_columns(view=pl.when(swap).then(other).otherwise("view"))
    found = swapped_views(
        frame["view"], frame["lesion_id"], fingerprints(CaseTable(frame, cases.root, cases.diagnoses, {}))
    )
    named = {lesion for lesion, _ in found or []}
    assert len(named & planted) >= 0.8 * len(planted)
    assert len(named - planted) <= 0.02 * len(lesions)
