"""How an epoch is judged: the scores of the validation lesions and the one number that chooses."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from lightning.fabric import Fabric
from numpy.typing import NDArray

from dermapair.config import Recipe
from dermapair.data.lesions import Lesions
from dermapair.data.store import PixelSource
from dermapair.data.task import Task
from dermapair.errors import TrainingError
from dermapair.inference.forward import Scorer
from dermapair.inference.scores import Scores, concatenate
from dermapair.metrics import METRICS
from dermapair.models import PairNet
from dermapair.training.state import TrainingData


def scorer_of(recipe: Recipe, task: Task, network: PairNet, fabric: Fabric) -> Scorer:
    """Return what scores lesions with a network as the recipe says."""
    weights = readout_weights(recipe, network)
    precision = recipe.train.precision
    return Scorer(network, task.classes, recipe.data, recipe.predict, weights, fabric.device, precision)


def readout_weights(recipe: Recipe, network: PairNet) -> dict[str, float]:
    """Return the weight of each readout in `both`; "fitted" ones are equal until they are fitted."""
    by_loss = recipe.network.combine == "loss"
    return {r: recipe.loss.alpha if by_loss and r == "cross" else 1.0 for r in network.readouts}


def score_all(scorer: Scorer, lesions: Lesions, source: PixelSource) -> Scores:
    """Return the scores of all lesions at once."""
    return concatenate(list(scorer.score(lesions, source)))


def validation_metrics(scores: Scores, labels: NDArray[np.int64]) -> dict[str, dict[str, float]]:
    """Return every scalar metric by readout, over the lesions that have it."""
    result = {}
    for readout, p in scores.probabilities.items():
        present = ~np.isnan(p[:, 0])
        if present.any():
            result[readout] = {name: metric(labels[present], p[present]) for name, metric in METRICS.items()}
    return result


def chosen_value(
    metrics: Mapping[str, Mapping[str, float]], recipe: Recipe, data: TrainingData, *, epoch: int
) -> float:
    """Return the number that chooses the epoch; refuse one that says nothing, unless it chooses nothing."""
    readout, metric = recipe.train.readout, recipe.train.metric
    if recipe.train.keep == "last":
        return metrics.get(readout, {}).get(metric, np.nan)
    if readout not in metrics:
        raise TrainingError(
            f"no validation lesion has a score of the readout {readout!r} after epoch {epoch}: none has the "
            f"views that it needs, or no image could be read; choose another train.readout"
        )
    value = metrics[readout][metric]
    if not np.isfinite(value):
        raise TrainingError(
            f"the validation metric {readout} {metric} is not defined: the validation part has "
            f"{np.bincount(data.val.labels, minlength=len(data.task.classes)).tolist()} lesions of the "
            f"classes {', '.join(data.task.classes)}; split the data again, or choose another train.metric"
        )
    return value
