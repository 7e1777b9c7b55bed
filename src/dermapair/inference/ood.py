"""How unlike training's a picture's features are: a score for each view, and what it means.

The Mahalanobis distance of the means of a trunk's inner maps (Lee et al. 2018, arXiv 1807.03888) to one
Gaussian of the training images of that view. A picture that lies nearer to the Gaussian of the other view,
put into this slot, scores higher by a multiple of the difference (the relative distance of Ren et al. 2021,
arXiv 2106.09022). Scores of validation say which ones are rare. How it is fitted is in `training.outside`.

Letters: n images, N lesions, D feature channels.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file, save

from dermapair.config.files import write_whole
from dermapair.errors import RunError
from dermapair.inference.decisions import OutsideRule
from dermapair.inference.scores import Array
from dermapair.models import Output
from dermapair.types import View

OUTSIDE_FILE: Final = "outside.safetensors"
OTHER: Final = 10.0
"""What counts a unit by which the other view is nearer, against one of distance."""


class Judged(NamedTuple):
    """What the scores (N,) of one view mean; where a lesion lacks it, NaN, NaN and False.

    Attributes:
        score: higher is less like training.
        p_value: (1 + validation lesions whose score is at least as high) / (1 + validation lesions).
        flagged: whether the score is above the threshold.
    """

    score: Array
    p_value: Array
    flagged: NDArray[np.bool_]


@dataclass(frozen=True)
class Gaussian:
    """Mean and covariance of features.

    Attributes:
        mean: (D,) float32.
        whitening: (D, D) float32, lower triangular L with L L^T the inverse of the covariance.
    """

    mean: NDArray[np.float32]
    whitening: NDArray[np.float32]

    def distance(self, features: Array) -> Array:
        """Return the squared Mahalanobis distance of features (n, D) over D: about 1 where they belong."""
        white = (np.asarray(features, np.float64) - self.mean) @ self.whitening
        return np.asarray(np.square(white).mean(axis=1))


@dataclass(frozen=True)
class Outside:
    """What judges the views of a run; a view that is not in it is not judged.

    Attributes:
        own: by view, the Gaussian of its images.
        other: by view, that of the other view's images put into its slot; a network of one view has none.
        validation: by view, the scores of validation's lesions, ascending; empty while it is being fitted.
    """

    own: Mapping[View, Gaussian]
    other: Mapping[View, Gaussian] = field(default_factory=dict)
    validation: Mapping[View, Array] = field(default_factory=dict)

    def score_images(self, view: View, features: Array) -> Array:
        """Return the scores (n,) of features (n, D) of images in one view's slot."""
        distance = self.own[view].distance(features)
        if view not in self.other:
            return distance
        return np.asarray(distance + OTHER * (distance - self.other[view].distance(features)).clip(0))

    def score(
        self, features: Mapping[View, Array], owners: Mapping[View, NDArray[np.int64]], n: int
    ) -> dict[View, Array]:
        """Return by view the scores (n,) of lesions: of several images the highest, NaN where there is none.

        Args:
            features: by view, (m, D) of its images.
            owners: by view, (m,) which of the n lesions each belongs to.
            n: number of lesions.
        """
        result = {}
        for view in self.own:
            scores = np.full(n, -np.inf)
            if view in features:
                np.maximum.at(scores, owners[view], self.score_images(view, features[view]))
            result[view] = np.where(np.isneginf(scores), np.nan, scores)
        return result

    def judge(self, scores: Mapping[View, Array], rule: OutsideRule) -> dict[View, Judged]:
        """Return by view what scores (N,) mean."""
        judged = {}
        for view, limits in rule.views.items():
            own, score = self.validation[view], scores[view]
            as_high = len(own) - np.searchsorted(own, score)
            p_value = np.where(np.isnan(score), np.nan, (1 + as_high) / (1 + len(own)))
            judged[view] = Judged(score, p_value, score > limits.threshold)
        return judged


def pooled(output: Output) -> dict[View, Array]:
    """Return by view the features (n, D)."""
    return {view: np.asarray(x.double().cpu().numpy()) for view, x in output.pooled.items()}


def _parts(views: Iterable[View]) -> dict[str, tuple[str, View]]:
    """Return what the names of Gaussians in the file begin with, and where each belongs."""
    return {f"{view}.{of}": (of, view) for view in views for of in ("own", "other")}


def save_outside(folder: Path, outside: Outside) -> None:
    """Write `outside.safetensors`, whole or not at all.

    Raises:
        RunError: it cannot be written.
    """
    arrays = {f"{view}.validation": scores for view, scores in outside.validation.items()}
    for name, (of, view) in _parts(outside.validation).items():
        if view in (gaussians := getattr(outside, of)):
            arrays[f"{name}.mean"] = gaussians[view].mean
            arrays[f"{name}.whitening"] = gaussians[view].whitening
    try:
        write_whole(folder / OUTSIDE_FILE, save({k: np.ascontiguousarray(v) for k, v in arrays.items()}))
    except OSError as error:
        raise RunError(
            f"{folder / OUTSIDE_FILE}: could not be written ({error}); free space on the disk"
        ) from error


def load_outside(folder: Path, rule: OutsideRule, *, channels: Mapping[View, int]) -> Outside:
    """Read `outside.safetensors`.

    Args:
        folder: of the run.
        rule: from its `model.json`: which views the file is to hold.
        channels: by view, D of the network.

    Raises:
        RunError: it is missing, damaged, or of another network.
    """
    path = folder / OUTSIDE_FILE
    try:
        arrays = load_file(path)
    except FileNotFoundError:
        raise RunError(f"{path}: expected it there, as model.json names it; copy the whole folder") from None
    except (OSError, SafetensorError) as error:
        raise RunError(f"{path}: damaged ({' '.join(str(error).split())[:300]}); copy it again") from error
    for name, shape in _shapes(rule, channels).items():
        found = arrays.get(name, np.empty(0))
        if found.shape != shape or not np.isfinite(found).all():
            raise RunError(
                f"{path}: expected {name} of finite numbers {shape}, as model.json says, got {found.shape}; "
                f"copy the whole folder again"
            )
    gaussians: dict[str, dict[View, Gaussian]] = {"own": {}, "other": {}}
    for name, (of, view) in _parts(rule.views).items():
        if of == "own" or rule.views[view].other:
            gaussians[of][view] = Gaussian(arrays[f"{name}.mean"], arrays[f"{name}.whitening"])
    return Outside(**gaussians, validation={view: arrays[f"{view}.validation"] for view in rule.views})


def _shapes(rule: OutsideRule, channels: Mapping[View, int]) -> dict[str, tuple[int, ...]]:
    """Return the arrays that the file is to hold and their shapes."""
    shapes: dict[str, tuple[int, ...]] = {f"{v}.validation": (of.n_lesions,) for v, of in rule.views.items()}
    for name, (of, view) in _parts(rule.views).items():
        if of == "own" or rule.views[view].other:
            d = channels.get(view, 0)
            shapes |= {f"{name}.mean": (d,), f"{name}.whitening": (d, d)}
    return shapes
