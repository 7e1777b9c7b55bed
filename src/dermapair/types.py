"""The nouns that every part shares: views, readouts, predictions, and the geometry of one image.

Knows no torch, no files and no tables.

Letters: B lesions in a batch, D feature channels, H W image pixels, h w map cells, K classes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

View = Literal["clinical", "dermoscopic"]
Readout = Literal["clinical", "dermoscopic", "cross", "both"]

VIEWS: Final[tuple[View, ...]] = ("clinical", "dermoscopic")
READOUTS: Final[tuple[Readout, ...]] = ("clinical", "dermoscopic", "cross", "both")
STAGES: Final = ("stage1", "stage2", "mean")
"""What a run of two stages has: the first, the second (Jia & Shen 2017), and the mean of both."""

RGBImage = NDArray[np.uint8]
"""HWC uint8 RGB in [0, 255]."""
FloatArray = NDArray[np.floating[Any]]
Box = tuple[float, float, float, float]
"""(x0, y0, x1, y1) in pixels, half-open."""


@dataclass(frozen=True)
class Decision:
    """What a run decides of one lesion at one of its operating points.

    Attributes:
        target: `melanoma`, `cancer`, or what the recipe calls it.
        probability: of the target, in [0, 1].
        threshold: the decision is positive above it.
        positive: whether it is.
    """

    target: str
    probability: float
    threshold: float
    positive: bool


@dataclass(frozen=True)
class OutsideScore:
    """How unlike the training part's a picture of one view is, and how rare that is.

    Attributes:
        score: higher is less like them; see `inference.ood`.
        p_value: share of validation's lesions that score at least as high, in (0, 1].
        flagged: whether the score is above the run's threshold: the answer is then not to be trusted.
    """

    score: float
    p_value: float
    flagged: bool


@dataclass(frozen=True)
class Prediction:
    """What one trained run says of one lesion.

    Attributes:
        classes: names of the K classes, in the order of every array below.
        logits: by readout, (K,) float64, whose softmax is the probabilities: calibrated where the run is.
            `both` is a mean of probabilities and has no logits of its own unless it equals another readout;
            its entry comes from their logarithm. So do all entries where a run says the mean of two stages.
        probabilities: by readout, (K,) float64, each summing to 1.
        stages: of a run of two stages, by STAGES, the probabilities of each and of their mean, not
            calibrated; else empty.
        decisions: by operating point, of `both`; empty where the run has none.
        conformal_set: classes that cannot be ruled out, the most probable first; empty where the run says
            nothing of it.
        outside: by view; a view that the run has nothing stored of is left out: unknown, not inside.
    """

    classes: tuple[str, ...]
    logits: Mapping[str, FloatArray]
    probabilities: Mapping[str, FloatArray]
    stages: Mapping[str, Mapping[str, FloatArray]] = field(default_factory=dict)
    decisions: Mapping[str, Decision] = field(default_factory=dict)
    conformal_set: tuple[str, ...] = ()
    outside: Mapping[View, OutsideScore] = field(default_factory=dict)


@dataclass(frozen=True)
class PixelMap:
    """Where each pixel of a processed image lies in the file that the user gave.

    An affine map of continuous pixel coordinates (x right, y down; pixel i covers [i, i + 1)), built up by
    the operations that were applied, from the upright original (after EXIF orientation) to the result.

    Attributes:
        matrix: (2, 3) float64, original coordinates to result coordinates.
        source_size: (width, height) of the upright original in pixels.
        size: (width, height) of the result in pixels.
    """

    matrix: FloatArray
    source_size: tuple[int, int]
    size: tuple[int, int]

    @classmethod
    def identity(cls, size: tuple[int, int]) -> PixelMap:
        """Return the map of an untouched image of (width, height) pixels."""
        return cls(np.eye(2, 3), size, size)

    def then(self, step: FloatArray, size: tuple[int, int]) -> PixelMap:
        """Return this map followed by `step`, a (2, 3) matrix, whose result has `size` (width, height)."""
        whole = _square(step) @ _square(self.matrix)
        return PixelMap(whole[:2], self.source_size, size)

    def resize(self, size: tuple[int, int]) -> PixelMap:
        """Follow by stretching to `size` (width, height)."""
        scale = np.array(
            [[size[0] / self.size[0], 0.0, 0.0], [0.0, size[1] / self.size[1], 0.0]], dtype=np.float64
        )
        return self.then(scale, size)

    def crop(self, x0: float, y0: float, size: tuple[int, int]) -> PixelMap:
        """Follow by cutting `size` (width, height) pixels from the corner (x0, y0)."""
        return self.then(np.array([[1.0, 0.0, -x0], [0.0, 1.0, -y0]]), size)

    def flip(self) -> PixelMap:
        """Follow by mirroring left and right."""
        width, _ = self.size
        return self.then(np.array([[-1.0, 0.0, width], [0.0, 1.0, 0.0]]), self.size)

    def rotate90(self, turns: int) -> PixelMap:
        """Follow by `turns` quarter turns counter-clockwise, as `numpy.rot90` does."""
        result = self
        for _ in range(turns % 4):
            width, height = result.size
            result = result.then(np.array([[0.0, 1.0, 0.0], [-1.0, 0.0, width]]), (height, width))
        return result

    def to_result(self, points: FloatArray) -> FloatArray:
        """Map (N, 2) points (x, y) of the original to the result."""
        return np.asarray(points) @ self.matrix[:, :2].T + self.matrix[:, 2]

    def to_source(self, points: FloatArray) -> FloatArray:
        """Map (N, 2) points (x, y) of the result back to the original."""
        return (np.asarray(points) - self.matrix[:, 2]) @ np.linalg.inv(self.matrix[:, :2]).T

    def box_to_source(self, box: Box) -> Box:
        """Return the smallest upright box of the original that holds `box` of the result."""
        x0, y0, x1, y1 = box
        corners = self.to_source(np.array([[x0, y0], [x1, y0], [x0, y1], [x1, y1]]))
        low, high = corners.min(axis=0), corners.max(axis=0)
        return float(low[0]), float(low[1]), float(high[0]), float(high[1])

    @property
    def scale(self) -> float:
        """Result pixels for one original pixel, as a geometric mean over both axes."""
        return math.sqrt(abs(float(np.linalg.det(self.matrix[:, :2]))))


def _square(matrix: FloatArray) -> FloatArray:
    """Return a (2, 3) affine matrix as (3, 3)."""
    return np.vstack([matrix, [0.0, 0.0, 1.0]])
