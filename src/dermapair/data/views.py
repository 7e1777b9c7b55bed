"""Lesions whose images seem to lie in the wrong slot: a clinical photograph as dermoscopic, or the reverse.

Confident learning (Northcutt et al. 2021) on the table itself: a logistic regression learns the two views
from simple statistics of colour and detail, is asked about lesions that it has not learned, and those are
named for which it is sure of the opposite. It needs a table in which most labels are right.
"""

from __future__ import annotations

import cv2
import numpy as np
import polars as pl
import scipy.fft
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedGroupKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from dermapair.data.fingerprints import COLOUR_SIDE, SIDE, Fingerprints

LEAST = 50
"""Lesions with each view that it takes to learn the difference."""
FOLDS = 5
CHUNK = 4096
SURE = 3.0
"""Least sum, over the images of a lesion, of the log odds that its label is wrong: 20 to 1."""


def swapped_views(
    views: pl.Series, lesions: pl.Series, prints: Fingerprints
) -> list[tuple[str, float]] | None:
    """Return the lesions whose views look exchanged.

    Args:
        views: N views.
        lesions: N lesion ids.
        prints: of the N images; those that cannot be read count neither way.

    Returns:
        (lesion id, log odds that its images lie in the wrong slot), the surest first; None where fewer
        than `LEAST` lesions have a view, so that nothing can be said.
    """
    readable = np.array([error is None for error in prints.errors], dtype=bool)
    dermoscopic = (views == "dermoscopic").to_numpy()[readable]
    groups = lesions.rank("dense").to_numpy()[readable]
    if min(len(np.unique(groups[dermoscopic])), len(np.unique(groups[~dermoscopic]))) < LEAST:
        return None
    parts = np.array_split(np.flatnonzero(readable), 1 + len(groups) // CHUNK)
    features = np.concatenate([view_features(prints.grey[part], prints.colour[part]) for part in parts])
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=1000))
    odds = cross_val_predict(
        model,
        features,
        dermoscopic,
        groups=groups,
        cv=StratifiedGroupKFold(FOLDS),
        method="decision_function",
    )
    against = pl.DataFrame(
        {"lesion": lesions.filter(pl.Series(readable)), "odds": np.where(dermoscopic, -odds, odds)}
    )
    summed = against.group_by("lesion", maintain_order=True).agg(pl.col("odds").sum())
    return summed.filter(pl.col("odds") >= SURE).sort("odds", descending=True).rows()


def view_features(grey: NDArray[np.uint8], colour: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Return (N, F): energy by spatial frequency, colour by distance from the centre, quantiles of Lab.

    Args:
        grey: (N, SIDE, SIDE) thumbnails.
        colour: (N, COLOUR_SIDE, COLOUR_SIDE, 3) uint8 RGB.
    """
    energy = scipy.fft.dctn(grey.astype(np.float32), axes=(1, 2), norm="ortho") ** 2
    frequency = np.hypot(*np.mgrid[:SIDE, :SIDE])
    octave = np.floor(3 * np.log2(np.maximum(frequency, 1))).astype(int)
    bands = [np.log1p(energy[:, octave == k].mean(1)) for k in np.unique(octave)]
    middle = (COLOUR_SIDE - 1) / 2
    ring = (np.hypot(*(np.mgrid[:COLOUR_SIDE, :COLOUR_SIDE] - middle)) / COLOUR_SIDE * 6).astype(int)
    rings = [f(colour[:, ring == k] / 255.0, axis=1) for k in np.unique(ring) for f in (np.mean, np.std)]
    strip = np.ascontiguousarray(colour.reshape(len(colour), -1, 3))
    lab = cv2.cvtColor(strip, cv2.COLOR_RGB2LAB).astype(np.float64)
    quantiles = np.quantile(lab, [0.1, 0.5, 0.9], axis=1).transpose(1, 0, 2).reshape(len(colour), -1)
    return np.concatenate([np.stack(bands, axis=1), *rings, quantiles], axis=1)
