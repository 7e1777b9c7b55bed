"""From batches of pixels through a network to scores; used by training's validation and by the predictor.

Letters: B lesions, K classes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dermapair.augment import apply, centre
from dermapair.config import DataSettings, PredictSettings
from dermapair.data.lesions import Batch, Lesions, ahead, make_batch
from dermapair.data.store import PixelSource
from dermapair.errors import DermapairError
from dermapair.inference.ood import Outside, pooled
from dermapair.inference.orientations import Orientation, orientations
from dermapair.inference.scores import Array, Scores, combine, mean_over_images, softmax
from dermapair.models import Output, PairNet
from dermapair.types import RGBImage, View

Seen = Callable[[Orientation, Output], None]


@dataclass(frozen=True)
class Scorer:
    """A network with everything that turns prepared squares into scores.

    Attributes:
        network: in the mode that the caller wants; scoring puts it into eval mode and back.
        classes: K names.
        data: sizes of the prepared square and of the input.
        predict: averaged orientations and batch size.
        weights: by readout, its weight in `both`.
        device: where the network is.
        precision: "fp32" or "bf16".
        outside: says how unlike training's a lesion is, by its images as they are, not turned; or None.
    """

    network: PairNet
    classes: tuple[str, ...]
    data: DataSettings
    predict: PredictSettings
    weights: Mapping[str, float]
    device: torch.device
    precision: str = "fp32"
    outside: Outside | None = None

    def score(self, lesions: Lesions, source: PixelSource) -> Iterator[Scores]:
        """Yield the scores of `predict.batch_size` lesions at a time, reading ahead; memory does not grow."""
        for chunk, batch, owner in self.batches(lesions, source):
            yield self.score_batch(batch, owner, chunk.ids)

    def features(self, lesions: Lesions, source: PixelSource) -> Iterator[dict[View, Array]]:
        """Yield by view the pooled features (n, D) of all images, `predict.batch_size` lesions at a time."""
        for _, batch, _ in self.as_is.batches(lesions, source):
            for output in self.as_is.outputs(batch):
                yield pooled(output)

    def batches(
        self, lesions: Lesions, source: PixelSource
    ) -> Iterator[tuple[Lesions, Batch, NDArray[np.int64]]]:
        """Yield `predict.batch_size` lesions at a time, with their images as `score_batch` takes them."""
        size = self.predict.batch_size
        starts = range(0, len(lesions), size)
        read = partial(self._read, lesions, source)
        return ahead(partial(read, np.arange(s, min(s + size, len(lesions)))) for s in starts)

    def _read(
        self, lesions: Lesions, source: PixelSource, indices: NDArray[np.int64]
    ) -> tuple[Lesions, Batch, NDArray[np.int64]]:
        """Read all pairings of the images of some lesions."""
        chunk = lesions.take(indices)
        pairs, owner = chunk.pairs()
        return chunk, make_batch(pairs, source, views=self.network.views, change=self._change), owner

    @property
    def as_is(self) -> Scorer:
        """The same with one orientation, the centre as it is."""
        return replace(self, predict=self.predict.model_copy(update={"views": 1, "crop": "centre"}))

    @property
    def input_side(self) -> int:
        """Side of the network's input at prediction, pixels."""
        return self.predict.input or self.data.input

    @property
    def shown_side(self) -> int:
        """Side of what is shown: the network's input, or the whole square where five are cut from it."""
        return self.data.size if self.predict.crop == "five" else self.input_side

    @property
    def orientations(self) -> tuple[Orientation, ...]:
        """What a prediction averages over."""
        return orientations(self.predict.views, shown=self.shown_side, side=self.input_side)

    def shown(self, square: RGBImage) -> RGBImage:
        """Return what is shown of a prepared square: its centre, or all of it where five are cut from it."""
        side = self.shown_side
        return apply(square, centre(self.data.size, side), input_side=side)

    def _change(self, square: RGBImage, view: View, lesion: int) -> RGBImage:
        return self.shown(square)

    def score_batch(
        self, batch: Batch, owner: NDArray[np.int64], ids: Sequence[str], *, seen: Seen | None = None
    ) -> Scores:
        """Return the scores of a batch whose rows are pairings, `owner` says of which of `ids`.

        `seen` is called with what the network returns for each orientation.
        """
        outputs = self.outputs(batch, seen)
        logits = self._logits(batch, outputs)
        n = len(ids)
        each = {readout: softmax(z) for readout, z in logits.items()}
        probabilities = mean_over_images(each, owner, n)
        several = np.bincount(owner, minlength=n)[:, None] > 1
        with np.errstate(divide="ignore", invalid="ignore"):
            last = mean_over_images(logits, owner, n)  # of a lesion with one image of each view: its logits
            both_logits = {r: np.where(several, np.log(p), last[r]) for r, p in probabilities.items()}
            probabilities["both"] = combine(probabilities, self.weights)
            both_logits["both"] = np.log(probabilities["both"])
        single = np.sum([~np.isnan(p[:, 0]) for r, p in probabilities.items() if r != "both"], axis=0) == 1
        for readout in logits:  # with one readout, `both` equals it, logits too
            only = single & ~np.isnan(probabilities[readout][:, 0])
            both_logits["both"][only] = both_logits[readout][only]
        errors = tuple(dict.fromkeys(batch.errors))
        outside = self._outside(batch, outputs[:1], owner, n)
        return Scores(tuple(ids), self.classes, probabilities, both_logits, errors, outside=outside)

    def _outside(
        self, batch: Batch, outputs: Sequence[Output], owner: NDArray[np.int64], n: int
    ) -> dict[View, Array]:
        """Return by view how unlike training each of n lesions is, from one orientation of their images."""
        if self.outside is None:
            return {}
        features = pooled(outputs[0]) if outputs else {}
        return self.outside.score(features, {view: owner[batch.rows[view]] for view in features}, n)

    def outputs(self, batch: Batch, seen: Seen | None = None) -> list[Output]:
        """Return what the network says of each orientation; nothing where there is no image."""
        images = {view: to_tensor(x, self.device) for view, x in batch.images.items()}
        rows = {view: torch.from_numpy(r).to(self.device) for view, r in batch.rows.items()}
        found: list[Output] = []
        if not images:
            return found
        with evaluating(self.network), torch.inference_mode(), autocast(self.device, self.precision):
            for each in self.orientations:
                found.append(self.network({v: each.turn(x) for v, x in images.items()}, rows))
                if seen is not None:
                    seen(each, found[-1])
        return found

    def _logits(self, batch: Batch, outputs: Sequence[Output]) -> dict[str, Array]:
        """Return by readout (B, K) logits, the mean over orientations, NaN where a view is missing."""
        result = {r: np.full((len(batch.ids), len(self.classes)), np.nan) for r in self.network.readouts}
        for readout, where in outputs[0].rows.items() if outputs else ():
            mean = torch.stack([o.logits[readout].double() for o in outputs]).mean(dim=0)
            z, of = mean.cpu().numpy(), where.cpu().numpy()
            if not np.isfinite(z).all():
                lesion = batch.ids[int(of[~np.isfinite(z).all(axis=1)][0])]
                raise DermapairError(
                    f"lesion {lesion!r}: the network's {readout} scores are not finite: its weights are of "
                    f"no use; train again with a lower optimizer.lr or optimizer.clip_norm, or try fp32"
                )
            result[readout][of] = z
        return result


def to_tensor(images: NDArray[np.uint8], device: torch.device) -> Tensor:
    """(n, H, W, 3) uint8 -> (n, 3, H, W) float32 in [0, 1], channels last in memory."""
    pixels = torch.from_numpy(images).to(device, non_blocking=True)
    return pixels.permute(0, 3, 1, 2).to(torch.float32).div_(255.0)


def autocast(device: torch.device, precision: str) -> AbstractContextManager[object]:
    """Return the context in which a forward pass runs in `precision` ("fp32" or "bf16")."""
    if precision == "bf16":
        return torch.autocast(device.type, dtype=torch.bfloat16)
    return nullcontext()


class evaluating:  # reads as a verb in `with evaluating(network):`
    """Context in which a network is in eval mode; each module gets its own mode back, also after an error."""

    def __init__(self, network: torch.nn.Module) -> None:
        self.modes = [(module, module.training) for module in network.modules()]
        self.network = network

    def __enter__(self) -> None:
        self.network.eval()

    def __exit__(self, *_: object) -> None:
        for module, training in self.modes:
            module.training = training
