"""The report's sentences: names of things, what the network is, how good it is in plain words.

What the numbers cannot show is in `limits`.
"""

from __future__ import annotations

import math
import re
from typing import Any

from dermapair.config import NetworkSettings
from dermapair.inference.model import ModelFacts
from dermapair.metrics import HIGHER_IS_BETTER
from dermapair.report.read import RunFiles

UNDEFINED = "not defined"
SPLITS = {"test": "test lesions, none of which was used in training", "val": "validation lesions"}
READOUTS = {
    "clinical": "the clinical photograph alone",
    "dermoscopic": "the dermoscopic image alone",
    "cross": "the third sub-network, which looks at both images together",
    "both": "the answer that a user is shown, from all images that the lesion has",
}
NETWORKS = {
    "sole": "Sole-Net: two separate {backbone} networks, one for each view",
    "share": "Share-Net: one {backbone} reads the clinical and the dermoscopic image with the same weights",
    "triple": (
        "Triple-Net: one {backbone} reads the clinical and the dermoscopic image with the same weights, and "
        "a third sub-network looks at the features of both together"
    ),
}
COMBINED = {
    "equal": "the plain mean of their probabilities",
    "loss": "the mean of their probabilities, weighted as in the loss",
    "fitted": "the mean of their probabilities, with weights fitted on validation",
}


def number(value: object) -> str:
    """Return a value with three digits behind the point; None and NaN are "not defined"."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return UNDEFINED
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def interval(low: float | None, high: float | None) -> str:
    """Return an interval in brackets; nothing where it is not defined."""
    return "" if low is None or high is None else f"[{low:.3f}, {high:.3f}]"


def metric_name(key: str) -> str:
    """Return a metric's key as words: `macro_auc` -> "Macro AUC"."""
    words = key.replace("_", " ").replace("auc", "AUC").replace("f1", "F1")
    return words[0].upper() + words[1:]


def direction(key: str) -> str:
    """Return which values of a metric are good."""
    return "higher is better" if HIGHER_IS_BETTER.get(key, True) else "lower is better"


def without_folders(text: str) -> str:
    """Return a text in which paths are cut down to their last part: a report is passed on, folders are not."""
    return re.sub(r"(?:[A-Za-z]:|~)?[\\/](?:[^\\/\s:'\"]+[\\/])*(?=[^\\/\s])", "", text)


def network_sentence(facts: ModelFacts, parameters: int) -> str:
    """Return what was trained, in a sentence or two."""
    size = f"{facts.data.input} × {facts.data.input} px; {parameters:,} parameters; started from "
    tail = f"Input {size}{without_folders(facts.started_from)}."
    return f"{_network(facts.network)}. {tail}"


def _network(network: NetworkSettings) -> str:
    if network.kind == "single":
        return f"One {network.backbone} network that reads the {network.view} image only; `both` equals it"
    what = NETWORKS[network.kind].format(backbone=network.backbone)
    return f"{what}; `both` is {COMBINED[network.combine]}"


def headline(files: RunFiles) -> str:
    """Return how often the run is right, beside what naming the most common class would reach."""
    shown, split = files.shown, files.results["split"]
    n, right = shown["n_lesions"], shown["accuracy"]
    common = files.classes[0]
    share = shown["per_class"][common]["n"] / n
    return (
        f"On {n} {SPLITS.get(split, 'lesions')}, the network names the right one of {len(files.classes)} "
        f"classes in {_of_hundred(right['value'])} of 100 lesions (95% interval "
        f"{_of_hundred(right['low'])} to {_of_hundred(right['high'])}). Always answering {common}, the most "
        f"common class, would be right in {_of_hundred(share)} of 100."
    )


def _of_hundred(share: float) -> str:
    return f"{100 * share:.1f}"


def bayes_rows(files: RunFiles) -> list[dict[str, Any]]:
    """Return by readout the accuracy, the limit that no classifier exceeds, and the share of it reached.

    Only for lesions whose limit is known, and for the task that it was computed for: every diagnosis its own
    class.
    """
    limits = files.manifest["data"].get("bayes_accuracy")
    if not limits or set(files.facts.classes) != set(files.facts.diagnoses):
        return []
    rows = []
    for readout, result in files.results["readouts"].items():
        # `both` of a network with one view sees that view only
        seen = files.facts.network.view if files.facts.network.kind == "single" else readout
        value, limit = result["accuracy"]["value"], limits[seen]
        rows.append({"readout": readout, "accuracy": value, "limit": limit, "share": value / limit})
    return rows
