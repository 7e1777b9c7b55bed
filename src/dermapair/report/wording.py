"""The report's sentences: names of things, what the network is, how good it is in plain words.

What the numbers cannot show is in `limits`.
"""

from __future__ import annotations

import math
import re
from typing import Any

from markupsafe import Markup, escape

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


def in_words(key: str) -> str:
    """Return a metric's key as it stands inside a sentence: `macro_auc` -> "macro AUC"."""
    return key.replace("_", " ").replace("auc", "AUC").replace("f1", "F1").replace("brier", "Brier")


def metric_name(key: str) -> str:
    """Return a metric's key as a title: `macro_auc` -> "Macro AUC"."""
    words = in_words(key)
    return words[0].upper() + words[1:]


def direction(key: str) -> str:
    """Return a note where lower values of a metric are better."""
    return "" if HIGHER_IS_BETTER.get(key, True) else "lower is better"


def without_folders(text: str) -> str:
    """Return a text in which paths are cut down to their last part: reports are passed on."""
    part = r"[^\\/\s:'\"]+(?: [^\\/\s:'\"]+)*[\\/]"
    return re.sub(rf"(?<![^\s'\"(=])(?:[A-Za-z]:|~)?[\\/](?:{part})*(?=[^\\/\s])", "", text)


def prose(text: str) -> Markup:
    """Return a sentence as HTML, with `words` in backticks as code."""
    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(text))))


def breakable(name: str) -> Markup:
    """Return a name as HTML that may be broken behind each underscore."""
    return Markup(str(escape(name)).replace("_", "_<wbr>"))


def network_sentence(facts: ModelFacts, parameters: int) -> str:
    """Return what was trained, in a sentence or two."""
    start = f"{parameters:,} parameters; started from {without_folders(facts.started_from)}"
    return f"{_network(facts.network)}. {_input(facts)}; {start}."


def _input(facts: ModelFacts) -> str:
    """Return the sizes of the input in training and in scoring, and what scores are means of."""
    trained, views = facts.data.input, facts.predict.views
    scored = facts.predict.input or trained
    sizes = f"Input {trained} × {trained} px"
    if scored != trained:
        sizes += f" in training, {scored} × {scored} px in scoring"
    cuts = "five cuts (centre and corners)" if facts.predict.crop == "five" else ""
    each = [cuts] if cuts else []
    each += [f"{views} orientations"] if views > 1 else []
    sizes += f"; scores are means over {' times '.join(each)} of each image" if each else ""
    return sizes + (
        "; it looks at the part of each image that the map of stage one points at, whose weights are in the "
        "model file too"
        if facts.stage_one
        else ""
    )


def _network(network: NetworkSettings) -> str:
    if network.kind == "single":
        return f"One {network.backbone} network that reads the {network.view} image only; `both` equals it"
    what = NETWORKS[network.kind].format(backbone=network.backbone)
    return f"{what}; `both` is {COMBINED[network.combine]}"


def headline(files: RunFiles) -> str:
    """Return how often the run is right, beside what naming the most common class would reach."""
    shown, split = files.shown, files.results["split"]
    n, right, common = shown["n_lesions"], shown["accuracy"], files.classes[0]
    share = shown["per_class"][common]["n"] / n
    return (
        f"On {n} {SPLITS.get(split, 'lesions')}, the network names the right one of {len(files.classes)} "
        f"classes for {_percent(right['value'])} (95% interval {_percent(right['low'])} to "
        f"{_percent(right['high'])}). Always answering {common}, the most common class, would be right for "
        f"{_percent(share)}.{_doubt(right, share)}"
    )


def _doubt(right: dict[str, float], baseline: float) -> str:
    """Return what to add where the accuracy is not above that of a constant answer."""
    if right["high"] < baseline:
        return " This network does worse than that."
    return (
        "" if right["low"] > baseline else " The interval does not rule out that this network is no better."
    )


def _percent(share: float) -> str:
    return f"{100 * share:.1f}%"


def count(n: int, noun: str) -> str:
    """Return "1 epoch", "2 epochs"."""
    return f"{n:,} {noun}" if n == 1 else f"{n:,} {noun}s"


def bayes_rows(files: RunFiles) -> list[dict[str, Any]]:
    """Return by readout the accuracy, the limit that no classifier exceeds on average, and the share reached.

    Only for lesions whose limit is known, and for the task that it was computed for: every diagnosis its own
    class.
    """
    limits = files.manifest["data"].get("bayes_accuracy")
    if not limits or set(files.facts.classes) != set(files.facts.diagnoses):
        return []
    rows = []
    for readout in files.readouts:
        # `both` of a network with one view sees that view only
        seen = files.facts.network.view if files.facts.network.kind == "single" else readout
        value, limit = files.results["readouts"][readout]["accuracy"]["value"], limits[seen]
        rows.append({"readout": readout, "accuracy": value, "limit": limit, "share": value / limit})
    return rows
