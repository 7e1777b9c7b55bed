"""Why a trained run says what it says of one lesion: maps, boxes, and what there is to be careful about.

Letters: K classes, h w map cells, H W pixels of the user's image.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from torch import Tensor

from dermapair.config import CropSettings
from dermapair.errors import UsageError, unknown_choice
from dermapair.imaging.crop import crop_of
from dermapair.inference.orientations import Orientation
from dermapair.saliency.grid import Grid
from dermapair.saliency.place import BOX_THRESHOLD, find_box, to_pixels
from dermapair.saliency.region import evidence
from dermapair.types import VIEWS, Box, FloatArray, PixelMap, Prediction, RGBImage, View

Maps = Mapping[View, FloatArray]


Turned = tuple[Orientation, FloatArray]
"""The orientation in which the network saw an image, and its (K, h, w) maps in it."""
PIXELS = Grid(0.5, 1.0)
"""Where the cells lie of a map that has one for each pixel of the network's input."""


class ReadoutMaps(NamedTuple):
    """The maps that explain one readout.

    Attributes:
        maps: by view, (K, h, w), of the image as it is (of five cuts the centre); not clamped.
        on_input: by view, (K, H, W) for the pixels of what is shown to the network: the mean over the cuts
            and orientations that the prediction averages over, each turned back.
        method: "cam" or "grad-cam".
    """

    maps: Maps
    on_input: Maps
    method: str


def readout_maps(
    found: Mapping[View, Sequence[Turned]], grid: Grid, *, side: int, method: str
) -> ReadoutMaps:
    """Return the maps of one readout.

    Args:
        found: by view, its maps in each orientation, the upright one first.
        grid: where their cells lie in the turned input.
        side: of what is shown to the network, pixels.
        method: "cam" or "grad-cam".
    """
    upright = {view: turned[0][1] for view, turned in found.items()}
    return ReadoutMaps(upright, {v: _turned_back(t, grid, (side, side)) for v, t in found.items()}, method)


def _turned_back(found: Sequence[Turned], grid: Grid, size: tuple[int, int]) -> FloatArray:
    """Return (K, H, W), the mean of the maps of all orientations on the pixels of what is shown."""
    placed = [(orientation.follow(PixelMap.identity(size)), maps) for orientation, maps in found]
    back = [[to_pixels(m, grid, where) for m in maps] for where, maps in placed]
    return np.asarray(np.nanmean(back, axis=0))  # NaN is what a cut leaves out


def crop_by(on_input: FloatArray, probabilities: FloatArray, placed: PixelMap, settings: CropSettings) -> Box:
    """Return the part of an image that stage two looks at.

    Args:
        on_input: (K, H, W) maps for the pixels of what stage one was shown.
        probabilities: (K,) of the readout that they explain.
        placed: where those pixels lie in the image.
        settings: the recipe's `crop` section.
    """
    values = evidence(on_input, probabilities, rule=settings.evidence)
    box = find_box(values, PIXELS, placed, threshold=settings.threshold)
    return crop_of(box, placed.source_size, settings)


def as_array(maps: Tensor) -> FloatArray:
    """Return the (K, h, w) maps of the one image in a batch."""
    return np.asarray(maps[0].double().cpu().numpy())


