"""The one object in front of a trained run: two images in, a prediction out.

Commands, web pages, reports and notebooks all call it. It owns preprocessing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl
import torch
from PIL import Image

from dermapair.augment import centre, place
from dermapair.config import DataSettings
from dermapair.data.cases import CaseTable
from dermapair.data.lesions import Batch, Lesions, select_lesions
from dermapair.data.store import FileSource, open_pixels
from dermapair.errors import UsageError
from dermapair.imaging.read import as_image, read_image
from dermapair.imaging.square import square_map, square_of
from dermapair.inference.boxes import look
from dermapair.inference.decisions import calibrated
from dermapair.inference.explanation import Explanation, ReadoutMaps, Turned, as_array, readout_maps
from dermapair.inference.forward import Scorer, Seen, evaluating, to_tensor
from dermapair.inference.model import ModelFacts, load_stages, read_facts
from dermapair.inference.ood import Judged
from dermapair.inference.orientations import Orientation
from dermapair.inference.precision import choose_precision, measure_precision
from dermapair.inference.scores import Scores, concatenate, with_stages
from dermapair.models import Output, Trunk
from dermapair.saliency.grid import Grid, measure_grid
from dermapair.saliency.maps import cam, maps_of
from dermapair.types import (
    VIEWS,
    Box,
    Decision,
    FloatArray,
    OutsideScore,
    PixelMap,
    Prediction,
    RGBImage,
    View,
)

Picture = str | Path | Image.Image | RGBImage
MEASURE_FROM = 256
"""Lesions from which `precision="auto"` measures which precision is faster; below, it is fp32."""


class Shown(NamedTuple):
    """One view of a lesion, as given and as the network sees it.

    Attributes:
        image: the user's own, upright.
        pixels: (1, H, W, 3) uint8, the network's input, or the square from which five are cut.
        placed: where that lies in the image.
        cut: the part of the image that a run of two stages looks at; None: it has one stage.
        stage_one: why it looks there.
    """

    image: RGBImage
    pixels: RGBImage
    placed: PixelMap
    cut: Box | None
    stage_one: Explanation | None


@dataclass(frozen=True)
class Predictor:
    """A trained run, ready to predict; made by `load`.

    Attributes:
        scorer: network and preprocessing.
        facts: what `model.json` says.
        run: its folder.
        auto_precision: measure the precision before a long prediction.
        grids: where the cells of maps lie, by stage; filled when asked for.
        stage_one: of a run of two stages the first, whose maps say where this one looks.
    """

    scorer: Scorer
    facts: ModelFacts
    run: Path
    auto_precision: bool = False
    grids: dict[int, Grid] = field(default_factory=dict, compare=False, repr=False)
    stage_one: Predictor | None = None

    @property
    def classes(self) -> tuple[str, ...]:
        """The K class names, in the order of every output."""
        return self.scorer.classes

    def uncalibrated(self) -> Predictor:
        """Return a predictor of the network's own scores."""
        return replace(self, facts=self.facts.model_copy(update={"calibration": None}))

    def predict(self, *, clinical: Picture | None = None, dermoscopic: Picture | None = None) -> Prediction:
        """Predict one lesion.

        Args:
            clinical: a path, a PIL image or an HWC uint8 RGB array; may be None.
            dermoscopic: likewise.

        Returns:
            Logits and probabilities by readout; readouts that need a missing view are left out, and `both` is
            then the readout of the view that is there.

        Raises:
            UsageError: no image was given for a view that the network takes.
            ImageError: an image cannot be read.
        """
        return self._predict(self.inputs(clinical=clinical, dermoscopic=dermoscopic))

    def explain(self, *, clinical: Picture | None = None, dermoscopic: Picture | None = None) -> Explanation:
        """Explain the prediction of one lesion; arguments and errors are those of `predict`.

        Maps by CAM come from the passes that make the prediction; Grad-CAM takes passes of its own, in fp32,
        when asked for. The network's modes and gradients stay as they were.
        """
        shown = self.inputs(clinical=clinical, dermoscopic=dermoscopic)
        found: dict[View, list[Turned]] = {view: [] for view in shown}
        scale = {view: self._map_scale(view) for view in shown}

        def keep(orientation: Orientation, output: Output) -> None:
            for view, turned in found.items():
                maps = cam(self.scorer.network, output, view)
                if maps is not None:
                    turned.append((orientation, as_array(maps) * scale[view]))

        prediction = self._predict(shown, seen=keep)

        @cache
        def explain(readout: str) -> ReadoutMaps:
            if readout == "both" and len(prediction.logits) == 2:  # of one readout and `both`: they are equal
                readout = next(iter(prediction.logits))
            view: View = readout  # type: ignore[assignment]
            if found.get(view):
                return readout_maps(
                    {view: found[view]}, self.grid(), side=self.scorer.shown_side, method="cam"
                )
            turned, stage = self._grad_cam(shown, readout)
            return readout_maps(turned, self.grid(stage), side=self.scorer.shown_side, method="grad-cam")

        images = {view: x.image for view, x in shown.items()}
        where = {view: x.placed for view, x in shown.items()}
        given = dict(zip(VIEWS, (clinical, dermoscopic), strict=True))
        unused = tuple(view for view, picture in given.items() if picture is not None and view not in shown)
        first = {view: x.stage_one for view, x in shown.items() if x.stage_one}
        cuts = {view: x.cut for view, x in shown.items() if x.cut}
        rule = self.facts.crop.evidence
        return Explanation(prediction, images, where, explain, unused, first, cuts, rule)

    def _map_scale(self, view: View) -> FloatArray:
        """Return (K, 1, 1): what makes maps of a view's own readout sum up to its calibrated logits."""
        calibration = self.facts.calibration
        scale = calibration.readouts[view].scale if calibration else np.ones(len(self.classes))
        return np.reshape(scale, (-1, 1, 1))

    def _grad_cam(self, shown: Mapping[View, Shown], readout: str) -> tuple[dict[View, list[Turned]], int]:
        """Return by view the maps of a readout in each orientation of the prediction, and their stage."""
        network, device = self.scorer.network, self.scorer.device
        rows = {view: torch.zeros(1, dtype=torch.long, device=device) for view in shown}
        result: dict[View, list[Turned]] = {}
        with evaluating(network), torch.inference_mode(False), torch.enable_grad():
            for each in self.scorer.orientations:
                turned = {
                    v: each.turn(to_tensor(x.pixels, device)).requires_grad_() for v, x in shown.items()
                }
                maps, _ = maps_of(network, network(turned, rows), readout, weights=self.scorer.weights)
                for view, m in maps.items():
                    result.setdefault(view, []).append((each, as_array(m)))
        stage = -1 if readout in network.views or network.joint is None else network.tap
        return result, stage

    def grid(self, stage: int = -1) -> Grid:
        """Return where the cells of a stage's maps lie in the network's input; measured once."""
        trunk: Trunk = self.scorer.network.trunks[0]  # type: ignore[assignment]
        stage %= len(trunk.stages)
        if stage not in self.grids:
            self.grids[stage] = measure_grid(trunk, stage=stage, side=self.scorer.input_side)
        return self.grids[stage]

    def inputs(
        self, *, clinical: Picture | None = None, dermoscopic: Picture | None = None
    ) -> dict[View, Shown]:
        """Return by view what the network is shown.

        Arguments and errors are those of `predict`.
        """
        pictures = dict(zip(VIEWS, (clinical, dermoscopic), strict=True))
        data, side = self.scorer.data, self.scorer.shown_side
        given = {view: pictures[view] for view in self.scorer.network.views}
        images = {view: _image(picture, data) for view, picture in given.items() if picture is not None}
        if not images:
            raise UsageError(
                f"expected an image for {' or '.join(self.scorer.network.views)}, got none; give one"
            )
        first = self.stage_one.explain(**images) if self.stage_one else None
        shown: dict[View, Shown] = {}
        for view, image in images.items():
            box = first.crop(view, self.facts.crop)[0] if first else None
            square, _ = square_of(image, side=data.size, fit=data.fit, hair=data.hair, box=box)
            pixels = self.scorer.shown(square)[None]
            size = image.shape[1], image.shape[0]
            placed = square_map(size, side=data.size, fit=data.fit, box=box)
            placed = place(centre(data.size, side), placed, input_side=side)
            shown[view] = Shown(image, pixels, placed, box, first)
        return shown

    def _predict(self, shown: Mapping[View, Shown], *, seen: Seen | None = None) -> Prediction:
        """Predict one lesion from its inputs."""
        one = np.zeros(1, dtype=np.int64)
        batch = Batch(
            {str(view): x.pixels for view, x in shown.items()}, dict.fromkeys(shown, one), one - 1, ("",)
        )
        scores = self.scorer.score_batch(batch, one, ("",), seen=seen)
        first = next(iter(shown.values())).stage_one
        if first:
            scores = with_stages(_scores_of(first.prediction), scores, how=self.facts.crop.combine)
        scores = calibrated(scores, self.facts.calibration)
        present = [r for r, p in scores.probabilities.items() if not np.isnan(p[0, 0])]
        return Prediction(
            self.classes,
            {readout: scores.logits[readout][0] for readout in present},
            {readout: scores.probabilities[readout][0] for readout in present},
            {stage: {r: p[r][0] for r in present} for stage, p in scores.stages.items()},
            self._decisions(scores.probabilities["both"][0]),
            self._conformal_set(scores.probabilities["both"][0]),
            first.prediction.outside if first else self._outside(scores),
        )

    def outside(self, scores: Scores) -> dict[View, Judged]:
        """Return by view how unlike training's lesions are, (N,), and which are flagged; empty: unknown.

        Of a run of two stages it is what stage one sees, the whole image.
        """
        judge = (self.stage_one or self).scorer.outside
        return judge.judge(scores.outside, self.facts.outside) if judge and self.facts.outside else {}

    def _outside(self, scores: Scores) -> dict[View, OutsideScore]:
        """Return by view how unlike training's the one lesion is."""
        return {
            view: OutsideScore(float(of.score[0]), float(of.p_value[0]), bool(of.flagged[0]))
            for view, of in self.outside(scores).items()
            if not np.isnan(of.score[0])
        }

    def _decisions(self, p: FloatArray) -> dict[str, Decision]:
        """Return by operating point what is decided from the probabilities (K,) of `both`."""
        return {
            point.name: Decision(
                point.target,
                float(point.probability(p, self.classes)),
                point.threshold,
                bool(point.decide(p, self.classes)),
            )
            for point in self.facts.operating_points
        }

    def _conformal_set(self, p: FloatArray) -> tuple[str, ...]:
        """Return the classes that the probabilities (K,) of `both` do not rule out."""
        if self.facts.conformal is None:
            return ()
        inside = self.facts.conformal.contains(p)
        return tuple(self.classes[k] for k in np.argsort(-p, kind="stable") if inside[k])

    def lesions(self, table: CaseTable, *, split: str | None = None) -> Lesions:
        """Return the lesions of a case table that the network can look at, dropped diagnoses included.

        Raises:
            UsageError: the split has lesions, but none with an image of the network's views.
        """
        wanted = self.scorer.network.views
        there = table.frame if split is None else table.frame.filter(pl.col("split") == split)
        if len(there) and not there["view"].is_in(wanted).any():
            raise UsageError(
                f"expected a {' or '.join(wanted)} image, as this network takes no other, got only "
                f"{' and '.join(sorted(there['view'].unique()))} ones; give one"
            )
        task = self.facts.as_task()
        everything = replace(task, class_of=dict.fromkeys(table.diagnoses, task.classes[0]) | task.class_of)
        return select_lesions(table, everything, split=split, views=wanted)

    def predict_cases(
        self, table: CaseTable, *, split: str | None = None, swap_views: bool = False
    ) -> Iterator[Scores]:
        """Yield the calibrated scores of a case table's lesions, a batch at a time; memory does not grow.

        Prepared pixels are used where there are some for these settings, else the files; by the second of two
        stages always the files. An image that cannot be read costs that image only and is listed in `errors`.

        Args:
            table: the cases.
            split: only this part.
            swap_views: show every clinical image as the dermoscopic one and the other way round: the check of
                Ge et al. 2017, section 3.1, of how much a network depends on which view is which.

        Raises:
            UsageError: `swap_views` of a network of one view or a run of two stages, or no lesion has an
                image that it takes.
        """
        if swap_views and len(self.scorer.network.views) < len(VIEWS):
            only = self.scorer.network.views[0]
            raise UsageError(f"swapping views: expected a network of two views, got one of {only}; leave it")
        if swap_views and self.stage_one:
            raise UsageError(
                "swapping views: expected a run of one stage, got one of two; take its stage one"
            )
        lesions = self.lesions(table, split=split)
        lesions = lesions.swapped() if swap_views else lesions
        for scores in self.score(table, lesions):
            yield calibrated(scores, self.facts.calibration)

    def score(self, table: CaseTable, lesions: Lesions) -> Iterator[Scores]:
        """Yield what the network itself says of lesions of a case table, before calibration."""
        scorer = self.scorer
        if self.auto_precision and len(lesions) >= MEASURE_FROM:
            rates = measure_precision(scorer.network, side=scorer.data.input, batch_size=4, train=False)
            scorer = replace(scorer, precision=choose_precision(rates))
        if self.stage_one is None:
            yield from scorer.score(lesions, open_pixels(table, scorer.data))
            return
        # Smaller batches than stage one's, so that its parts are read while others are scored.
        small = scorer.predict.model_copy(update={"batch_size": max(1, scorer.predict.batch_size // 4)})
        scorer = replace(scorer, predict=small)
        for first in look(self.stage_one, table, lesions, self.facts.crop):
            parts = FileSource(table, scorer.data, first.boxes)
            second = concatenate(list(scorer.score(first.lesions, parts)))
            yield with_stages(first.scores, second, how=self.facts.crop.combine)


def _scores_of(prediction: Prediction) -> Scores:
    """Return the prediction of one lesion as scores."""
    p, z = (
        {readout: np.asarray(values, dtype=np.float64)[None] for readout, values in of.items()}
        for of in (prediction.probabilities, prediction.logits)
    )
    return Scores(("",), prediction.classes, p, z)


def _image(picture: Picture, data: DataSettings) -> RGBImage:
    """Return a picture as an array; files under the limit that holds in training."""
    if isinstance(picture, str | Path):
        return read_image(picture, max_pixels=data.max_pixels)
    return as_image(picture)


def _device(name: str) -> torch.device:
    """Return a device on which a number can be made and read back."""
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise UsageError(f"device: expected auto, cpu or cuda, got {name!r}") from error
    try:
        torch.zeros(1, device=device).item()
    except (RuntimeError, AssertionError, ImportError) as error:  # torch's ways to say that it is not there
        why = str(error).partition("\n")[0]
        raise UsageError(f"device: {name!r} is not on this machine ({why}); take cpu or auto") from error
    return device


def load(run: str | Path, *, device: str = "auto", precision: str = "auto") -> Predictor:
    """Load a trained run.

    Args:
        run: its folder.
        device: "auto" (a GPU where there is one), "cpu", "cuda", ...
        precision: "fp32", "bf16" or "auto" (fp32 for single lesions, for many whichever a short measurement
            finds faster).

    Raises:
        RunError: the folder is no run, or is damaged.
        UsageError: the device or precision is unknown, or this machine does not have the device.
    """
    if precision not in ("auto", "fp32", "bf16"):
        raise UsageError(f"precision: expected auto, fp32 or bf16, got {precision!r}")
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    where = _device(device)
    facts, auto = read_facts(Path(run)), precision == "auto"
    *first, scorer = load_stages(Path(run), device=where, precision="bf16" if precision == "bf16" else "fp32")
    if not first or not facts.stage_one:
        return Predictor(scorer, facts, Path(run), auto)
    of_one = facts.stage_one.model_copy(update={"outside": facts.outside})
    return Predictor(scorer, facts, Path(run), auto, stage_one=Predictor(first[0], of_one, Path(run), auto))