@dataclass(frozen=True)
class Explanation:
    """Class activation maps of one lesion, for every view that was given.

    Attributes:
        prediction: what is explained.
        images: by view, the user's own image, upright.
        placed: by view, where the network's input lies in it.
        explain: readout -> its maps; made when asked for.
        unused: views that were given, but that the network does not look at.
        stage_one: by view, of a run of two stages, why it looked where it looked.
        cuts: by view, the part of the image that it looked at.
        rule: what was read from stage one's maps to cut it, a key of `saliency.region.EVIDENCE`.
    """

    prediction: Prediction
    images: Mapping[View, RGBImage]
    placed: Mapping[View, PixelMap]
    explain: Callable[[str], ReadoutMaps]
    unused: tuple[View, ...] = ()
    stage_one: Mapping[View, Explanation] = field(default_factory=dict)
    cuts: Mapping[View, Box] = field(default_factory=dict)
    rule: str = "predicted"

    @property
    def classes(self) -> tuple[str, ...]:
        """K class names."""
        return self.prediction.classes

    @property
    def maps(self) -> Maps:
        """By view, (K, h, w) raw maps of that view's own readout, of the image as it is."""
        return {view: self._of(view).maps[view] for view in self.placed}

    @property
    def boxes(self) -> dict[View, Box | None]:
        """By view, the box of the class that it predicts, pixels of the user's image; None: no evidence."""
        return {view: self.box(view, self.predicted(view)) for view in self.placed}

    def maps_for(self, readout: str) -> Maps:
        """Return by view (K, h, w) maps that explain a readout; the view's own for `clinical`, `dermoscopic`.

        Raises:
            UsageError: the prediction lacks that readout.
        """
        return self._of(readout).maps

    def method(self, readout: str) -> str:
        """Return how a readout's maps were made: "cam" or "grad-cam"."""
        return self._of(readout).method

    def predicted(self, readout: str) -> int:
        """Return the index of a readout's most probable class."""
        return int(self.prediction.probabilities[readout].argmax())

    def to_pixels(self, view: View, k: int, *, readout: str | None = None) -> FloatArray:
        """Return the (H, W) map of class k on the user's own image, NaN where the network saw nothing.

        Where the prediction averages over orientations, so does this, which also makes it finer than one map.

        Args:
            view: whose image.
            k: index of the class.
            readout: what the map explains; None is the view's own readout.
        """
        found = self._of(readout or view)
        return to_pixels(found.on_input[view][k], PIXELS, self.placed[view])

    def box(
        self, view: View, k: int, *, readout: str | None = None, threshold: float = BOX_THRESHOLD
    ) -> Box | None:
        """Return the box of class k in pixels of the user's own image, or None: no positive evidence."""
        found = self._of(readout or view)
        return find_box(found.on_input[view][k], PIXELS, self.placed[view], threshold=threshold)

    def crop(self, view: View, settings: CropSettings) -> tuple[Box, str]:
        """Return the part of a view's image that stage two looks at, and the class that the view predicts."""
        probabilities = self.prediction.probabilities[view]
        part = crop_by(self._of(view).on_input[view], probabilities, self.placed[view], settings)
        return part, self.classes[int(probabilities.argmax())]

    def evidence(self, view: View, rule: str) -> FloatArray:
        """Return the (H, W) map of a view's image that a part is cut by, for a rule of `saliency.region`."""
        values = evidence(self._of(view).on_input[view], self.prediction.probabilities[view], rule=rule)
        return to_pixels(values, PIXELS, self.placed[view])

    def top(self, view: View, *, readout: str | None = None) -> FloatArray:
        """Return (K,) the largest value of each class's map, as `to_pixels` has it."""
        return np.asarray(self._of(readout or view).on_input[view].max(axis=(1, 2)))

    @property
    def warnings(self) -> tuple[str, ...]:
        """Sentences that a reader of the maps should know."""
        found = [f"{view}: not used, this network does not look at it" for view in self.unused]
        for view, placed in self.placed.items():
            name = self.classes[self.predicted(view)]
            if self.box(view, self.predicted(view)) is None:
                found.append(f"{view}: no positive evidence for {name}, the class that this view predicts")
            elif self.predicted(view) != self.predicted("both"):
                other = self.classes[self.predicted("both")]
                found.append(f"{view}: this view alone predicts {name}, both together {other}")
            if view in self.cuts:
                continue
            seen = placed.size[0] * placed.size[1] / placed.scale**2
            share = seen / (placed.source_size[0] * placed.source_size[1])
            if share < 0.9:
                found.append(f"{view}: the network saw {share:.0%} of the image, its middle")
        first = next(iter(self.stage_one.values()), None)
        flagged = [] if first else [v for v, of in self.prediction.outside.items() if of.flagged]
        found += [f"{v}: unlike what the network has learned from; do not trust its answer" for v in flagged]
        found += [f"stage one, {warning}" for warning in first.warnings] if first else []
        return tuple(found)

    def _of(self, readout: str) -> ReadoutMaps:
        if readout not in self.prediction.probabilities:
            known = [r for r in (*VIEWS, "cross", "both") if r in self.prediction.probabilities]
            raise UsageError(unknown_choice("readout of this lesion", readout, known))
        return self.explain(readout)
